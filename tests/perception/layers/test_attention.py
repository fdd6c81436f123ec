"""Attention by its formula, and the same with a gradient in 16 bits as without one."""

import pytest
import torch
from torch import Tensor

from tricast.perception.layers.attention import Attention


def _case() -> tuple[Attention, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    bias = torch.zeros(2, 1, 5, 9)
    bias[..., 7:] = -torch.inf
    return Attention(16, 4), torch.randn(2, 5, 16), torch.randn(2, 9, 16), bias


def test_values_are_weighted_by_the_attention_weights() -> None:
    attention, queries, keys, bias = _case()
    weights = attention.weights(queries, keys, bias)
    assert torch.equal(weights[..., 7:], torch.zeros(2, 4, 5, 2))
    values = attention.value(keys).view(2, 9, 4, 4).transpose(1, 2)
    expected = attention.output((weights @ values).transpose(1, 2).reshape(2, 5, 16))
    torch.testing.assert_close(attention(queries, keys, keys, bias), expected)
    with torch.no_grad():
        torch.testing.assert_close(attention(queries, keys, keys, bias), expected)


@pytest.mark.parametrize("masked", [True, False])
def test_in_16_bits_the_gradient_stays_that_of_single_precision_but_for_rounding(masked: bool) -> None:
    attention, queries, keys, bias = _case()
    gradients = []
    for half in (False, True):
        attention.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            attended = attention(queries, keys, keys, bias if masked else None)
        attended.float().square().sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in attention.parameters() if p.grad is not None]))
    single, half_precise = gradients
    assert float((single - half_precise).norm() / single.norm()) < 0.02
