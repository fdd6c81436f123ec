"""A published ViT in the camera encoder gives what it gives by itself; the weights are made here, none are fetched."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torchvision.models.vision_transformer import VisionTransformer

from tricast.configs.errors import InputError
from tricast.perception.batch import BatchConfig
from tricast.perception.encoders.camera_vit import CameraConfig, CameraEncoder
from tricast.perception.training.published_vit import (
    IMAGENET_MEAN,
    IMAGENET_SPREAD,
    PublishedViT,
    load_vit,
    read_vit,
)

CONFIG = CameraConfig(
    stem_width=8, width=16, token_width=24, heads=2, blocks=2, feed_forward_ratio=4, pixel_patches=True
)
IN_TIMM = {
    "conv_proj": "patch_embed.proj",
    "class_token": "cls_token",
    "encoder.pos_embedding": "pos_embed",
    "encoder.ln": "norm",
    "encoder.layers.encoder_layer_": "blocks.",
    "self_attention.in_proj_": "attn.qkv.",
    "self_attention.out_proj": "attn.proj",
    "ln_1": "norm1",
    "ln_2": "norm2",
    "mlp.0": "mlp.fc1",
    "mlp.3": "mlp.fc2",
}


@pytest.fixture
def vit() -> VisionTransformer:
    torch.manual_seed(0)
    model = VisionTransformer(64, 16, num_layers=2, num_heads=2, hidden_dim=24, mlp_dim=96)
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(torch.randn_like(value) * 0.2)
    return model.eval()


def encoder(config: CameraConfig = CONFIG, size_px: tuple[int, int] = (64, 64)) -> CameraEncoder:
    return CameraEncoder(config, BatchConfig(cells=16, image_size_px=size_px)).eval()


def published(tensors: dict[str, Tensor]) -> PublishedViT:
    return PublishedViT(tensors=tensors, pixel_mean=IMAGENET_MEAN, pixel_spread=IMAGENET_SPREAD, source="made here")


def renamed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors by timm's names."""
    made: dict[str, Tensor] = {}
    for name, value in tensors.items():
        for theirs, ours in IN_TIMM.items():
            name = name.replace(theirs, ours)
        made[name] = value
    return made


@pytest.mark.parametrize("layout", ["torchvision", "timm"])
@torch.no_grad()
def test_tokens_and_blocks_are_those_of_the_published_network(vit: VisionTransformer, layout: str) -> None:
    ours, tensors = encoder(), dict(vit.state_dict())
    load_vit(ours, published(tensors if layout == "torchvision" else renamed(tensors)))
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    pixels = images / 255
    mean, spread = (torch.tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_SPREAD))
    theirs = vit.conv_proj((pixels - mean) / spread).flatten(2).transpose(1, 2) + vit.encoder.pos_embedding[:, 1:]
    assert ours.pixel_patches is not None
    tokens = ours.pixel_patches(images)
    torch.testing.assert_close(tokens, theirs, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.blocks(theirs), vit.encoder.ln(vit.encoder.layers(theirs)), rtol=1e-3, atol=1e-3)
    # Nothing but what the published network knows enters the first block, apart from the rays.
    assert (ours.patches.weight == 0).all()


@torch.no_grad()
def test_positions_are_stretched_to_another_picture(vit: VisionTransformer) -> None:
    tensors = dict(vit.state_dict())
    ramp = torch.arange(4.0).repeat(4)[None, :, None].expand(1, 16, 24)  # grows from column to column
    tensors["encoder.pos_embedding"] = torch.cat([torch.full((1, 1, 24), 99.0), ramp], dim=1)
    wide = encoder(size_px=(128, 32))
    load_vit(wide, published(tensors))
    assert wide.pixel_patches is not None
    rows = wide.pixel_patches.position.unflatten(0, (2, 8))[..., 0]
    assert (rows[0].diff() > 0).all()
    torch.testing.assert_close(rows[0], rows[1])
    assert rows.abs().max() < 4


def test_weights_come_from_a_file(vit: VisionTransformer, tmp_path: Path) -> None:
    tensors = {name: value.contiguous() for name, value in vit.state_dict().items()}
    save_file(tensors, tmp_path / "vit.safetensors")
    first, second = encoder(), encoder()
    load_vit(first, published(tensors))
    load_vit(second, read_vit(str(tmp_path / "vit.safetensors")))
    for name, value in first.blocks.state_dict().items():
        assert torch.equal(second.blocks.state_dict()[name], value), name


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pixel_patches": False}, "pixel_patches: got false"),
        ({"token_width": 32}, r"not \(16, 32\)"),
        ({"feed_forward_ratio": 2}, r"not \(48, 24\)"),
        ({"blocks": 3}, "no tensor 'encoder.layers.encoder_layer_2"),
        ({"blocks": 1}, "2 blocks, not 1"),
    ],
)
def test_a_network_of_another_shape_is_refused(vit: VisionTransformer, change: dict[str, object], said: str) -> None:
    other = encoder(CONFIG.model_copy(update=change))
    with pytest.raises(InputError, match=said):
        load_vit(other, published(dict(vit.state_dict())))


@pytest.mark.parametrize("name", ["nowhere.safetensors", "torchvision:vit_of_nobody", "timm:vit_of_nobody"])
def test_weights_that_are_not_there_are_said_to_be_so(name: str) -> None:
    with pytest.raises(InputError, match=name):
        read_vit(name)


@pytest.mark.parametrize("name", ["blocks.0.ls1.gamma", "blocks.1.attn.q_norm.weight", "norm_pre.weight"])
def test_parts_that_the_encoder_has_no_place_for_are_refused(vit: VisionTransformer, name: str) -> None:
    tensors = renamed(dict(vit.state_dict())) | {name: torch.ones(24)}
    with pytest.raises(InputError, match=name):
        load_vit(encoder(), published(tensors))
