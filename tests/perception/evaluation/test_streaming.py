"""Streaming: which output counts when, by hand, and what is made of it."""

from collections.abc import Iterator

import numpy as np
import pytest

from tricast.configs.errors import InputError
from tricast.perception.evaluation.streaming import (
    Answer,
    Latency,
    Output,
    StreamClock,
    StreamTick,
    arrival_ns,
    parse_latencies,
    parse_latency,
    predicted,
)
from tricast.perception.outputs import Detections, TickResult, Tracks, Trajectories
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.frames import LidarSweep
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.motion_compensation import EgoMotion
from tricast.sensors.synced_frame import SyncedFrame

MS = 1_000_000


def frame(at_ms: int, *, discontinuity: bool = False, arrives_ms: int | None = None) -> SyncedFrame:
    rig = Rig.of([SensorCalibration(channel="LIDAR", modality="lidar", ego_from_sensor=SE3())])
    lidars = {}
    if arrives_ms is not None:
        sweep = LidarSweep.from_points("LIDAR", at_ms * MS, np.zeros((1, 3)), received_ns=arrives_ms * MS)
        lidars = {"LIDAR": (sweep,)}
    return SyncedFrame(
        timestamp_ns=at_ms * MS, rig=rig, ego_motion=EgoMotion(), lidars=lidars, discontinuity=discontinuity
    )


def result(
    at_ns: int, *, velocity: tuple[float, float] = (0, 0), path: np.ndarray | None = None, pose: SE3 | None = None
) -> TickResult:
    """One car ten metres ahead, with one future."""
    boxes = Boxes(
        centers_m=np.array([[10.0, 0, 1]]),
        sizes_m=np.array([[4.0, 2, 1.5]]),
        yaws_rad=np.zeros(1),
        velocities_mps=np.array([velocity], np.float64),
    )
    tracks = Tracks(
        timestamp_ns=at_ns,
        boxes=boxes,
        class_names=("car",),
        scores=np.array([0.9]),
        track_ids=np.array([1]),
        turn_rates_radps=np.zeros(1),
        detection_indices=np.zeros(1, np.int64),
        class_scores=np.zeros((1, 10)),
    )
    points = np.zeros((1, 2, 12, 2)) if path is None else np.stack([path, np.zeros((12, 2))])[None]
    return TickResult(
        timestamp_ns=at_ns,
        odom_from_ego=pose or SE3(),
        detections=Detections.empty(at_ns),
        tracks=tracks,
        trajectories=Trajectories(probabilities=np.array([[0.7, 0.3]]), points_m=points),
        inputs=(),
        health={},
    )


def clock(*latencies_ms: int) -> StreamClock:
    """A pipeline that takes these times one after another, the last one for ever."""
    left = list(latencies_ms)

    def step(given: SyncedFrame) -> tuple[TickResult, int]:
        return result(given.timestamp_ns), (left.pop(0) if len(left) > 1 else left[0]) * MS

    return StreamClock(step=step)


