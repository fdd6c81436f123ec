"""What a measurement was made on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "numpy", "pillow", "onnxruntime", "openvino", "tensorrt")


def machine() -> dict[str, Any]:
    """Processor, memory, load, clock, GPU and versions; None for what the machine does not tell."""
    return {
        "processor": _processor(),
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
    """Of this process since its start: of the host, and of the GPU where there is one."""
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    device = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None
    return {"host": round(host, 1), "device": device}


def _processor() -> str:
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _clock_mhz() -> float | None:
    for line in (_read("/proc/cpuinfo") or "").splitlines():
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
