"""Weights of published vision transformers, for the blocks of the camera encoder that have their shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from tricast.configs.errors import InputError
from tricast.perception.encoders.camera_vit import CameraEncoder
from tricast.perception.layers.pixel_patches import PIXEL_MEAN, PIXEL_SPREAD

IMAGENET_MEAN, IMAGENET_SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

TIMM_BLOCK = {
    "attention_norm": "blocks.{}.norm1",
    "attention.output": "blocks.{}.attn.proj",
    "feed_forward_norm": "blocks.{}.norm2",
    "feed_forward.0": "blocks.{}.mlp.fc1",
    "feed_forward.2": "blocks.{}.mlp.fc2",
}
TORCHVISION_BLOCK = {
    "attention_norm": "encoder.layers.encoder_layer_{}.ln_1",
    "attention.output": "encoder.layers.encoder_layer_{}.self_attention.out_proj",
    "feed_forward_norm": "encoder.layers.encoder_layer_{}.ln_2",
    "feed_forward.0": "encoder.layers.encoder_layer_{}.mlp.0",
    "feed_forward.2": "encoder.layers.encoder_layer_{}.mlp.3",
}


@dataclass(frozen=True, kw_only=True)
class _Names:
    """What tensors are called: patches, norm after the blocks, positions, parts of a block, and its joined q, k, v."""

    patches: str
    norm: str
    positions: str
    block: Mapping[str, str]
    joined: str
    dot: str


TIMM = _Names(
    patches="patch_embed.proj",
    norm="norm",
    positions="pos_embed",
    block=TIMM_BLOCK,
    joined="blocks.{}.attn.qkv",
    dot=".",
)
TORCHVISION = _Names(
    patches="conv_proj",
    norm="encoder.ln",
    positions="encoder.pos_embedding",
    block=TORCHVISION_BLOCK,
    joined="encoder.layers.encoder_layer_{}.self_attention.in_proj",
    dot="_",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class PublishedViT:
    """Weights with the normalisation of pixels that they were trained with.

    Args:
        tensors: By name, as timm or torchvision have them.
        pixel_mean: Of red, green and blue, taken from pixels in [0, 1].
        pixel_spread: What the rest is divided by.
        source: Where they come from, for messages.

    """

    tensors: Mapping[str, Tensor]
    pixel_mean: tuple[float, float, float]
    pixel_spread: tuple[float, float, float]
    source: str


def read_vit(name: str) -> PublishedViT:
    """Weights by `timm:NAME` or `torchvision:NAME`, which those packages fetch, or from a safetensors file.

    A file's pixels are taken to be normalised with ImageNet's mean and spread.

    Raises:
        InputError: The package or the file is missing, the name is unknown, or the weights cannot be fetched.

    """
    package, colon, model = name.partition(":")
    if colon and package in ("timm", "torchvision"):
        try:
            return _from_timm(model) if package == "timm" else _from_torchvision(model)
        except ImportError as error:
            raise _unusable(name, f"no package {package} ({error})", f"install {package}, or give a file") from error
        except (ValueError, KeyError, RuntimeError, OSError) as error:
            remedy = "check the name and the network, or give a safetensors file"
            raise _unusable(name, f"weights that could not be had ({str(error).splitlines()[0]})", remedy) from error
    try:
        tensors = load_file(name)
    except (SafetensorError, OSError) as error:
        remedy = "give a safetensors file, timm:NAME or torchvision:NAME"
        raise _unusable(name, f"no readable weights ({str(error).splitlines()[0]})", remedy) from error
    return PublishedViT(tensors=tensors, pixel_mean=IMAGENET_MEAN, pixel_spread=IMAGENET_SPREAD, source=Path(name).name)


def load_vit(encoder: CameraEncoder, published: PublishedViT) -> None:
    """Put a published ViT into an encoder: patches, positions, blocks and the norm after them.

    Positions are interpolated to the encoder's picture. The encoder's own normalisation of pixels is folded into the
    patches. What the stem adds to the tokens starts at zero, so that the first blocks see what they know.

    Raises:
        InputError: The encoder has no `pixel_patches`, or another number of blocks, width or feed-forward width.

    """
    if encoder.pixel_patches is None:
        raise InputError(
            where="model.camera.pixel_patches",
            got="false",
            expected="true, for weights of a published ViT",
            remedy="switch it on, or leave the weights out",
        )
    names = TIMM if f"{TIMM.patches}.weight" in published.tensors else TORCHVISION
    parts = ("blocks.", "pixel_patches.")
    own = {name: value for name, value in encoder.state_dict().items() if name.startswith(parts)}
    try:
        taken = _converted(published, names, len(encoder.blocks) - 1, encoder.token_size)
    except KeyError as error:
        remedy = "give a ViT of timm's or torchvision's layout with as many blocks"
        raise _unusable(published.source, f"no tensor {error}", remedy) from error
    other = _other_parts(published.tensors, names, len(encoder.blocks) - 1)
    if other:
        got = f"{other[0]} ({len(other)} tensors that the camera encoder has no place for)"
        raise _unusable(
            published.source, got, "give a plain ViT: no layer scale, no norm before the blocks or of queries"
        )
    for name, value in own.items():
        if taken[name].shape != value.shape:
            raise _unusable(
                published.source,
                f"{name} of shape {tuple(taken[name].shape)}, not {tuple(value.shape)}",
                "set model.camera's token_width, heads, blocks and feed_forward_ratio to those of the weights",
            )
    if _blocks_in(published.tensors, names) != len(encoder.blocks) - 1:
        got = f"{_blocks_in(published.tensors, names)} blocks, not {len(encoder.blocks) - 1}"
        raise _unusable(published.source, got, "set model.camera.blocks to that")
    encoder.load_state_dict(taken, strict=False)
    torch.nn.init.zeros_(encoder.patches.weight)
    if encoder.patches.bias is not None:
        torch.nn.init.zeros_(encoder.patches.bias)


def _other_parts(tensors: Mapping[str, Tensor], names: _Names, blocks: int) -> list[str]:
    """Tensors within the blocks, or right before them, that `_converted` does not take."""
    parts = [part for number in range(blocks) for part in (theirs.format(number) for theirs in names.block.values())]
    joined = [f"{names.joined.format(number)}{names.dot}" for number in range(blocks)]
    known = {f"{part}.{kind}" for part in parts for kind in ("weight", "bias")}
    known |= {f"{part}{kind}" for part in joined for kind in ("weight", "bias")}
    prefix = names.joined.partition("{}")[0]
    mine = (f"{prefix}{number}." for number in range(blocks))
    starts = (*mine, "norm_pre.")
    return sorted(name for name in tensors if name.startswith(starts) and name not in known)


def _converted(published: PublishedViT, names: _Names, blocks: int, size: tuple[int, int]) -> dict[str, Tensor]:
    """The tensors under the encoder's own names."""
    tensors = {name: value.float() for name, value in published.tensors.items()}
    taken: dict[str, Tensor] = {}
    for kind in ("weight", "bias"):
        taken[f"blocks.{blocks}.{kind}"] = tensors[f"{names.norm}.{kind}"]
        for number in range(blocks):
            for part, theirs in names.block.items():
                taken[f"blocks.{number}.{part}.{kind}"] = tensors[f"{theirs.format(number)}.{kind}"]
            joined = tensors[f"{names.joined.format(number)}{names.dot}{kind}"]
            for part, value in zip(("query", "key", "value"), joined.chunk(3), strict=True):
                taken[f"blocks.{number}.attention.{part}.{kind}"] = value
    weight, bias = (tensors[f"{names.patches}.{kind}"] for kind in ("weight", "bias"))
    mean, spread = (torch.tensor(v)[:, None, None] for v in (published.pixel_mean, published.pixel_spread))
    # Their pixels are (p - mean) / spread, ours (p - PIXEL_MEAN) / PIXEL_SPREAD.
    taken["pixel_patches.project.weight"] = weight * (PIXEL_SPREAD / spread)
    taken["pixel_patches.project.bias"] = bias + (weight * ((PIXEL_MEAN - mean) / spread)).sum(dim=(1, 2, 3))
    taken["pixel_patches.position"] = _positions(tensors[names.positions], size)
    return taken