def pairing(run: Iterator[Answer]) -> dict[int, int | None]:
    """Input time of the output that counts, by the time it was asked for, in milliseconds."""
    return {a.timestamp_ns // MS: None if a.output is None else a.output.result.timestamp_ns // MS for a in run}


def at_10_hz(until_ms: int, scored_ms: set[int]) -> list[StreamTick]:
    times = sorted({*range(0, until_ms + 1, 100), *scored_ms})
    return [StreamTick(frame=frame(t), is_input=t % 100 == 0, scored=t in scored_ms) for t in times]


def test_a_slow_pipeline_takes_the_newest_input_and_skips_the_rest() -> None:
    # Input 0 is done at 250, 200 (taken at 250) at 500, 500 at 750, 700 (taken at 750) at 1000.
    slow = clock(250)
    assert pairing(slow.run(at_10_hz(1000, {0, 249, 250, 499, 500, 1000}))) == {
        0: None,
        249: None,
        250: 0,
        499: 0,
        500: 200,
        1000: 700,
    }
    assert len(slow.latencies_ns) == 5  # 1000 is processed too, though nobody asks any more
    assert slow.skipped == 6


def test_a_fast_pipeline_is_one_input_behind() -> None:
    fast = clock(30)
    assert pairing(fast.run(at_10_hz(500, {0, 29, 30, 100, 499, 500}))) == {
        0: None,
        29: None,
        30: 0,
        100: 0,
        499: 400,
        500: 400,
    }
    assert fast.skipped == 0


def test_without_latency_the_input_of_the_same_time_counts() -> None:
    assert pairing(clock(0).run(at_10_hz(300, {0, 100, 150, 300}))) == {0: 0, 100: 100, 150: 100, 300: 300}


def test_one_slow_input_delays_the_following() -> None:
    # 0 takes 350 and is done at 350; then 300 takes 60 and is done at 410; then 400 at 470.
    assert pairing(clock(350, 60).run(at_10_hz(500, {350, 409, 410, 469, 470}))) == {
        350: 0,
        409: 0,
        410: 300,
        469: 300,
        470: 400,
    }


def test_at_2_hz_the_output_is_at_least_half_a_second_old() -> None:
    ticks = [StreamTick(frame=frame(t), is_input=True, scored=True) for t in range(0, 2001, 500)]
    assert pairing(clock(80).run(ticks)) == {0: None, 500: 0, 1000: 500, 1500: 1000, 2000: 1500}


def test_an_input_is_there_once_its_last_message_has_arrived() -> None:
    late = frame(100, arrives_ms=140)
    assert arrival_ns(late) == 140 * MS
    assert arrival_ns(frame(100, arrives_ms=90)) == 100 * MS
    ticks = [StreamTick(frame=late, is_input=True, scored=False)]
    ticks += [StreamTick(frame=frame(t), is_input=False, scored=True) for t in (169, 170)]
    assert pairing(clock(30).run(ticks)) == {169: None, 170: 100}


def test_nothing_of_one_scene_counts_in_the_next_and_its_first_input_says_so() -> None:
    seen: list[tuple[int, bool]] = []

    def step(given: SyncedFrame) -> tuple[TickResult, int]:
        seen.append((given.timestamp_ns // MS, given.discontinuity))
        return result(given.timestamp_ns), 250 * MS

    ticks = at_10_hz(300, {300})
    ticks += [
        # The first tick of the second scene is no input, the second is skipped.
        StreamTick(frame=frame(10_050, discontinuity=True), is_input=False, scored=True),
        StreamTick(frame=frame(10_100, arrives_ms=10_150), is_input=True, scored=False),
        StreamTick(frame=frame(10_150), is_input=True, scored=False),
        StreamTick(frame=frame(10_400), is_input=False, scored=True),
    ]
    assert pairing(StreamClock(step=step).run(ticks)) == {300: 0, 10_050: None, 10_400: 10_150}
    assert seen == [(0, False), (200, False), (300, False), (10_150, True)]


def answer(given: TickResult, at_ms: int, pose: SE3 | None = None) -> Answer:
    output = Output(result=given, finished_ns=given.timestamp_ns + 10)
    return Answer(timestamp_ns=at_ms * MS, odom_from_ego=pose or SE3(), output=output)


def test_outputs_by_the_time_they_are_asked_for() -> None:
    path = np.stack([10 + 5.0 * np.arange(1, 13), np.arange(1, 13) ** 2], axis=1)
    late = answer(result(0, velocity=(8, -1), path=path), 750)
    assert predicted(late, "copy").boxes.centers_m.tolist() == [[10, 0, 1]]
    assert predicted(late, "constant_velocity").boxes.centers_m.tolist() == [[16, -0.75, 1]]
    # Half-way between the points at 0.5 s, (15, 1), and 1 s, (20, 4).
    assert predicted(late, "trajectory").boxes.centers_m.tolist() == [[17.5, 2.5, 1]]
    beyond = answer(result(0, path=path), 9000)
    assert predicted(beyond, "trajectory").boxes.centers_m[0, :2].tolist() == path[-1].tolist()


def test_a_copy_stays_where_it_was_in_the_world_while_the_vehicle_moves_on() -> None:
    moved = SE3.from_yaw(np.pi / 2, (4.0, 0.0, 0.0))
    boxes = predicted(answer(result(0), 100, moved), "copy").boxes
    # Ten metres ahead is six metres to the right after four metres and a quarter turn to the left.
    np.testing.assert_allclose(boxes.centers_m, [[0, -6, 1]], atol=1e-9)
    assert boxes.yaws_rad[0] == pytest.approx(-np.pi / 2)


def test_without_an_output_there_are_no_boxes() -> None:
    empty = Answer(timestamp_ns=0, odom_from_ego=SE3(), output=None)
    assert len(predicted(empty, "trajectory")) == 0
    assert empty.age_s is None


def test_latencies_as_users_write_them() -> None:
    assert parse_latency("measured") == Latency()
    assert parse_latency("constant:80") == Latency(kind="constant", median_ms=80)
    assert parse_latency("lognormal:60:0.3") == Latency(kind="lognormal", median_ms=60, sigma=0.3)


@pytest.mark.parametrize("text", ["", "fast", "constant", "constant:x", "constant:-1", "lognormal:60", "measured:1"])
def test_other_latencies_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="constant:MS"):
        parse_latency(text)


def test_several_latencies_are_separated_by_commas() -> None:
    assert parse_latencies("processor, constant:80") == {
        "processor": Latency(kind="processor"),
        "constant:80": Latency(kind="constant", median_ms=80),
    }
    with pytest.raises(InputError, match="constant:MS"):
        parse_latencies("measured,")


def test_latencies_are_measured_constant_or_drawn() -> None:
    rng = np.random.default_rng(0)
    assert Latency().nanoseconds(7, 5, rng) == 7
    assert Latency(kind="processor").nanoseconds(7, 5, rng) == 5
    assert Latency(kind="constant", median_ms=80).nanoseconds(7, 5, rng) == 80 * MS
    drawn = [Latency(kind="lognormal", median_ms=60, sigma=0.3).nanoseconds(7, 5, rng) for _ in range(4000)]
    assert np.median(drawn) == pytest.approx(60 * MS, rel=0.03)
    assert np.std(np.log(drawn)) == pytest.approx(0.3, rel=0.05)
