"""Where a network runs and in how many digits."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch

from tricast.configs.errors import InputError
from tricast.perception.backends.names import DeviceName, PrecisionName
from tricast.perception.model import Network
from tricast.perception.precision import hold_half, use_half

ON_ANY_DEVICE = ("eager", "compile")
"""Backends that run on a CPU and on a GPU, in any precision; the others have a device of their own."""
ON_GPU = ("cuda_graphs", "tensorrt")
IN_HALF = (*ON_ANY_DEVICE, "openvino", "cuda_graphs")
"""Backends that compute in 16 bits."""
_HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A device and a precision."""

    device: DeviceName = "cpu"
    precision: PrecisionName = "fp32"

    def checked(self, backend: str) -> Placement:
        """The same for a backend, which may imply the GPU, if it runs so on this machine as far as can be told now.

        Raises:
            InputError: There is no such device, or the backend does not run there or in that precision.

        """
        device: DeviceName = "cuda" if backend in ON_GPU else self.device
        if device == "cuda" and not torch.cuda.is_available():
            raise InputError(
                where=f"backend {backend!r} on 'cuda'",
                got="a machine without a CUDA device",
                expected="a CUDA device",
                remedy="use a backend for the CPU, on the device 'cpu'",
            )
        if device == "cuda" and backend not in (*ON_ANY_DEVICE, *ON_GPU):
            raise _unfit(f"the backend {backend!r} on a GPU", "'cpu', or another backend")
        if self.precision != "fp32" and backend not in IN_HALF:
            raise _unfit(f"{self.precision} with the backend {backend!r}", "fp32")
        if self.precision == "fp16" and device == "cpu":
            raise _unfit("fp16 on a CPU", "fp32 or bf16")
        return replace(self, device=device)

    def placed(self, network: Network) -> Network:
        """The network itself where nothing changes, else a copy on its device and in its precision.

        In single precision on a GPU it turns TF32 off for the convolutions of the whole process.
        """
        if self == Placement():
            return network
        device = torch.device(self.device)
        if self.device == "cuda" and self.precision == "fp32":
            # By default a GPU convolves "float32" with ten bits of mantissa.
            torch.backends.cudnn.allow_tf32 = False
        moved = copy.deepcopy(network).to(device)
        if self.precision in _HALVES:
            use_half(moved, _HALVES[self.precision], device)
            if (
                self.device == "cuda"
            ):  # graphs that are exported keep single precision, and are rounded by what runs them
                hold_half(moved, _HALVES[self.precision])
        return moved


def _unfit(got: str, expected: str) -> InputError:
    return InputError(where="device and precision", got=got, expected=expected, remedy="see docs/latency.md, Backends")