def _positions(positions: Tensor, size: tuple[int, int]) -> Tensor:
    """(1, 1 + n * n, D) or (1, n * n, D), the first row of a class token left out, to (rows * columns, D)."""
    side = int((positions.shape[1]) ** 0.5)
    square = positions[:, positions.shape[1] - side * side :].unflatten(1, (side, side)).permute(0, 3, 1, 2)
    scaled = functional.interpolate(square, size=size, mode="bicubic", align_corners=False)
    return scaled.flatten(2)[0].T.contiguous()


def _blocks_in(tensors: Mapping[str, Tensor], names: _Names) -> int:
    number = 0
    while f"{names.joined.format(number)}{names.dot}weight" in tensors:
        number += 1
    return number


def _from_timm(name: str) -> PublishedViT:
    import timm  # type: ignore[import-not-found]  # an optional package

    model = timm.create_model(name, pretrained=True)
    (mr, mg, mb), (sr, sg, sb) = model.pretrained_cfg["mean"], model.pretrained_cfg["std"]
    return PublishedViT(
        tensors=model.state_dict(), pixel_mean=(mr, mg, mb), pixel_spread=(sr, sg, sb), source=f"timm:{name}"
    )


def _from_torchvision(name: str) -> PublishedViT:
    from torchvision.models import get_model_weights

    weights = get_model_weights(name).DEFAULT  # type: ignore[attr-defined]  # an enum made by torchvision
    tensors = weights.get_state_dict(progress=False, check_hash=True)
    return PublishedViT(
        tensors=tensors, pixel_mean=IMAGENET_MEAN, pixel_spread=IMAGENET_SPREAD, source=f"torchvision:{name}"
    )


def _unusable(name: str, got: str, remedy: str) -> InputError:
    return InputError(
        where=f"weights of a ViT, {name}",
        got=got,
        expected="the published weights of a ViT with patches of 16 pixels",
        remedy=remedy,
    )
