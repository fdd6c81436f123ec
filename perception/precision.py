"""Mixed precision: the dense part of the network in half the digits, what is exact to centimetres in float32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from tricast.perception.model import Network

T = TypeVar("T")


def use_half(network: Network, dtype: torch.dtype, device: torch.device) -> None:
    """Have encoders, grid, heatmaps, looks at returns and attention compute in 16 bits, with float32 at either end.

    Where queries are, boxes and futures stay as they are: three digits of a place are not enough. Parameters stay in
    float32, too.

    Args:
        network: Changed in place, for good.
        dtype: `torch.bfloat16`, or on a GPU `torch.float16`.
        device: Where the network will run.

    """
    dense: tuple[nn.Module, ...] = (
        network.camera_encoder,
        network.lidar_encoder,
        network.radar_encoder,
        network.camera_lift,
        network.fusion,
        network.trunk,
        # Not its last layer: of 16 bits many cells would be equal, and each of them a peak.
        network.heatmap_head.up,
        network.heatmap_head.lidar,
        network.heatmap_head.join,
        network.camera_heatmap,
        network.radar_heatmap,
        network.decoder.point_look.point_net,
        *(part for layer in network.decoder.layers for part in (layer.self_attention, layer.cross_attention)),
    )
    for module in dense:
        module.forward = _in_half(module.forward, dtype, device.type)


def _in_half(forward: Callable[..., T], dtype: torch.dtype, device_type: str) -> Callable[..., T]:
    @wraps(forward)
    def run(*args: Any, **more: Any) -> T:
        with torch.autocast(device_type, dtype=dtype):
            return _in_float32(forward(*args, **more))

    return run


def _in_float32(value: Any) -> Any:
    """Tensors of a value, a tuple or a dataclass in float32 where they are in 16 bits."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype in (torch.bfloat16, torch.float16) else value
    if isinstance(value, tuple):
        return tuple(_in_float32(part) for part in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _in_float32(getattr(value, f.name)) for f in fields(value)})
    return value
