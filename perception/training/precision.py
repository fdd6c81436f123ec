"""Training in mixed precision: the dense part of the network in bfloat16, what is exact to centimetres in float32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from tricast.perception.model import Network

T = TypeVar("T")


def use_bfloat16(network: Network, device: torch.device) -> None:
    """Have encoders, grid, heatmaps, looks at returns and attention compute in bfloat16, with float32 at either end.

    Where queries are, boxes and futures stay as they are: three digits of a place are not enough.
    """
    dense: tuple[nn.Module, ...] = (
        network.camera_encoder,
        network.lidar_encoder,
        network.radar_encoder,
        network.camera_lift,
        network.fusion,
        network.trunk,
        network.heatmap_head,
        network.camera_heatmap,
        network.radar_heatmap,
        network.decoder.point_look.point_net,
        *(part for layer in network.decoder.layers for part in (layer.self_attention, layer.cross_attention)),
    )
    for module in dense:
        module.forward = _in_bfloat16(module.forward, device.type)


def _in_bfloat16(forward: Callable[..., T], device_type: str) -> Callable[..., T]:
    @wraps(forward)
    def run(*args: Any, **more: Any) -> T:
        with torch.autocast(device_type, dtype=torch.bfloat16):
            return _in_float32(forward(*args, **more))

    return run


def _in_float32(value: Any) -> Any:
    """Tensors of a value, a tuple or a dataclass in float32 where they are in bfloat16."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype == torch.bfloat16 else value
    if isinstance(value, tuple):
        return tuple(_in_float32(part) for part in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _in_float32(getattr(value, f.name)) for f in fields(value)})
    return value
