"""Returns in a window of cells around each query, in a count of operations that does not grow with how many there are.

A batch has its returns in the order of cells. Those of a row of neighbouring cells then lie side by side, and are
found by where they begin and end.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from tricast.perception.layers.pillars import cells_of


@dataclass(frozen=True, kw_only=True, eq=False)
class NearReturns:
    """Returns around each query.

    Args:
        returns: (F, B, Q, K), what is told of each, column by column: putting narrow columns side by side takes several
            times as long as what is done with them.
        number: (B, Q) int64, how many there are: K spread evenly over them were taken. 0: `returns` are of no meaning.

    """

    returns: Tensor
    number: Tensor


@dataclass(frozen=True, kw_only=True)
class Window:
    """Which returns a query looks at.

    Args:
        count: Samples in the batch, B.
        side: Cells along each axis of the grid.
        range_m: Half the grid's side.
        reach: Cells in x and y on each side of the query's own.
        returns: K.

    """

    count: int
    side: int
    range_m: float
    reach: int
    returns: int

    @property
    def total(self) -> int:
        """Cells of all samples."""
        return self.count * self.side**2


@dataclass(frozen=True, kw_only=True, eq=False)
class Distinct:
    """Of K returns taken for each query those that are not another of them once more, M together.

    Args:
        slot: (M,) int64 places in (B, Q, K), in order.
        query: (M,) int64 places in (B, Q).
        times: (M,) float32, how often each was taken.

    """

    slot: Tensor
    query: Tensor
    times: Tensor


def distinct(number: Tensor, returns: int) -> Distinct:
    """Which of so many returns taken evenly of `number` (B, Q) are distinct; how many that are hangs on the numbers."""
    place = _evenly(number, returns)
    first = functional.pad(place[..., 1:] > place[..., :-1], (1, 0), value=True) & (number[..., None] > 0)
    slot = first.flatten().nonzero().squeeze(1)
    query = slot // returns
    # Until the next one, or the end of the query's.
    end = (query + 1) * returns
    times = torch.minimum(torch.cat([slot[1:], end[-1:]]), end) - slot
    return Distinct(slot=slot, query=query, times=times.float())


def on_grid(points: Tensor, sample: Tensor, window: Window) -> tuple[Tensor, Tensor]:
    """Returns with one for nothing at the end, so that a batch without any needs no case of its own, and their cells.

    Args:
        points: (P, F), x and y first, metres in ego axes.
        sample: (P,) int64; B for padding.
        window: Of the grid.

    Returns:
        (F, P + 1), and (P + 1,) int64 `(sample * side + y) * side + x`, `window.total` for what lies in no cell.

    """
    cell, _ = cells_of(points, sample, window.count, window.side, window.range_m)
    return functional.pad(points.T.contiguous(), (0, 1)), functional.pad(cell, (0, 1), value=window.total)


def returns_around(columns: Tensor, cell: Tensor, taken: Tensor, cells: Tensor, window: Window) -> NearReturns:
    """The returns around queries.

    Args:
        columns: (F, P) float32, in the order of cells.
        cell: (P,) int64 of each return, as `on_grid` gives them.
        taken: (P,) int64, 1, or 0 for what is left out.
        cells: (B, Q) int64 cells of the queries, `y * side + x`.
        window: Which of them.

    """
    order = _places_of(taken)
    # At least as long as what is added to it: TensorRT takes no other scattering.
    number = torch.zeros(max(window.total, len(taken)) + 1, dtype=torch.int64, device=cell.device)
    ends = functional.pad(number.scatter_add(0, cell, taken).cumsum(0), (1, 0))  # a cell's: from its entry to the next
    begin, lengths = _runs(ends, cells, window.side, window.reach)  # (B, Q, rows of the window) each
    until = lengths.cumsum(dim=2)
    number = until[..., -1]
    place = _evenly(number, window.returns)
    # Compared as floats, which are exact here: runtimes take twice as long for integers.
    row = (place.float()[..., None] >= until.float()[:, :, None]).sum(dim=3).clamp(max=lengths.shape[2] - 1)
    index = (begin - until + lengths).gather(2, row) + place
    chosen = values_at(order, index.clamp(max=len(order) - 1))
    returns = columns.index_select(1, chosen.flatten()).view(len(columns), *chosen.shape)
    return NearReturns(returns=returns, number=number)


def _evenly(number: Tensor, returns: int) -> Tensor:
    """Which of `number` (B, Q) returns each of so many slots takes: (B, Q, K), spread evenly over them."""
    return torch.arange(returns, device=number.device) * number[..., None] // returns


def values_at(values: Tensor, index: Tensor) -> Tensor:
    """Entries of (P,) values at indices of any shape; in graphs an operation that other runtimes do fast."""
    return values.index_select(0, index.flatten()).view(index.shape)


def _places_of(taken: Tensor) -> Tensor:
    """Where the ones of (P,) zeros and ones are: first all of these in order, then 0."""
    place = torch.where(taken > 0, taken.cumsum(0) - 1, len(taken))
    order = torch.zeros(len(taken) + 1, dtype=torch.int64, device=taken.device)
    return order.scatter(0, place, torch.arange(len(taken), device=taken.device))


def _runs(ends: Tensor, cells: Tensor, side: int, reach: int) -> tuple[Tensor, Tensor]:
    """Where the returns of each row of cells around each query begin, and how many there are: (B, Q, 2 reach + 1)."""
    y, x = cells // side, cells % side
    line = y[..., None] + torch.arange(-reach, reach + 1, device=cells.device)
    inside = (line >= 0) & (line < side)
    sample = torch.arange(len(cells), device=cells.device)[:, None, None]
    first = (sample * side + line.clamp(0, side - 1)) * side
    begin = values_at(ends, first + (x - reach).clamp(min=0)[..., None])
    end = values_at(ends, first + (x + reach).clamp(max=side - 1)[..., None] + 1)
    return begin, torch.where(inside, end - begin, 0)
