"""Proof that a backend gives what the network gives: output by output, on real ticks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from tricast.configs.errors import InputError
from tricast.perception.backends.interface import Backend
from tricast.perception.batch import SensorBatch
from tricast.perception.model import Network
from tricast.perception.query_memory import QueryMemory
from tricast.perception.query_outputs import LayerOutputs, QueryOutputs


@dataclass(frozen=True, kw_only=True)
class ParityLimits:
    """How far outputs may be apart.

    Args:
        absolute: Metres, logits, logarithms of metres; `relative` beside it is a share of the value.
        relative: See there.
        same_queries: Share of queries that must start from the same cell and class: equal peaks at the end may swap.
        within: Share of the numbers of an output that must lie within the limits.
        spared_queries: Share of all ticks' queries that may differ in anything, other starts included: what they look
            up lies on the border of two cells or rays, and rounding decides which of the two.
        spared_of_tick: Such a share of a single tick: queries attend to each other, so that one that looked elsewhere
            carries others along.
        swapped_ticks: Share of ticks in which queries may differ only roughly, as in 16 bits, because one of them
            started elsewhere: rounding chose among equal peaks at the end, and all others attend to it.

    """

    absolute: float
    relative: float
    same_queries: float
    within: float
    spared_queries: float = 0.0
    spared_of_tick: float = 0.0
    swapped_ticks: float = 0.0


SINGLE = ParityLimits(
    absolute=5e-3,
    relative=1e-3,
    same_queries=0.98,
    within=1.0,
    spared_queries=0.02,
    spared_of_tick=0.1,
    swapped_ticks=0.125,
)
"""Sums in another order differ by less; a wrong graph by far more, in most queries of every tick."""
HALF = ParityLimits(absolute=0.3, relative=0.1, same_queries=0.5, within=0.9)
"""Of 16 bits: finds a wrong graph; whether it is good enough, accuracy says (`compare_backends`)."""
FUTURES = ("mode_points_m", "mode_log_scales", "mode_logits")


def check_parity(
    backend: Backend, network: Network, batches: Sequence[SensorBatch], limits: ParityLimits = SINGLE
) -> float:
    """Compare a backend with the network in eager mode on ticks that have some sensor, in order, with its memory.

    Returns:
        The largest difference of any output, leaving out queries and ticks that are spared.

    Raises:
        InputError: An output differs by more than rounding does, or there is nothing to compare.

    """
    compared = [batch for batch in batches if bool(batch.present.any())]
    if not compared:
        raise _unproven(backend.name, "no tick with a sensor to compare on")
    worst, memory, own = 0.0, QueryMemory(), QueryMemory()
    queries = spared = swapped = 0
    for number, batch in enumerate(compared):
        where = f"{backend.name}, tick {number}"
        with torch.inference_mode():
            expected, memory = network(batch.to("cpu"), memory)
            got, own = backend(batch, own)
        difference, others, moved = _difference(where, expected, got, limits)
        of_memory = _difference_of_memory(where, memory, own, HALF if moved else limits)
        worst = max(worst, difference, 0.0 if moved else of_memory)
        queries, spared, swapped = queries + expected.query_cells.shape[1], spared + others, swapped + moved
    if swapped > limits.swapped_ticks * len(compared):
        raise _unproven(f"{backend.name}, {len(compared)} ticks", f"queries that start elsewhere in {swapped} of them")
    if spared > limits.spared_queries * queries:
        raise _unproven(f"{backend.name}, {len(compared)} ticks", f"other outputs for {spared} of {queries} queries")
    return worst


def _difference_of_memory(where: str, expected: QueryMemory, got: QueryMemory, limits: ParityLimits) -> float:
    if not expected.ticks:
        return 0.0
    # Equally sure objects may swap; how sure they are, from the surest on, is the same but for queries that are spared.
    limits = replace(limits, within=limits.within - limits.spared_of_tick)
    return _checked(where, "memory", expected.ticks[0].notes.scores, got.ticks[0].notes.scores.cpu(), limits)


def _difference(where: str, expected: QueryOutputs, got: QueryOutputs, limits: ParityLimits) -> tuple[float, int, bool]:
    """How far outputs are apart but for queries that are spared, how many these are, and whether one moved the rest."""
    worst = _checked(where, "heatmap", expected.heatmap, got.heatmap, limits)
    queries = expected.query_cells.shape[1]
    ours, theirs = _same_queries(expected, got)
    if len(ours) < limits.same_queries * queries:
        raise _unproven(where, f"{len(ours)} of {queries} queries")
    both = [(name, getattr(expected, name), getattr(got, name)) for name in FUTURES]
    for field in fields(LayerOutputs):
        both.append((field.name, getattr(expected.layers[-1], field.name), getattr(got.layers[-1], field.name)))
    for name, mine, other in both:
        _check_shape(where, name, mine, other)
    pairs = [(name, mine[0, ours], other[0, theirs]) for name, mine, other in both]
    agreeing = torch.stack([_within(m, o, limits).reshape(len(ours), -1).all(dim=1) for _, m, o in pairs]).all(dim=0)
    others = queries - int(agreeing.sum())
    # No border makes a number that is none.
    finite = all(bool(other.isfinite().all()) for _, _, other in pairs)
    if finite and len(ours) < queries and others > limits.spared_of_tick * queries and limits.swapped_ticks:
        for name, mine, other in pairs:
            _checked(where, name, mine, other, HALF)
        return worst, 0, True
    sparing = 0 < others <= limits.spared_of_tick * queries and finite
    rows = agreeing if sparing else torch.ones_like(agreeing)
    worst = max(worst, *(_checked(where, name, mine[rows], other[rows], limits) for name, mine, other in pairs))
    return worst, others if sparing else 0, False


def _same_queries(expected: QueryOutputs, got: QueryOutputs) -> tuple[Tensor, Tensor]:
    """Rows of the queries of one tick that both have; learned ones are the same in the same order."""
    if not expected.from_peaks:
        rows = torch.arange(expected.query_cells.shape[1])
        return rows, rows
    cells = expected.heatmap.shape[2] * expected.heatmap.shape[3]
    ours, theirs = (o.query_classes[0] * cells + o.query_cells[0] for o in (expected, got))
    same = ours[:, None] == theirs[None, :]
    rows, columns = same.nonzero(as_tuple=True)
    return rows, columns


def _checked(where: str, name: str, expected: Tensor, got: Tensor, limits: ParityLimits) -> float:
    _check_shape(where, name, expected, got)
    apart = (expected - got).abs()
    if bool((expected.isfinite() & ~got.isfinite()).any()):
        raise _unproven(where, f"{name} that is no finite number")
    if float(_within(expected, got, limits).double().mean()) < limits.within:
        raise _unproven(where, f"{name} off by {float(apart.max()):.3g}")
    return float(apart.max()) if apart.numel() else 0.0


def _check_shape(where: str, name: str, expected: Tensor, got: Tensor) -> None:
    if expected.shape != got.shape:
        raise _unproven(where, f"{name} of shape {tuple(got.shape)}, not {tuple(expected.shape)}")


def _within(expected: Tensor, got: Tensor, limits: ParityLimits) -> Tensor:
    """Which numbers lie within the limits; NaN does not."""
    return (expected - got).abs() <= limits.absolute + limits.relative * expected.abs()


def _unproven(where: str, got: str) -> InputError:
    return InputError(
        where=f"parity of {where}",
        got=got,
        expected="the same outputs as the network in eager mode",
        remedy="use the backend 'eager'",
    )
