"""What a comparison of fusions trains, and what of its figures is more than the seeds' own spread."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from tricast.configs.errors import InputError
from tricast.configs.strict import parse_config
from tricast.perception.training.config import TrainingRunConfig

DEFAULT = "default"
REMEMBERED = 64
"""Objects of each tick, of the variant that remembers."""
EMBEDDED = 128
"""Width of the embeddings of a contrastive stage, where the configuration has none."""
FIRST_SHARE = 0.25
"""Of a variant's samples, in its first stage if it has one."""
FIRST_SEED = 1000
"""Added to a first stage's seed: the stage after it then takes other ticks at first."""
COLUMNS = {
    "all": "mAP",
    "without camera": "mAP lidar+radar",
    "without LiDAR": "mAP camera+radar",
    "without radar": "mAP camera+lidar",
    "camera": "mAP camera",
    "LiDAR": "mAP lidar",
    "radar": "mAP radar",
}
"""Columns of the table, and what `validate` calls them."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One training of a comparison.

    Args:
        name: Of its folder and row.
        about: What departs from the default, in words.
        changes: Settings that depart, laid out as in a configuration.
        more_seed: Added to the configuration's seed.
        first: Settings of a stage before it, whose weights it begins with; empty if there is none. The two share the
            configuration's samples.

    """

    name: str
    about: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    more_seed: int = 0
    first: Mapping[str, Any] = field(default_factory=dict)

    def config(self, base: TrainingRunConfig) -> TrainingRunConfig:
        """The base configuration with what departs from it, for the samples that a first stage leaves."""
        first = self.first_stage(base)
        taken = 0 if first is None else first.training.max_samples
        own = {"seed": base.training.seed + self.more_seed, "max_samples": base.training.max_samples - taken}
        return self._parsed(base, {"training": own}, self.changes)

    def first_stage(self, base: TrainingRunConfig) -> TrainingRunConfig | None:
        """Configuration of the stage before; None if there is none.

        It has `FIRST_SHARE` of the samples, in whole batches, and of the configured warm-up.

        Raises:
            InputError: The share has no whole batch.

        """
        if not self.first:
            return None
        samples, seed = base.training.max_samples, base.training.seed + self.more_seed + FIRST_SEED
        warm_up = round(FIRST_SHARE * base.training.optimizer.warmup_samples)
        shorter = {"training": {"seed": seed, "optimizer": {"warmup_samples": warm_up}}}
        stage = self._parsed(base, self.changes, shorter, self.first)
        # A run ends between sequences, so that the samples seen are the samples planned.
        whole = stage.training.batch_size * stage.training.sequence_ticks
        planned = int(FIRST_SHARE * samples) // whole * whole
        if planned == 0:
            raise InputError(
                where=f"variant '{self.name}'",
                got=f"{samples} samples, of which {int(FIRST_SHARE * samples)} for its first stage",
                expected=f"{math.ceil(whole / FIRST_SHARE)} or more, for one batch of it",
                remedy="give more samples, or leave this variant out",
            )
        return stage.model_copy(update={"training": stage.training.model_copy(update={"max_samples": planned})})

    def _parsed(self, base: TrainingRunConfig, *changes: Mapping[str, Any]) -> TrainingRunConfig:
        values = reduce(_overlaid, changes, base.model_dump())
        return parse_config(TrainingRunConfig, values, where=f"variant '{self.name}'")


