"""The camera encoder's ViT block beside torchvision's and timm's: same shape, same weights, same output."""

from __future__ import annotations

import importlib
import importlib.util

import torch
from torch import nn
from torchvision.models.vision_transformer import EncoderBlock

from tricast.perception.encoders.camera_vit import CameraConfig
from tricast.perception.layers.attention import ViTBlock


def vit_blocks(config: CameraConfig) -> dict[str, nn.Module]:
    """Blocks from tokens (M, T, D) to the same shape: `tricast`, `torchvision`, and `timm` where it is installed.

    Args:
        config: Gives width and heads; weights are made up, and the same for all.

    """
    width, inner = config.token_width, 2 * config.token_width
    ours = ViTBlock(width, config.heads, inner)
    blocks: dict[str, nn.Module] = {"tricast": ours, "torchvision": _torchvision_block(ours, config.heads, inner)}
    if importlib.util.find_spec("timm") is not None:
        blocks["timm"] = _timm_block(ours, config.heads, inner)
    return {name: block.eval() for name, block in blocks.items()}


def _torchvision_block(ours: ViTBlock, heads: int, inner: int) -> nn.Module:
    width = ours.attention.query.in_features
    block = EncoderBlock(heads, width, inner, 0.0, 0.0, nn.LayerNorm)
    attention = {"in_proj_weight": _joined(ours, "weight"), "in_proj_bias": _joined(ours, "bias")}
    attention |= {f"out_proj.{name}": value for name, value in ours.attention.output.state_dict().items()}
    block.self_attention.load_state_dict(attention)
    block.ln_1.load_state_dict(ours.attention_norm.state_dict())
    block.ln_2.load_state_dict(ours.feed_forward_norm.state_dict())
    _copy(ours.feed_forward[0], block.mlp[0])
    _copy(ours.feed_forward[2], block.mlp[3])
    return block


def _timm_block(ours: ViTBlock, heads: int, inner: int) -> nn.Module:
    width = ours.attention.query.in_features
    timm = importlib.import_module("timm.models.vision_transformer")
    block = timm.Block(width, heads, mlp_ratio=inner / width, qkv_bias=True, norm_layer=nn.LayerNorm)
    block.attn.qkv.load_state_dict({name: _joined(ours, name) for name in ("weight", "bias")})
    for mine, other in (
        (ours.attention_norm, block.norm1),
        (ours.attention.output, block.attn.proj),
        (ours.feed_forward_norm, block.norm2),
        (ours.feed_forward[0], block.mlp.fc1),
        (ours.feed_forward[2], block.mlp.fc2),
    ):
        _copy(mine, other)
    return block


def _joined(ours: ViTBlock, name: str) -> torch.Tensor:
    layers = (ours.attention.query, ours.attention.key, ours.attention.value)
    return torch.cat([getattr(layer, name).detach() for layer in layers])


def _copy(source: nn.Module, target: nn.Module) -> None:
    target.load_state_dict(source.state_dict())
