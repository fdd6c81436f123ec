"""The packaged demo log through the pipeline into tables."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tricast.configs.errors import InputError
from tricast.perception.config import PipelineConfig, chosen_config
from tricast.perception.evaluation.box_table import BOX_COLUMNS, BoxTable
from tricast.perception.evaluation.held_log import HeldLog
from tricast.perception.evaluation.run_log import log_names, run_log, run_logs
from tricast.perception.evaluation.run_tables import (
    LogTables,
    load_results,
    load_truth,
    save_results,
    save_truth,
)
from tricast.perception.evaluation.submission import collect_samples
from tricast.perception.streaming.pipeline import Pipeline
from tricast.perception.streaming.replay import select_channels
from tricast.perception.streaming.tick_source import ticks
from tricast.sensors.annotations import Annotations
from tricast.sensors.errors import LogError, SensorDataError
from tricast.sensors.frames import CameraFrame
from tricast.sensors.log.log_part import LogPart
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.stream import LogView, Message
from tricast.sensors.log.writer import LogWriter
from tricast.sensors.synchronization import Synchronizer
from tricast.tools.demo import demo_log_path

SUBSETS = {"all": None, "lidar": ("lidar",)}


@pytest.fixture(scope="module")
def tables() -> LogTables:
    return run_log(open_log(demo_log_path()), PipelineConfig(), SUBSETS, name="demo")


def assert_same(one: BoxTable, other: BoxTable) -> None:
    assert one.sample_tokens == other.sample_tokens
    for name in BOX_COLUMNS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_every_annotation_stamp_is_a_sample_and_ticks_between_are_not(tables: LogTables) -> None:
    stamps = [m.timestamp_ns for m in open_log(demo_log_path()).messages() if isinstance(m, Annotations)]
    assert tables.truth.boxes.sample_time_ns.tolist() == stamps
    assert tables.results["all"].ticks > len(stamps)
    assert tables.results["all"].detections.sample_tokens == tables.truth.boxes.sample_tokens
    assert tables.late_truth == tables.losses.total == 0


def test_pictures_that_do_not_decode_are_lost_messages_whoever_looks_at_them(tmp_path: Path) -> None:
    log, broken = open_log(demo_log_path()), tmp_path / "broken.mcap"
    with LogWriter(broken, log.rig) as writer:
        for message in log.messages(end_ns=log.start_ns + 700_000_000):
            if isinstance(message, CameraFrame) and message.channel == "CAM_LEFT":
                message = replace(message, data=message.data[: len(message.data) // 2])
            writer.write(message)
    subsets = {"all": None, "camera": ("camera",)}
    found = run_log(open_log(broken), chosen_config(detector="network"), subsets, name="broken")
    assert list(found.losses.messages) == ["CAM_LEFT"]
    assert 5 <= found.losses.total <= 7


def test_truth_and_results_lie_in_one_frame(tables: LogTables) -> None:
    truth, found = tables.truth.boxes, tables.results["all"].detections
    last = len(truth.sample_tokens) - 1
    true, boxes = (t.centers_m[(t.sample_index == last) & (t.ego_distance_m < 20)][:, :2] for t in (truth, found))
    nearest = np.linalg.norm(true[:, None] - boxes[None], axis=2).min(axis=1)
    assert np.mean(nearest < 2.0) > 0.5


def test_only_truth_that_some_sensor_saw_counts(tables: LogTables) -> None:
    last = [m for m in open_log(demo_log_path()).messages() if isinstance(m, Annotations)][-1]
    seen = (last.num_lidar_points > 0) | (last.num_radar_points > 0) | (last.num_visible_pixels >= 20)
    truth = tables.truth.boxes
    assert 0 < seen.sum() < len(last)
    assert np.sum(truth.sample_index == len(truth.sample_tokens) - 1) == seen.sum()
    assert (truth.num_points != 0).all()


def test_true_futures_go_on_from_where_objects_are(tables: LogTables) -> None:
    step = tables.truth.futures_m[:, 0] - tables.truth.boxes.centers_m[:, :2]
    expected = 0.5 * tables.truth.boxes.velocities_mps
    assert np.median(np.linalg.norm(step - expected, axis=1)) < 0.1


def test_forecasts_lie_along_the_tracks_own_velocities(tables: LogTables) -> None:
    results = tables.results["all"]
    # The most probable mode of the physical forecasts is constant velocity; both are along the odometry frame's axes.
    step = results.forecasts.offsets_m[:, 0, 0]
    assert np.abs(results.tracks.velocities_mps).max() > 1.0
    np.testing.assert_allclose(step, 0.5 * results.tracks.velocities_mps, atol=0.02)


def test_a_sensor_left_out_of_ticks_equals_one_that_was_never_asked_for(tables: LogTables) -> None:
    log, config = open_log(demo_log_path()), PipelineConfig()
    chosen = select_channels(log.rig, ("lidar", "radar"))
    assert chosen is not None
    asked = Synchronizer(log.rig, config.synchronizer, origin_ns=log.start_ns, channels=chosen)
    everything = Synchronizer(log.rig, config.synchronizer, origin_ns=log.start_ns)
    pairs = zip(ticks(log.messages(), asked), ticks(log.messages(), everything), strict=True)
    for (alone, _), (whole, _) in pairs:
        part = whole.restricted_to(chosen)
        assert part.timestamp_ns == alone.timestamp_ns
        assert part.inputs == alone.inputs
        assert part.health == alone.health
        assert (part.cameras.keys(), part.lidars.keys(), part.radars.keys()) == (
            alone.cameras.keys(),
            alone.lidars.keys(),
            alone.radars.keys(),
        )


def test_a_choice_of_sensors_gives_the_same_beside_others_as_by_itself(tables: LogTables) -> None:
    alone = run_log(open_log(demo_log_path()), PipelineConfig(), {"lidar": ("lidar",)}, name="demo")
    assert len(alone.results["lidar"].detections) > 0
    assert_same(alone.results["lidar"].detections, tables.results["lidar"].detections)
    assert_same(alone.results["lidar"].tracks, tables.results["lidar"].tracks)
    assert_same(alone.truth.boxes, tables.truth.boxes)


def test_sensors_that_a_detector_does_not_look_at_change_nothing() -> None:
    log = open_log(demo_log_path())
    with_cameras, without = Pipeline(), Pipeline()
    looked_at = [c for c, s in log.rig.sensors.items() if s.modality in with_cameras.detector.modalities]
    assert 0 < len(looked_at) < len(log.rig.sensors)
    synchronizer = Synchronizer(log.rig, PipelineConfig().synchronizer, origin_ns=log.start_ns)
    found = 0
    for frame, _ in ticks(log.messages(end_ns=log.start_ns + 500_000_000), synchronizer):
        whole, part = with_cameras.step(frame), without.step(frame.restricted_to(looked_at))
        np.testing.assert_array_equal(whole.detections.boxes.centers_m, part.detections.boxes.centers_m)
        np.testing.assert_array_equal(whole.tracks.scores, part.tracks.scores)
        found += len(part.detections)
    assert found > 20


def test_tables_come_back_from_their_files(tables: LogTables, tmp_path: Path) -> None:
    save_truth(tmp_path / "truth.npz", tables.truth)
    save_results(tmp_path / "all.npz", tables.results["all"])
    truth, results = load_truth(tmp_path / "truth.npz"), load_results(tmp_path / "all.npz")
    assert_same(truth.boxes, tables.truth.boxes)
    np.testing.assert_array_equal(truth.futures_m, tables.truth.futures_m)
    assert_same(results.tracks, tables.results["all"].tracks)
    for name in ("offsets_m", "probabilities", "turn_rates_radps", "accelerations_mps2"):
        stored, kept = (getattr(r.forecasts, name) for r in (results, tables.results["all"]))
        np.testing.assert_array_equal(stored, kept, err_msg=name)
    assert results.ticks == tables.results["all"].ticks
    assert sorted(p.name for p in tmp_path.iterdir()) == ["all.npz", "truth.npz"]


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "noise.npz").write_bytes(b"PK\x03\x04noise")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    for name in ("none.npz", "noise.npz", "other.npz"):
        with pytest.raises(SensorDataError, match=name):
            load_truth(tmp_path / name)


def test_a_table_with_a_damaged_byte_is_read_or_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "whole.npz", x=np.arange(3000) % 7)
    whole, refused = (tmp_path / "whole.npz").read_bytes(), 0
    for place in range(0, len(whole), 3):
        data = bytearray(whole)
        data[place] ^= 0x5A
        (tmp_path / "hit.npz").write_bytes(data)
        with pytest.raises(SensorDataError, match=r"hit\.npz"):
            load_truth(tmp_path / "hit.npz")
        refused += 1
    assert refused > 50


def test_a_log_without_truth_is_refused(tmp_path: Path) -> None:
    log = open_log(demo_log_path())
    with LogWriter(tmp_path / "bare.mcap", log.rig) as writer:
        for message in log.messages(end_ns=log.start_ns + 600_000_000):
            if not isinstance(message, Annotations):
                writer.write(message)
    with pytest.raises(LogError, match="no annotations"):
        run_log(open_log(tmp_path / "bare.mcap"), PipelineConfig(), SUBSETS, name="bare")
    # Raised in a process of its own, the error is the same.
    with pytest.raises(LogError, match=r"bare\.mcap: got no annotations"):
        run_logs([tmp_path / "bare.mcap", demo_log_path()], PipelineConfig(), SUBSETS, workers=2)


def test_a_part_of_a_log_is_scored_as_if_nothing_had_been_before_it(tables: LogTables) -> None:
    log, choice = open_log(demo_log_path()), {"lidar": ("lidar",)}
    stamps_ns = tables.truth.boxes.sample_time_ns
    part = LogPart(start_s=1.2, duration_s=1.0)
    scored = run_log(log, PipelineConfig(), choice, name="demo", part=part)
    inside = (stamps_ns > log.start_ns + 1_200_000_000) & (stamps_ns < log.start_ns + 2_200_000_000)
    assert 0 < inside.sum() < len(stamps_ns)
    assert scored.truth.boxes.sample_time_ns.tolist() == stamps_ns[inside].tolist()
    assert scored.results["lidar"].ticks < tables.results["lidar"].ticks
    with pytest.raises(LogError, match="part that --start"):
        run_log(log, PipelineConfig(), choice, name="demo", part=LogPart(start_s=1.1, duration_s=0.1))
    for wrong in (
        LogPart(start_s=1e3),
        LogPart(start_s=-1),
        LogPart(duration_s=0),
        LogPart(start_s=float("nan")),
        LogPart(duration_s=float("inf")),
    ):
        with pytest.raises(InputError, match=r"--start|--duration"):
            run_log(log, PipelineConfig(), choice, name="demo", part=wrong)


def test_truth_whose_sweeps_may_arrive_behind_the_end_of_a_part_is_left_out() -> None:
    log = open_log(demo_log_path())
    stamps_ns = [m.timestamp_ns for m in log.messages() if isinstance(m, Annotations)]
    assert stamps_ns[2] < log.end_ns - 100_000_000

    def last_ns(duration_ns: int) -> int:
        messages = LogPart(duration_s=duration_ns / 1e9).messages(log)
        return [m.timestamp_ns for m in messages if isinstance(m, Annotations)][-1]

    assert last_ns(stamps_ns[2] - log.start_ns + 99_000_000) == stamps_ns[1]
    assert last_ns(stamps_ns[2] - log.start_ns + 101_000_000) == stamps_ns[2]
    # Where the log itself ends, all of its truth is in.
    assert last_ns(log.end_ns - log.start_ns) == stamps_ns[-1]


def test_a_jump_in_time_begins_a_new_scene(tmp_path: Path) -> None:
    log = open_log(demo_log_path())
    gap_ns = (1_200_000_000, 5_000_000_000)
    with LogWriter(tmp_path / "gap.mcap", log.rig) as writer:
        for message in log.messages():
            since_ns = message.received_ns - log.start_ns
            shift_ns = gap_ns[1] if since_ns > gap_ns[0] else 0
            moved = {"timestamp_ns": message.timestamp_ns + shift_ns, "received_ns": message.received_ns + shift_ns}
            writer.write(type(message)(**{**vars(message), **moved}))
    tables = run_log(open_log(tmp_path / "gap.mcap"), PipelineConfig(), {"lidar": ("lidar",)}, name="gap")
    assert tables.truth.boxes.sample_scene.tolist() == [0, 0, 1, 1, 1, 1]
    assert tables.results["lidar"].tracks.sample_scene.tolist() == [0, 0, 1, 1, 1, 1]


class Twice(LogView):
    """A log whose clock is set back at its end, onto the same stamps."""

    def messages(self, *, start_ns: int | None = None, end_ns: int | None = None) -> Iterator[Message]:
        for _ in range(2):
            yield from self._log.messages(start_ns=start_ns, end_ns=end_ns)


def test_samples_of_a_clock_that_was_set_back_onto_the_same_stamps_have_names_of_their_own() -> None:
    log, config = Twice(HeldLog(open_log(demo_log_path()), 1.5)), PipelineConfig()
    boxes = run_log(log, config, {"lidar": ("lidar",)}, name="demo").truth.boxes
    first, count = boxes.sample_tokens[0], len(boxes.sample_tokens) // 2
    assert boxes.sample_tokens[count] == f"{first}#1"
    assert {token.rpartition("/")[0] for token in boxes.sample_tokens} == {"demo"}
    assert boxes.sample_scene.tolist() == [0] * count + [1] * count
    submitted = collect_samples(log, config, sensors=("lidar",), token_of=lambda at_ns: f"demo/{at_ns}")
    assert tuple(sample.token for sample in submitted) == boxes.sample_tokens


def test_logs_are_named_by_their_files_and_by_their_folders_where_those_are_alike(tmp_path: Path) -> None:
    assert log_names([Path("/a/x.mcap"), Path("/a/y.mcap")]) == ["x", "y"]
    assert log_names([Path("/a/x.mcap"), Path("/b/x.mcap")]) == ["a/x.mcap", "b/x.mcap"]
    assert log_names([Path("/a/x.v1"), Path("/a/x.v2"), Path("/a/x")]) == ["a/x.v1", "a/x.v2", "a/x"]
    with pytest.raises(InputError, match="twice"):
        log_names([Path("/a/x.mcap"), Path("/a/../a/x.mcap")])


@pytest.mark.slow
def test_any_number_of_processes_gives_the_same_tables(tmp_path: Path) -> None:
    copy = tmp_path / "copy.mcap"
    copy.write_bytes(demo_log_path().read_bytes())
    paths = [demo_log_path(), copy]
    runs = [run_logs(paths, PipelineConfig(), {"lidar": ("lidar",)}, workers=workers) for workers in (1, 2)]
    for one, other in zip(*runs, strict=True):
        assert_same(one.truth.boxes, other.truth.boxes)
        assert_same(one.results["lidar"].tracks, other.results["lidar"].tracks)
