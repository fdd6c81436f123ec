"""Arrays of the host as tensors on a device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def sent(array: NDArray[Any], device: str) -> Tensor:
    """An array as a tensor of its own; to a GPU through memory that it reads while the host goes on."""
    if torch.device(device).type == "cpu":
        return torch.from_numpy(np.array(array))
    pinned = torch.from_numpy(np.empty(0, array.dtype)).new_empty(array.shape, pin_memory=True)
    pinned.numpy()[...] = array
    return pinned.to(device, non_blocking=True)
