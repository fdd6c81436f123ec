"""Mixed precision: the dense part of the network in half the digits, what is exact to centimetres in float32."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from tricast.perception.encoders.camera_vit import CameraEncoder
from tricast.perception.encoders.lidar_pointnet import LidarEncoder
from tricast.perception.encoders.radar_pointnet import RadarEncoder
from tricast.perception.fusion.camera_lift import CameraLift
from tricast.perception.fusion.concatenation import Concatenation
from tricast.perception.fusion.point_look import PointLook
from tricast.perception.fusion.query_decoder import DecoderLayer
from tricast.perception.fusion.trunk import Trunk
from tricast.perception.fusion.weighted_mean import WeightedMean
from tricast.perception.heads.heatmap import AuxiliaryHeatmap, HeatmapHead
from tricast.perception.model import Network

WHOLE = (
    CameraEncoder,
    LidarEncoder,
    RadarEncoder,
    CameraLift,
    WeightedMean,
    Concatenation,
    Trunk,
    AuxiliaryHeatmap,
)


def use_half(network: Network, dtype: torch.dtype, device: torch.device) -> None:
    """Have encoders, grid, heatmaps, looks at returns and attention compute in 16 bits, with float32 at either end.

    Where queries are, boxes and futures stay as they are: three digits of a place are not enough. Parameters stay in
    float32, too.

    Args:
        network: Changed in place, for good.
        dtype: `torch.bfloat16`, or on a GPU `torch.float16`.
        device: Where the network will run.

    """

    def in_half(module: nn.Module, *args: Any, **more: Any) -> Any:
        with torch.autocast(device.type, dtype=dtype):
            return _in_float32(type(module).forward(module, *args, **more))

    for part in _dense(network):
        # A method of the module itself: a copy of the network gets one of its own part.
        part.forward = MethodType(in_half, part)
        for norm in part.modules():
            if isinstance(norm, nn.LayerNorm):
                norm.forward = MethodType(_in_float32_normed, norm)


def hold_half(network: Network, dtype: torch.dtype) -> None:
    """Round the weights of what `use_half` has compute in 16 bits once, not at every tick; results stay the same.

    For inference alone: steps of a training are smaller than what is lost.

    Args:
        network: After `use_half`; changed in place, for good.
        dtype: As given to `use_half`.

    """
    for part in _dense(network):
        for module in part.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                for parameter in module.parameters(recurse=False):
                    parameter.data = parameter.data.to(dtype)


def _dense(network: Network) -> Iterator[nn.Module]:
    """What computes in 16 bits, whichever way the network fuses."""
    for module in network.modules():
        if isinstance(module, WHOLE):
            yield module
        elif isinstance(module, HeatmapHead):
            # Not its last layer: of 16 bits many cells would be equal, and each of them a peak.
            yield from (part for part in (module.up, module.lidar, module.join) if part is not None)
        elif isinstance(module, PointLook):
            yield module.point_net
        elif isinstance(module, DecoderLayer):
            yield from (module.self_attention, module.cross_attention)


def _in_float32_normed(norm: nn.LayerNorm, features: Tensor) -> Tensor:
    """A layer norm in the type of its parameters: graphs have one for both."""
    return type(norm).forward(norm, features.float())


def _in_float32(value: Any) -> Any:
    """Tensors of a value, a tuple or a dataclass in float32 where they are in 16 bits."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype in (torch.bfloat16, torch.float16) else value
    if isinstance(value, tuple):
        return tuple(_in_float32(part) for part in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _in_float32(getattr(value, f.name)) for f in fields(value)})
    return value
