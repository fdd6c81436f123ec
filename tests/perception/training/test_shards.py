"""Ticks go into shards and come back; what is no shard is refused with a reason."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from tricast.configs.errors import InputError
from tricast.perception.batch import BatchConfig
from tricast.perception.query_memory import MemoryConfig
from tricast.perception.streaming.tick_source import ticks
from tricast.perception.tick_sample import SampleConfig, TickSample, sample_of
from tricast.perception.training.augmentation import AugmentationConfig
from tricast.perception.training.batches import BatchSource, TrainingBatches, check_source
from tricast.perception.training.shards import ShardSet, ShardWriter, settings_digest, synchronizer_for
from tricast.sensors.annotations import DETECTION_CLASSES, Annotations
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.frames import CameraFrame, LidarSweep
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.lenses import FisheyeLens, MeiLens
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.open_log import open_log
from tricast.sensors.synced_frame import SyncedFrame
from tricast.sensors.synchronization import Synchronizer
from tricast.tools.demo import demo_log_path
from tricast.tools.make_shards import shards_of_logs

CONFIG = SampleConfig()


def test_a_tick_comes_back_as_it_was_made(shards: Path) -> None:
    log = open_log(demo_log_path())
    synchronizer = Synchronizer(log.rig, synchronizer_for(SampleConfig()), origin_ns=log.start_ns)
    frame, truth = next((f, t) for f, t in ticks(log.messages(), synchronizer) if t is not None)
    sample, tick = sample_of(frame, CONFIG), ShardSet(shards)[0]
    assert tick.sample.timestamp_ns == frame.timestamp_ns
    assert sample.lidar is not None and tick.sample.lidar is not None and tick.sample.radar is not None
    np.testing.assert_allclose(tick.sample.lidar[:, :3], sample.lidar[:, :3], atol=0.5 / 256 + 1e-6)
    np.testing.assert_allclose(tick.sample.lidar[:, 3:], sample.lidar[:, 3:], rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(tick.sample.radar, sample.radar)
    assert tick.sample.odom_from_ego == frame.ego_motion.odom_from_ego(frame.timestamp_ns)
    for ours, theirs in zip(tick.sample.cameras, sample.cameras, strict=True):
        assert (ours.channel, ours.image.data, ours.lens) == (theirs.channel, theirs.image.data, theirs.lens)
        assert ours.tick_from_camera == theirs.tick_from_camera
    np.testing.assert_allclose(tick.truth.centers_m, truth.boxes.centers_m, atol=1e-4)
    assert [DETECTION_CLASSES[i] for i in tick.truth.class_indices] == list(truth.class_names)
    np.testing.assert_array_equal(tick.truth.num_visible_pixels, truth.num_visible_pixels)


def test_it_does_not_matter_how_a_sample_lies_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def by_columns(frame: SyncedFrame, config: SampleConfig) -> TickSample:
        sample = sample_of(frame, config)
        assert sample.lidar is not None and sample.radar is not None
        return replace(sample, lidar=np.asfortranarray(sample.lidar), radar=np.asfortranarray(sample.radar))

    log = open_log(demo_log_path())
    synchronizer = Synchronizer(log.rig, synchronizer_for(CONFIG), origin_ns=log.start_ns)
    pair = next((f, t) for f, t in ticks(log.messages(), synchronizer) if t is not None)
    ShardWriter(tmp_path / "rows", source="made", config=CONFIG).write("s", [pair])
    monkeypatch.setattr("tricast.perception.training.shards.sample_of", by_columns)
    ShardWriter(tmp_path / "columns", source="made", config=CONFIG).write("s", [pair])
    rows, columns = (ShardSet(tmp_path / name)[0].sample for name in ("rows", "columns"))
    np.testing.assert_array_equal(columns.lidar, rows.lidar)
    np.testing.assert_array_equal(columns.radar, rows.radar)


def test_a_range_that_shards_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"range_m: got 200; expected at most 127"):
        ShardWriter(tmp_path / "shards", source="made", config=SampleConfig(range_m=200.0))
    assert not (tmp_path / "shards").exists()


def test_an_object_keeps_its_number_over_a_scene(shards: Path) -> None:
    ticks_of_scene = ShardSet(shards)
    assert len(ticks_of_scene) == 6
    first, second = ticks_of_scene[0].truth, ticks_of_scene[1].truth
    shared = np.intersect1d(first.instance_indices, second.instance_indices)
    assert len(shared) > 10
    for number in shared:
        sizes = [t.sizes_m[t.instance_indices == number][0] for t in (first, second)]
        np.testing.assert_array_equal(*sizes)


def test_any_lens_raw_pixels_and_missing_sensors_come_back(tmp_path: Path) -> None:
    size = {"width_px": 32, "height_px": 16, "focal_px": (20.0, 21.0), "principal_px": (15.5, 7.5)}
    rig = Rig.of(
        [
            SensorCalibration(channel="A", modality="camera", ego_from_sensor=SE3(), lens=FisheyeLens(**size)),
            SensorCalibration(channel="B", modality="camera", ego_from_sensor=SE3(), lens=MeiLens(**size, mirror=1.2)),
            SensorCalibration(channel="L", modality="lidar", ego_from_sensor=SE3()),
        ]
    )
    pixels = np.arange(32 * 16 * 3, dtype=np.uint8).reshape(16, 32, 3)
    pictures = [CameraFrame.from_pixels(channel, 0, pixels) for channel in "AB"]
    truth = Annotations.from_boxes(0, Boxes.empty(), (), ())
    empty = LidarSweep.from_points("L", 0, np.zeros((0, 3)))
    writer = ShardWriter(tmp_path, source="made", config=CONFIG)
    writer.write("s", [(SyncedFrame.of(rig, 0, pictures), truth), (SyncedFrame.of(rig, 0, [empty]), truth)])
    seen, dark = ShardSet(tmp_path)
    assert [camera.lens for camera in seen.sample.cameras] == [rig["A"].lens, rig["B"].lens]
    np.testing.assert_array_equal(seen.sample.cameras[0].image.pixels(), pixels)
    assert seen.sample.lidar is None and seen.sample.radar is None
    assert dark.sample.cameras == () and dark.sample.lidar is not None and len(dark.sample.lidar) == 0
    assert len(dark.truth) == 0


def test_where_time_jumps_another_scene_begins_and_no_sequence_crosses_it(tmp_path: Path) -> None:
    rig = Rig.of([SensorCalibration(channel="L", modality="lidar", ego_from_sensor=SE3())])
    written = []
    for time_ms in (0, 500, 1000, 4000, 4500, 2000, 2500):  # a pause, and a clock that is set back
        stamp_ns = (100_000 + time_ms) * 1_000_000
        sweep = LidarSweep.from_points("L", stamp_ns, np.zeros((1, 3)))
        truth = Annotations.from_boxes(stamp_ns, Boxes.empty(), (), ())
        written.append((SyncedFrame.of(rig, stamp_ns, [sweep]), truth))
    writer = ShardWriter(tmp_path, source="made", config=CONFIG)
    writer.write("a", written)
    writer.write("b", written[:2])
    shards = ShardSet(tmp_path)
    assert [shards.scene_of(index) for index in range(len(shards))] == [0, 0, 0, 1, 1, 2, 2, 3, 3]
    source = BatchSource(
        folder=tmp_path,
        scenes=("a",),
        batch_size=3,
        seed=0,
        batch_config=BatchConfig(range_m=25.6, cells=32, image_size_px=(64, 32)),
        augmentation=AugmentationConfig(),
        seed_jitter_m=0.0,
        memory=MemoryConfig(),
        sequence_ticks=2,
    )
    batches = TrainingBatches(source)
    steps_ms = (batches[1].sensors.timestamps_ns - batches[0].sensors.timestamps_ns) // 1_000_000
    assert steps_ms.tolist() == [500, 500, 500]
    with pytest.raises(InputError, match=r"at most 3 ticks with truth, 0\.5 s apart; expected one of 4 ticks"):
        check_source(replace(source, sequence_ticks=4))


def test_a_scene_without_truth_is_no_shard(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path, source="made", config=CONFIG)
    assert writer.write("s", [(SyncedFrame.of(Rig.of([]), 0, []), None)]) == 0
    assert not writer.has("s")


def test_a_folder_that_cannot_be_made_and_a_shard_that_cannot_be_written_are_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="expected a folder that can be written"):
        ShardWriter(tmp_path / "file" / "shards", source="the demo", config=SampleConfig())
    writer, log = ShardWriter(tmp_path / "shards", source="the demo", config=SampleConfig()), open_log(demo_log_path())
    (tmp_path / "shards" / "demo.safetensors.partial").mkdir()
    synchronizer = Synchronizer(log.rig, synchronizer_for(SampleConfig()), origin_ns=log.start_ns)
    with pytest.raises(InputError, match=r"demo\.safetensors: .* expected a disk that takes the whole file"):
        writer.write("demo", ticks(log.messages(end_ns=log.start_ns + 700_000_000), synchronizer))
    assert not writer.has("demo")


def test_making_shards_again_adds_only_what_is_missing(shards: Path) -> None:
    before = (shards / "demo.safetensors").stat().st_mtime_ns
    assert shards_of_logs([demo_log_path()], shards, CONFIG, source="demo") == 0
    assert (shards / "demo.safetensors").stat().st_mtime_ns == before


def test_shards_made_with_other_settings_are_not_mixed(shards: Path) -> None:
    with pytest.raises(InputError, match=r"manifest\.json.*choose another folder"):
        ShardWriter(shards, source="demo", config=SampleConfig(range_m=20.0))
    with pytest.raises(InputError, match=r"other.*choose another folder"):
        ShardWriter(shards, source="other", config=CONFIG)


def test_what_is_no_folder_of_shards_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no readable manifest"):
        ShardSet(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(InputError, match="another format"):
        ShardSet(tmp_path)
    ShardWriter(tmp_path / "new", source="x", config=CONFIG)
    with pytest.raises(InputError, match="no ticks with truth"):
        ShardSet(tmp_path / "new")


def test_folders_of_several_sources_are_read_as_one(shards: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        shutil.copytree(shards, tmp_path / name)
    (tmp_path / "b" / "manifest.json").write_text(json.dumps({"format": 1, "source": "another"}))
    both = ShardSet(tmp_path)
    assert both.scene_names == ("a/demo", "b/demo")
    assert both.sources == ("demo", "another")
    assert len(both) == 2 * len(ShardSet(shards)) and both.scene_of(len(both) - 1) == 1
    assert ShardSet(tmp_path, ["b/demo"]).sources == ("another",)
    (tmp_path / "a" / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"a/manifest\.json.*no readable manifest"):
        ShardSet(tmp_path)


def test_a_damaged_or_missing_scene_is_named(shards: Path, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes((shards / "manifest.json").read_bytes())
    (tmp_path / "cut.safetensors").write_bytes((shards / "demo.safetensors").read_bytes()[:1000])
    with pytest.raises(InputError, match=r"cut\.safetensors.*delete it"):
        ShardSet(tmp_path)
    with pytest.raises(InputError, match=r"gone\.safetensors"):
        ShardSet(tmp_path, ["gone"])


def test_a_scene_is_not_there_before_it_is_whole(tmp_path: Path) -> None:
    def breaks():
        yield from ()
        raise OSError("disk")

    writer = ShardWriter(tmp_path, source="x", config=CONFIG)
    with pytest.raises(OSError, match="disk"):
        writer.write("s", breaks())
    assert not writer.has("s")


def test_lidar_takes_ten_bytes_a_point(shards: Path) -> None:
    with safe_open(shards / "demo.safetensors", framework="numpy") as file:
        assert file.get_tensor("0000.lidar_xyz").dtype == np.int16
        assert file.get_tensor("0000.lidar_rest").dtype == np.float16


def test_shards_hold_as_many_sweeps_as_the_network_takes() -> None:
    assert (synchronizer_for(CONFIG).lidar_sweeps, synchronizer_for(CONFIG).lidar_span_s) == (5, pytest.approx(0.46))
    ten = SampleConfig(lidar_lags_s=tuple(0.05 * i for i in range(10)), radar_scans=6)
    assert (synchronizer_for(ten).lidar_sweeps, synchronizer_for(ten).radar_scans) == (10, 6)


def test_folders_made_with_the_usual_settings_stay_usable() -> None:
    """Rendering them again takes hours: change this digest only where the content of shards changes."""
    assert settings_digest("logs", CONFIG) == "4a0a038407798afb"
