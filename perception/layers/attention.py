"""Multi-head attention and the blocks around it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Scaled dot-product attention of queries over keys, several heads.

    Source: Vaswani et al., Attention Is All You Need, 2017.
    """

    def __init__(self, width: int, heads: int, key_width: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(key_width or width, width)
        self.value = nn.Linear(key_width or width, width)
        self.output = nn.Linear(width, width)

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            queries: (B, Q, D).
            keys: (B, T, K).
            values: (B, T, K); they may differ from the keys by a position encoding.
            bias: Added to the logits, broadcast to (B, heads, Q, T); minus infinity masks.

        Returns:
            (B, Q, D).

        """
        query, key, value = (
            self._split(self.query(queries)),
            self._split(self.key(keys)),
            self._split(self.value(values)),
        )
        attended = _attended(query, key, value, bias)
        return self.output(attended.transpose(1, 2).flatten(2))

    def weights(self, queries: Tensor, keys: Tensor, bias: Tensor | None = None) -> Tensor:
        """The attention weights (B, heads, Q, T) that `forward` uses; each row sums to 1."""
        query, key = self._split(self.query(queries)), self._split(self.key(keys))
        logits = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5
        return torch.softmax(logits if bias is None else logits + bias, dim=-1)

    def _split(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(2, (self.heads, -1)).transpose(1, 2)


def _attended(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    """Queries (B, heads, Q, D / heads) and keys and values (B, heads, T, D / heads) to (B, heads, Q, D / heads)."""
    if query.dtype == torch.bfloat16 and query.device.type == "cpu" and torch.is_grad_enabled():
        # The gradient takes a CPU less time in single precision.
        with torch.autocast("cpu", enabled=False):
            query, key, value = query.float(), key.float(), value.float()
            bias = None if bias is None else bias.float()
            return functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)


class FeedForward(nn.Sequential):
    """Two linear layers with a GELU between them."""

    def __init__(self, width: int, inner: int, outputs: int | None = None) -> None:
        super().__init__(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, outputs or width))


class ViTBlock(nn.Module):
    """Pre-norm self-attention and feed-forward.

    Source: Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021.
    """

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, inner)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, D) to the same shape."""
        normed = self.attention_norm(tokens)
        tokens = tokens + self.attention(normed, normed, normed)
        return tokens + self.feed_forward(self.feed_forward_norm(tokens))
