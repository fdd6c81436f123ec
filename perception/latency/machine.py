"""What a measurement was made on."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import torch

from tricast.perception.backends.processor import processor

PACKAGES = ("torch", "numpy", "pillow", "onnxruntime", "openvino", "tensorrt")


def machine() -> dict[str, Any]:
    """Processor, memory, load, clock, GPU and versions; None for what the machine does not tell."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "clock_governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "clock_mhz": _clock_mhz(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load_before": [round(value, 2) for value in os.getloadavg()],
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name)) is not None},
    }


def peak_memory_mb() -> dict[str, float | None]:
    """Of this process since `reset_peak_memory`: of the host (None where it is not told), and of a GPU."""
    host = next((float(line.split()[1]) / 1024 for line in _lines("/proc/self/status") if "VmHWM" in line), None)
    device = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None
    return {"host": None if host is None else round(host, 1), "device": device}


def reset_peak_memory() -> None:
    """Begin anew with the memory that is held now."""
    with contextlib.suppress(OSError):  # the peak is then that since the start
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets the peak
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def _lines(path: str) -> list[str]:
    return (_read(path) or "").splitlines()


def _clock_mhz() -> float | None:
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("cpu MHz"):
            return float(line.split(":", 1)[1])
    return None


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
