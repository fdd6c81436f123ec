"""Convolutions on channels-last maps with batch normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

BATCH_NORM_MOMENTUM = 0.03
"""Batches are small: running statistics follow slowly."""


class Pointwise(nn.Conv2d):
    """A convolution of 1x1 kernels, computed as a matrix product on the last axis of channels-last maps.

    The same results; ten times faster than the built-in convolution in training with one thread. Exported graphs keep
    a convolution, which other runtimes lay out as they like.
    """

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 1, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, Y, X) to (B, C', Y, X)."""
        if torch.compiler.is_exporting():
            return super().forward(features)
        return functional.linear(features.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


def pixelwise(layers: nn.Sequential, features: Tensor) -> Tensor:
    """Layers that are linear maps or activations, on every pixel: (B, C, Y, X) to (B, C', Y, X), as convolutions."""
    for layer in layers:
        if isinstance(layer, nn.Linear):
            features = functional.conv2d(features, layer.weight[:, :, None, None], layer.bias)
        else:
            features = layer(features)
    return features


class ConvNorm(nn.Sequential):
    """Convolution, batch normalisation, ReLU; the size is divided by the stride."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> None:
        padding = (kernel - stride + 1) // 2
        pointwise = kernel == stride == 1
        super().__init__(
            Pointwise(inputs, outputs, bias=False)
            if pointwise
            else nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False),
            nn.BatchNorm2d(outputs, momentum=BATCH_NORM_MOMENTUM),
            nn.ReLU(inplace=True),
        )


class Bottleneck(nn.Module):
    """Residual 1x1, 3x3, 1x1, the inner width a part of the outer.

    Source: He et al., Deep Residual Learning, CVPR 2016; the last scale starts at zero (Goyal et al., 2017).
    """

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        norm = nn.BatchNorm2d(width, momentum=BATCH_NORM_MOMENTUM)
        nn.init.zeros_(norm.weight)
        self.body = nn.Sequential(
            ConvNorm(width, inner),
            ConvNorm(inner, inner, kernel=3),
            Pointwise(inner, width, bias=False),
            norm,
        )
        self.activation = nn.ReLU(inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, Y, X) to the same shape."""
        return self.activation(features + self.body(features))


def on_present(module: nn.Module, features: Tensor, slots: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Run a module on the present members of a batch only, so that its statistics never see what is absent.

    Args:
        module: From (L, C, Y, X) to (L, *shape).
        features: (B, C, Y, X).
        slots: (L,) int64, the present members.
        shape: Channels, rows and columns of what the module gives.

    Returns:
        (B, *shape), zeros for absent members.

    """
    count = len(features)
    if len(slots) == count:
        return module(features)
    rows = torch.zeros((count, *shape[1:], shape[0]), dtype=features.dtype, device=features.device)
    if not len(slots):
        return _channels_second(rows)
    # Members are picked and put back where channels come last, as maps lie in memory: gradients stay so too.
    made = module(_channels_second(features.permute(0, 2, 3, 1).index_select(0, slots)))
    return _channels_second(rows.index_copy(0, slots, made.to(features.dtype).permute(0, 2, 3, 1)))


def _channels_second(rows: Tensor) -> Tensor:
    """(B, Y, X, C) seen as (B, C, Y, X)."""
    return rows.permute(0, 3, 1, 2)


def fold_norms(module: nn.Module) -> None:
    """Put every batch normalisation that follows a convolution into it, in place: the same results in fewer passes.

    Only for inference: the module must be in evaluation mode, and its parameters have no more statistics.
    """
    for parent in module.modules():
        if isinstance(parent, nn.Sequential):
            for place in range(len(parent) - 1):
                first, second = parent[place], parent[place + 1]
                if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                    parent[place], parent[place + 1] = fuse_conv_bn_eval(first, second), nn.Identity()
