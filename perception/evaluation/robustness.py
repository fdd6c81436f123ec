"""The robustness table: what is left of a score under every corruption."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np

from tricast.configs.errors import InputError
from tricast.perception.evaluation.corruptions import CORRUPTIONS, MULTICORRUPT, SEVERITIES, Corruption, corrupted
from tricast.perception.evaluation.held_log import HeldLog
from tricast.sensors.calibration import Rig
from tricast.sensors.log.stream import DrivingLog
from tricast.sensors.worker_pool import each_done

NUM_SCENES = 8
SECONDS = 5.0
"""The table is made on the first seconds of the first scenes of a set."""

ResultT = TypeVar("ResultT")
LookedAt: TypeAlias = Callable[[Rig], Collection[str]]
"""Tells the channels of a rig that matter."""


@dataclass(frozen=True, kw_only=True)
class RobustnessRow:
    """One corruption: scores at severities 1 to 3, and those relative to the clean score."""

    name: str
    scores: tuple[float, ...]
    relative: tuple[float, ...]

    @property
    def mean_relative(self) -> float:
        """Resistance ability (RA) of MultiCorrupt: the mean over severities."""
        return float(np.mean(self.relative))


@dataclass(frozen=True, kw_only=True)
class RobustnessTable:
    """What is left of a score under corruptions.

    Args:
        clean: The score without any.
        rows: One per corruption that concerns a sensor that is looked at.
        not_concerned: Names of the others.

    """

    clean: float
    rows: tuple[RobustnessRow, ...]
    not_concerned: tuple[str, ...] = ()

    @property
    def mean_relative(self) -> float:
        """Mean resistance ability (mRA): the mean over corruptions."""
        return float(np.mean([row.mean_relative for row in self.rows]))

    @property
    def mean_relative_of_multicorrupt(self) -> float | None:
        """The mean over those of its ten corruptions that concern a sensor; None if none does."""
        names = {corruption.name for corruption in MULTICORRUPT}
        shares = [row.mean_relative for row in self.rows if row.name in names]
        return float(np.mean(shares)) if shares else None

    @property
    def worst(self) -> RobustnessRow:
        """The corruption that leaves least."""
        return min(self.rows, key=lambda row: row.mean_relative)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "clean": self.clean,
            "mRA": self.mean_relative,
            "mRA_multicorrupt": self.mean_relative_of_multicorrupt,
            "worst": {"name": self.worst.name, "RA": self.worst.mean_relative},
            "corruptions": {
                row.name: {"scores": list(row.scores), "relative": list(row.relative), "RA": row.mean_relative}
                for row in self.rows
            },
            "not_concerned": list(self.not_concerned),
        }


@dataclass(frozen=True, kw_only=True)
class SceneRuns(Generic[ResultT]):
    """Results of one scene: clean, and by corruption at severities 1 to 3."""

    clean: ResultT
    corrupted: dict[str, tuple[ResultT, ...]]


def run_corruptions(
    log: DrivingLog,
    run: Callable[[DrivingLog], ResultT],
    *,
    looked_at: LookedAt | None = None,
    corruptions: Sequence[Corruption] = CORRUPTIONS,
    seconds: float = SECONDS,
) -> SceneRuns[ResultT]:
    """Run something over the first seconds of a log, clean and under every corruption of what it looks at.

    Messages are read and decoded once and held in memory; faults are laid over them anew for each run.
    """
    held = HeldLog(log, seconds)
    channels = held.rig.channels() if looked_at is None else looked_at(held.rig)
    return SceneRuns(
        clean=run(held),
        corrupted={
            corruption.name: tuple(run(corrupted(held, corruption, severity)) for severity in SEVERITIES)
            for corruption in corruptions
            if corruption.concerns(held.rig, channels)
        },
    )


def robustness_table(
    open_scenes: Sequence[Callable[[], DrivingLog]],
    run: Callable[[DrivingLog], ResultT],
    score: Callable[[Sequence[ResultT], Sequence[ResultT]], float],
    *,
    looked_at: LookedAt | None = None,
    corruptions: Sequence[Corruption] = CORRUPTIONS,
    seconds: float = SECONDS,
    workers: int = 1,
    on_scene: Callable[[int], None] = lambda done: None,
) -> RobustnessTable:
    """Score under every corruption, relative to the clean score.

    Args:
        open_scenes: Opens one scene each; with several workers these, `run` and its results are pickled.
        run: What is tested, for instance a pipeline that gives tables of boxes.
        score: Takes the results of all scenes under one condition, and the clean ones of the same scenes, whose
            truth counts: a fault must not change what is asked for.
        looked_at: The channels of a rig that `run` looks at, None for all: what happens to others has no part in the
            table, which would seem the better the fewer sensors were used.
        corruptions: Which ones.
        seconds: How much of each scene.
        workers: Processes, one thread each; the table is the same for any number.
        on_scene: Told how many scenes are done, after each.

    Raises:
        InputError: There is no scene, no corruption concerns its sensors, or the clean score is zero.

    """
    jobs = [(scene, run, looked_at, tuple(corruptions), seconds) for scene in open_scenes]
    scenes: list[SceneRuns[ResultT]] = []
    for scene in each_done(_run_scene, jobs, workers, in_order=True):
        scenes.append(scene)
        on_scene(len(scenes))
    return _table(scenes, score, corruptions)


def _run_scene(
    open_scene: Callable[[], DrivingLog],
    run: Callable[[DrivingLog], ResultT],
    looked_at: LookedAt | None,
    corruptions: Sequence[Corruption],
    seconds: float,
) -> SceneRuns[ResultT]:
    return run_corruptions(open_scene(), run, looked_at=looked_at, corruptions=corruptions, seconds=seconds)


def _table(
    scenes: Sequence[SceneRuns[ResultT]],
    score: Callable[[Sequence[ResultT], Sequence[ResultT]], float],
    corruptions: Sequence[Corruption],
) -> RobustnessTable:
    clean_runs = [scene.clean for scene in scenes]
    concerned = [c.name for c in corruptions if any(c.name in scene.corrupted for scene in scenes)]
    if not concerned:
        raise InputError(
            where="robustness table",
            got=f"{len(scenes)} scenes that none of {len(corruptions)} corruptions concerns",
            expected="a scene with a sensor that they can happen to",
            remedy="choose other scenes or corruptions",
        )
    clean = score(clean_runs, clean_runs)
    if not clean > 0:
        raise InputError(
            where="robustness table",
            got=f"a clean score of {clean:g}",
            expected="a score above 0, which others can be compared with",
            remedy="take more scenes, or a detector that finds something in them",
        )
    rows = []
    for name in concerned:
        # A scene without the sensors in question is as it was.
        by_severity = [
            [scene.corrupted[name][level] if name in scene.corrupted else scene.clean for scene in scenes]
            for level in range(len(SEVERITIES))
        ]
        scores = tuple(score(runs, clean_runs) for runs in by_severity)
        rows.append(RobustnessRow(name=name, scores=scores, relative=tuple(s / clean for s in scores)))
    not_concerned = tuple(c.name for c in corruptions if c.name not in concerned)
    return RobustnessTable(clean=clean, rows=tuple(rows), not_concerned=not_concerned)
