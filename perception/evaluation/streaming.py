"""Streaming evaluation: at each annotation the latest output whose processing had finished counts.

Source: Li et al., "Towards Streaming Perception", ECCV 2020 (sAP); Wang et al., "Are We Ready for Vision-Centric
Driving Streaming Perception? The ASAP Benchmark", CVPR 2023.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from tricast.configs.errors import InputError
from tricast.perception.outputs import Detections, TickResult
from tricast.perception.streaming.extrapolation import along_futures
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.synced_frame import SyncedFrame

Strategy = Literal["copy", "constant_velocity", "trajectory"]
STRATEGIES: tuple[Strategy, ...] = ("copy", "constant_velocity", "trajectory")
"""What is made of an output by the time that it is asked for."""

Step = Callable[[SyncedFrame], tuple[TickResult, int]]
"""Processes one input; gives the result and how long it took, in nanoseconds."""


@dataclass(frozen=True, kw_only=True)
class Latency:
    """How long processing takes: as measured, always the same, or drawn from a log-normal distribution.

    Measured by the clock, or as the processor time of the process's threads together: for a pipeline of one thread
    that is what an idle machine of the same speed would take.

    Args:
        kind: Which of these.
        median_ms: Of the constant or the distribution.
        sigma: Standard deviation of the logarithm.

    """

    kind: Literal["measured", "processor", "constant", "lognormal"] = "measured"
    median_ms: float = 0.0
    sigma: float = 0.0

    @property
    def is_measured(self) -> bool:
        """Whether it depends on the machine."""
        return self.kind in ("measured", "processor")

    def nanoseconds(self, measured_ns: int, processor_ns: int, rng: np.random.Generator) -> int:
        """Time that one input takes, of which it has taken so much by the clock and on the processor."""
        if self.is_measured:
            return measured_ns if self.kind == "measured" else processor_ns
        factor = math.exp(self.sigma * float(rng.standard_normal())) if self.kind == "lognormal" else 1.0
        return round(self.median_ms * 1e6 * factor)


def parse_latency(text: str) -> Latency:
    """A latency as users write it: `measured`, `processor`, `constant:MS` or `lognormal:MEDIAN_MS:SIGMA`.

    Raises:
        InputError: It is none of these.

    """
    kind, *numbers = text.split(":")
    try:
        values = [float(number) for number in numbers]
    except ValueError:
        values = [math.nan]
    if all(math.isfinite(value) and value >= 0 for value in values):
        match kind, values:
            case ("measured" | "processor") as known, []:
                return Latency(kind=known)
            case "constant", [median_ms]:
                return Latency(kind="constant", median_ms=median_ms)
            case "lognormal", [median_ms, sigma]:
                return Latency(kind="lognormal", median_ms=median_ms, sigma=sigma)
    raise InputError(
        where="--streaming",
        got=repr(text),
        expected="measured, processor, constant:MS or lognormal:MEDIAN_MS:SIGMA",
        remedy="for 80 ms throughout write constant:80",
    )


def parse_latencies(text: str) -> dict[str, Latency]:
    """Several latencies separated by commas, by how they are written: `measured,constant:80`.

    Raises:
        InputError: One is not as `parse_latency` takes it.

    """
    return {part: parse_latency(part) for part in (part.strip() for part in text.split(","))}


@dataclass(frozen=True, kw_only=True, eq=False)
class StreamTick:
    """One tick of a log.

    Args:
        frame: What the sensors had delivered.
        is_input: Whether the pipeline is offered it.
        scored: Whether an output is asked for at its time.

    """

    frame: SyncedFrame
    is_input: bool
    scored: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Output:
    """A result and when it was there."""

    result: TickResult
    finished_ns: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """What was there when an output was asked for.

    Args:
        timestamp_ns: When that was.
        odom_from_ego: Pose of the vehicle then.
        output: The latest that had finished; None where none had.

    """

    timestamp_ns: int
    odom_from_ego: SE3
    output: Output | None

    @property
    def age_s(self) -> float | None:
        """Time since the sensors saw what the output says; None without one."""
        if self.output is None:
            return None
        return (self.timestamp_ns - self.output.result.timestamp_ns) / 1e9


@dataclass(eq=False)
class StreamClock:
    """The clock of a simulated vehicle: one input at a time, always the newest, those that came meanwhile skipped.

    An input is there once its last message has arrived. Nothing depends on the machine's clock unless `step` measures.

    Args:
        step: Processes one input.

    Attributes:
        latencies_ns: Of the inputs processed.
        skipped: Inputs that came while the pipeline was busy and were too old when it was free.

    """

    step: Step
    latencies_ns: list[int] = field(default_factory=list)
    skipped: int = 0
    _waiting: SyncedFrame | None = None
    _free_ns: int = 0
    _jumped: bool = False
    _outputs: deque[Output] = field(default_factory=deque)
    _asked: deque[SyncedFrame] = field(default_factory=deque)

    def run(self, stream_ticks: Iterable[StreamTick]) -> Iterator[Answer]:
        """Answers at the scored ticks, in order; holds a bounded number of results."""
        for tick in stream_ticks:
            if tick.frame.discontinuity:
                yield from self._end_scene()
                self._jumped = True
            self._process_before(arrival_ns(tick.frame))
            yield from self._answers_before(tick.frame.timestamp_ns)
            if tick.is_input:
                self._offer(tick.frame)
            if tick.scored:
                self._asked.append(tick.frame)
        yield from self._end_scene()

    def _offer(self, frame: SyncedFrame) -> None:
        # The first input of a scene says so even if the first tick was none, or was skipped.
        first = self._jumped or (self._waiting is not None and self._waiting.discontinuity)
        self.skipped += self._waiting is not None
        self._waiting = replace(frame, discontinuity=first)
        self._jumped = False

    def _process_before(self, time_ns: float) -> None:
        """Process the waiting input if the pipeline takes it before a time."""
        if self._waiting is None:
            return
        begin_ns = max(self._free_ns, arrival_ns(self._waiting))
        if begin_ns >= time_ns:
            return
        result, latency_ns = self.step(self._waiting)
        self._waiting = None
        self._free_ns = begin_ns + latency_ns
        self.latencies_ns.append(latency_ns)
        self._outputs.append(Output(result=result, finished_ns=self._free_ns))

    def _answers_before(self, time_ns: float) -> Iterator[Answer]:
        while self._asked and self._asked[0].timestamp_ns < time_ns:
            frame = self._asked.popleft()
            at_ns = frame.timestamp_ns
            while len(self._outputs) > 1 and self._outputs[1].finished_ns <= at_ns:
                self._outputs.popleft()
            latest = self._outputs[0] if self._outputs and self._outputs[0].finished_ns <= at_ns else None
            pose = frame.ego_motion.odom_from_ego(at_ns)
            yield Answer(timestamp_ns=at_ns, odom_from_ego=pose, output=latest)

    def _end_scene(self) -> Iterator[Answer]:
        self._process_before(math.inf)
        yield from self._answers_before(math.inf)
        self._outputs.clear()
        self._free_ns = 0


def arrival_ns(frame: SyncedFrame) -> int:
    """When an input is complete: its tick, or the arrival of the last message that it uses."""
    messages = [*frame.cameras.values()]
    newest = [scans[0] for scans in [*frame.lidars.values(), *frame.radars.values()]]
    return max([frame.timestamp_ns, *(m.received_ns for m in [*messages, *newest])])


def predicted(answer: Answer, strategy: Strategy) -> Detections:
    """Tracked boxes at the time of an answer, in ego axes then; nothing without an output.

    `copy` leaves boxes where they were in the world, `constant_velocity` moves them by their velocity, `trajectory`
    along their most probable future. Sizes, headings, velocities and scores stay.
    """
    if answer.output is None:
        return Detections.empty(answer.timestamp_ns)
    result = answer.output.result
    age_s = (answer.timestamp_ns - result.timestamp_ns) / 1e9
    boxes = result.tracks.boxes
    centers = boxes.centers_m.copy()
    if strategy == "constant_velocity":
        centers[:, :2] += age_s * boxes.velocities_mps
    elif strategy == "trajectory" and len(boxes):
        centers[:, :2] = along_futures(centers[:, :2], result.trajectories.points_m[:, 0], age_s)
    moved = Boxes(
        centers_m=centers, sizes_m=boxes.sizes_m, yaws_rad=boxes.yaws_rad, velocities_mps=boxes.velocities_mps
    )
    ego_from_then = answer.odom_from_ego.inverse @ result.odom_from_ego
    return Detections(
        timestamp_ns=answer.timestamp_ns,
        boxes=moved.transformed(ego_from_then),
        class_names=result.tracks.class_names,
        scores=result.tracks.scores,
    )