def variants_of(base: TrainingRunConfig) -> list[Variant]:
    """The default three times with other seeds, and whatever departs from it in one thing each."""
    remembers, drops = base.model.memory.objects > 0, base.training.augmentation.drop_modalities > 0
    memory: dict[str, dict[str, Any]] = {
        "model": {"memory": {"objects": 0 if remembers else min(REMEMBERED, base.model.decoder.queries)}}
    }
    if not remembers:
        memory["training"] = {"sequence_ticks": max(4, base.training.sequence_ticks)}
    dropout = {"training": {"augmentation": {"drop_modalities": 0.0 if drops else 0.5}}}
    denoises = base.training.denoising
    early = {"model": {"fusion": "early", "grid_fusion": "concatenation"}}
    return [
        Variant(name=DEFAULT, about="as configured"),
        Variant(name=f"{DEFAULT}-seed-1", about="another seed", more_seed=1),
        Variant(name=f"{DEFAULT}-seed-2", about="a third seed", more_seed=2),
        Variant(name="early", about="fusion: early, by concatenation", changes=early),
        Variant(name="late", about="fusion: late", changes={"model": {"fusion": "late"}}),
        Variant(name="co-attention", about="fusion: co_attention", changes={"model": {"fusion": "co_attention"}}),
        Variant(name="concatenation", about="grids side by side", changes={"model": {"grid_fusion": "concatenation"}}),
        Variant(
            name="learned-queries",
            about="queries begin at learned places",
            changes={"model": {"decoder": {"starts": "learned"}}},
        ),
        Variant(name="no-memory" if remembers else "memory", about="memory off or on", changes=memory),
        Variant(name="no-dropout" if drops else "dropout", about="modality dropout off or on", changes=dropout),
        Variant(
            name="no-denoising" if denoises else "denoising",
            about="denoising queries off or on",
            changes={"training": {"denoising": not denoises}},
        ),
        Variant(name="contrastive", about="a contrastive stage first", first=_contrastive(base)),
    ]


def _contrastive(base: TrainingRunConfig) -> dict[str, Any]:
    """A stage that aligns the encoders. Larger batches: what a tick is told apart from is the others of its batch."""
    return {
        "model": {"alignment": {"width": base.model.alignment.width or EMBEDDED}},
        "training": {"objective": "contrastive", "batch_size": 4 * base.training.batch_size, "parts": 1},
    }


def spread_of_seeds(figures: Mapping[str, Mapping[str, float]], column: str) -> tuple[float, float] | None:
    """Mean of the default over its seeds and the range between them; None with fewer than two."""
    values = [row[column] for name, row in figures.items() if name.startswith(DEFAULT)]
    return (sum(values) / len(values), max(values) - min(values)) if len(values) > 1 else None


def verdict(figures: Mapping[str, Mapping[str, float]], name: str, column: str) -> str:
    """Whether a variant is `ahead` of the default or `behind`; `-` where the difference is within the seeds' spread."""
    against = spread_of_seeds(figures, column)
    if against is None or name.startswith(DEFAULT):
        return ""
    difference = figures[name][column] - against[0]
    return "-" if abs(difference) <= against[1] else "ahead" if difference > 0 else "behind"


def table_rows(
    variants: Sequence[Variant], figures: Mapping[str, Mapping[str, float]], counts: Mapping[str, str]
) -> list[list[str]]:
    """Cells of the table: name, what departs, figures with what they mean, and `counts` (parameters, time)."""
    rows = []
    for variant in variants:
        if variant.name not in figures:
            continue
        told = [f"{figures[variant.name][key]:.3f}" for key in COLUMNS.values()]
        marks = [verdict(figures, variant.name, key) for key in COLUMNS.values()]
        cells = [f"{value} {mark}".strip() for value, mark in zip(told, marks, strict=True)]
        rows.append([variant.name, variant.about, *cells, counts.get(variant.name, "")])
    spreads = [spread_of_seeds(figures, key) for key in COLUMNS.values()]
    cells = ["" if spread is None else f"{spread[1]:.3f}" for spread in spreads]
    return [*rows, ["spread of the seeds", "largest less smallest", *cells, ""]]


def checked(figures: Mapping[str, float]) -> dict[str, float]:
    """The table's figures of a validation, each there and finite."""
    kept = {key: float(figures[key]) for key in COLUMNS.values()}
    assert all(math.isfinite(value) for value in kept.values()), kept
    return kept


def _overlaid(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    nested = {
        key: _overlaid(values[key], change) if isinstance(change, Mapping) and isinstance(values.get(key), Mapping)
        else change
        for key, change in changes.items()
    }  # fmt: skip
    return {**values, **nested}
