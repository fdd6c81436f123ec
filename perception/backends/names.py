"""What the backends are called; without PyTorch, so that settings are read without it."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

BackendName: TypeAlias = Literal["eager", "compile", "onnxruntime", "openvino", "cuda_graphs", "tensorrt"]
BACKENDS: tuple[BackendName, ...] = get_args(BackendName)
DeviceName: TypeAlias = Literal["cpu", "cuda"]
PrecisionName: TypeAlias = Literal["fp32", "bf16", "fp16"]
AUTO = "auto"
"""Stands for the fastest that is installed and proven; where results must not depend on the machine it is refused."""
