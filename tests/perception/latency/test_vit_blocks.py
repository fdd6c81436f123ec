"""Blocks that are timed beside each other compute the same."""

import torch

from tricast.perception.backends.interleaved import interleaved_ms
from tricast.perception.encoders.camera_vit import CameraConfig
from tricast.perception.latency.vit_blocks import vit_blocks


def test_all_blocks_give_the_same_for_the_same_weights() -> None:
    torch.manual_seed(0)
    blocks, tokens = vit_blocks(CameraConfig()), torch.randn(2, 12, CameraConfig().token_width)
    with torch.inference_mode():
        given = {name: block(tokens) for name, block in blocks.items()}
    assert {"tricast", "torchvision"} <= given.keys()
    assert (given["tricast"] - tokens).abs().max() > 0.01
    for name, values in given.items():
        torch.testing.assert_close(values, given["tricast"], atol=1e-5, rtol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


def test_ways_take_turns_in_beginning() -> None:
    begun: list[str] = []
    samples = interleaved_ms({"a": lambda: begun.append("a"), "b": lambda: begun.append("b")}, rounds=3)
    assert {name: len(values) for name, values in samples.items()} == {"a": 3, "b": 3}
    assert "".join(begun) == "abbaabbaab"
