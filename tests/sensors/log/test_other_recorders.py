"""Files as other recorders write them: without chunks or indexes, with own records, or tables lost to damage."""

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.writer import CompressionType, IndexType, Writer

from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.frames import EgoPose, LidarSweep
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log import chunks, reader
from tricast.sensors.log import messages as ros
from tricast.sensors.log.chunks import scan
from tricast.sensors.log.cloud_messages import cloud_message
from tricast.sensors.log.convert import convert
from tricast.sensors.log.reader import McapLog
from tricast.sensors.log.schema import header, message_class, schema_text, serialize

T0 = 1_700_000_000_000_000_000
STEP = 100_000_000
ODOMETRY = "nav_msgs/msg/Odometry"
RIG = Rig.of([SensorCalibration(channel="LIDAR", modality="lidar", ego_from_sensor=SE3())])
Entry = tuple[str, Any, int]


def written(path: Path, entries: Iterable[Entry], announced: tuple[str, str] | None = None, **options: Any) -> Path:
    """A file of messages in the order given; `announced` is a topic with its type that has a channel in any case."""
    with path.open("wb") as file:
        writer = Writer(file, **options)
        writer.start(profile="ros2", library="another recorder")
        numbers: dict[str, int] = {}

        def number(topic: str, kind: str) -> int:
            if topic not in numbers:
                schema = writer.register_schema(kind, "ros2msg", schema_text(kind).encode())
                numbers[topic] = writer.register_channel(topic, "cdr", schema)
            return numbers[topic]

        if announced is not None:
            number(*announced)
        for topic, message, at_ns in entries:
            writer.add_message(number(topic, message.__msgtype__), at_ns, serialize(message), at_ns)
        writer.finish()
    return path


def mounts(*placed: tuple[str, SE3]) -> Entry:
    return "/tf_static", ros.transform_message(T0, [("base_link", name, pose) for name, pose in placed]), T0


def sweep(step: int, channel: str = "LIDAR") -> Entry:
    points = np.full((4, 3), step, np.float32)
    at_ns = T0 + step * STEP
    return f"/sensors/{channel}/points", cloud_message(LidarSweep.from_points(channel, at_ns, points)), at_ns


def moved(step: int) -> Entry:
    at_ns = T0 + step * STEP
    ahead = SE3(translation_m=(float(step), 0.0, 0.0))
    return "/tf", ros.transform_message(at_ns, [("odom", "base_link", ahead)]), at_ns


def odometry(step: int, frame: str = "base_link") -> Entry:
    at_ns = T0 + step * STEP
    message = ros.odometry_message(EgoPose(timestamp_ns=at_ns, received_ns=at_ns, odom_from_ego=SE3()))
    message.child_frame_id = frame
    return "/odometry", message, at_ns


def pose_stamped(step: int) -> Entry:
    at_ns = T0 + step * STEP
    place = ros.pose_message(SE3())
    return "/odometry", message_class("geometry_msgs/msg/PoseStamped")(header=header(at_ns, "odom"), pose=place), at_ns


def poses(log: McapLog) -> list[EgoPose]:
    return [m for m in log.messages() if isinstance(m, EgoPose)]


def told(log: McapLog) -> list[tuple[str, int]]:
    return [(type(m).__name__, m.received_ns - T0) for m in log.messages()]


@pytest.mark.parametrize("run_bytes", [1, 1000, 1 << 20])
def test_a_file_without_chunks_is_read_as_one_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_bytes: int
) -> None:
    monkeypatch.setattr(chunks, "LOOSE_RUN_BYTES", run_bytes)
    order = [3, 0, 4, 1, 5, 2]
    entries = [mounts(("LIDAR", SE3())), *(entry(step) for step in order for entry in (sweep, odometry))]
    loose = written(tmp_path / "loose.mcap", entries, use_chunking=False)
    log, chunked = McapLog(loose), McapLog(written(tmp_path / "chunked.mcap", entries))
    assert told(log) == told(chunked) == [(k, s * STEP) for s in range(6) for k in ("EgoPose", "LidarSweep")]
    assert (log.start_ns, log.end_ns, log.rig, log.losses.total) == (T0, T0 + 5 * STEP, chunked.rig, 0)
    assert len(list(log.messages(start_ns=T0 + 2 * STEP, end_ns=T0 + 3 * STEP))) == 4
    places = scan(loose).chunks
    # The schemas and channels of the three topics part the runs as well.
    assert (len(places) == 3) == (run_bytes == 1 << 20)
    assert all(sum(place.counts.values()) == 1 or place.length <= run_bytes for place in places)


def test_records_that_the_format_leaves_to_others_are_passed_over(tmp_path: Path) -> None:
    whole = written(tmp_path / "log.mcap", [mounts(("LIDAR", SE3())), *map(sweep, range(3))]).read_bytes()
    for opcode, damaged in ((0x80, 0), (0xFF, 0), (0x10, 1)):
        private = struct.pack("<BQ", opcode, 4) + b"abcd"
        (tmp_path / "private.mcap").write_bytes(whole[:8] + private + whole[8:])
        log = McapLog(tmp_path / "private.mcap")
        assert (len(list(log.messages())), log.losses.total) == (3, damaged)


@pytest.mark.parametrize("opcode", [0x00, 0x02, 0x04, 0x07, 0x0E, 0x16, 0x86])
def test_a_chunk_whose_opcode_was_hit_is_read_and_told(tmp_path: Path, opcode: int) -> None:
    entries = [mounts(("LIDAR", SE3())), *map(sweep, range(3))]
    path = written(tmp_path / "log.mcap", entries, chunk_size=1)
    data, place = bytearray(path.read_bytes()), scan(path).chunks[2].offset
    data[place] = opcode
    path.write_bytes(data)
    log = McapLog(path)
    assert (len(list(log.messages())), log.losses.messages) == (3, {})
    assert f"byte {place}: a chunk that is marked as another record ({opcode})" in log.losses.details[0]


def test_a_sensor_that_begins_late_is_read_of_a_file_without_its_end(tmp_path: Path) -> None:
    late = [sweep(n, channel="REAR") for n in (1, 2)]
    entries = [mounts(("LIDAR", SE3()), ("REAR", SE3())), *map(sweep, range(3)), *late]
    path = written(tmp_path / "log.mcap", entries, chunk_size=1)
    last = scan(path).chunks[-1]
    path.write_bytes(path.read_bytes()[: last.offset + 9 + last.length])
    log = McapLog(path)
    assert log.rig.channels() == ("LIDAR", "REAR")
    assert (len(list(log.messages())), log.losses.messages) == (5, {"unknown": 1})


def test_channels_that_the_summary_does_not_repeat_are_found(tmp_path: Path) -> None:
    entries = [mounts(("LIDAR", SE3()), ("REAR", SE3())), sweep(0), sweep(1, channel="REAR")]
    path = written(tmp_path / "log.mcap", entries, chunk_size=1, repeat_channels=False, repeat_schemas=False)
    log = McapLog(path)
    assert (log.rig.channels(), len(list(log.messages())), log.losses.total) == (("LIDAR", "REAR"), 2, 0)


def test_a_length_beyond_all_numbers_is_damage(tmp_path: Path) -> None:
    entries = [mounts(("LIDAR", SE3())), *map(sweep, range(3))]
    path = written(tmp_path / "log.mcap", entries, compression=CompressionType.NONE, enable_crcs=False, chunk_size=1)
    data = bytearray(path.read_bytes())
    # The chunk's record: 9 bytes, times, size and CRC in 28, no compression's name in 4, length of the content in 8.
    start = scan(path).chunks[2].offset + 49
    data[start : start + 9] = struct.pack("<BQ", 0x7F, 1 << 63)
    path.write_bytes(data)
    log = McapLog(path)
    assert (len(list(log.messages())), log.losses.messages) == (2, {"/sensors/LIDAR/points": 1})


@pytest.mark.parametrize("indexes", [IndexType.ALL, IndexType.NONE])
@pytest.mark.parametrize("kind", ["no channel", "no messages", "another type"])
def test_without_odometry_messages_the_poses_are_those_of_transforms(
    tmp_path: Path, kind: str, indexes: IndexType
) -> None:
    entries = [mounts(("LIDAR", SE3())), *(e(step) for step in range(3) for e in (moved, sweep))]
    if kind == "another type":
        entries += [pose_stamped(step) for step in range(3)]
    announced = ("/odometry", ODOMETRY) if kind == "no messages" else None
    log = McapLog(written(tmp_path / "log.mcap", entries, announced, index_types=indexes))
    convert(log, tmp_path / "copy.mcap")
    for read in (log, McapLog(tmp_path / "copy.mcap")):
        assert [pose.odom_from_ego.translation_m[0] for pose in poses(read)] == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("indexes", [IndexType.ALL, IndexType.NONE])
def test_odometry_that_begins_late_still_is_what_tells_the_poses(tmp_path: Path, indexes: IndexType) -> None:
    entries = [mounts(("LIDAR", SE3())), *(e(step) for step in range(3) for e in (moved, sweep)), odometry(3)]
    log = McapLog(written(tmp_path / "log.mcap", entries, chunk_size=1, index_types=indexes))
    assert [pose.received_ns for pose in poses(log)] == [T0 + 3 * STEP]


def test_a_static_transform_may_lie_anywhere_in_the_file(tmp_path: Path) -> None:
    imu = mounts(("imu_link", SE3(translation_m=(-1.5, 0.3, 1.0))))
    entries = [mounts(("LIDAR", SE3())), sweep(0), odometry(1, "imu_link"), sweep(1), imu, odometry(2, "imu_link")]
    log = McapLog(written(tmp_path / "log.mcap", entries, chunk_size=1))
    assert [pose.odom_from_ego.translation_m for pose in poses(log)] == [(1.5, -0.3, -1.0)] * 2
    assert log.losses.details == []


def test_a_frame_that_nothing_joins_is_looked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [mounts(("LIDAR", SE3())), *(e for step in range(9) for e in (sweep(step), odometry(step, "imu_link")))]
    log = McapLog(written(tmp_path / "log.mcap", entries, chunk_size=1, index_types=IndexType.NONE), RIG)
    reads: list[int] = []

    def counted(path: Path, place: chunks.ChunkPlace) -> Any:
        reads.append(place.offset)
        return chunks.records(path, place)

    monkeypatch.setattr(reader, "records", counted)
    assert len(poses(log)) == len(poses(log)) == 9
    assert len(reads) == 3 * len(entries)


def test_messages_whose_topic_is_lost_with_a_damaged_chunk_are_counted(tmp_path: Path) -> None:
    entries = [sweep(0), *(odometry(step) for step in range(1, 4)), *map(sweep, range(4, 8))]
    path = written(tmp_path / "log.mcap", entries, chunk_size=1)
    layout = scan(path)
    data = bytearray(path.read_bytes())[: layout.chunks[-1].offset]
    data[layout.chunks[0].offset + layout.chunks[0].length - 5] ^= 0xFF
    path.write_bytes(data)
    log = McapLog(path, RIG)
    assert len(list(log.messages())) == 3
    # The cut, the damaged chunk, and the three sweeps between them.
    assert log.losses.messages == {"unknown": 1 + 1 + 3}
    assert [d for d in log.losses.details if "channel 1" in d] == [
        f"{path}: what names the topic of channel 1 is lost to damage; so are its messages"
    ]


def test_a_part_of_a_cut_file_has_the_topics_that_are_named_before_it(tmp_path: Path) -> None:
    entries = [odometry(0), *map(sweep, range(1, 9)), odometry(9), odometry(10)]
    path = written(tmp_path / "log.mcap", entries, chunk_size=1)
    path.write_bytes(path.read_bytes()[: scan(path).chunks[-1].offset])
    log = McapLog(path, RIG)
    # Neither the first nor the last chunk, which opening reads, names the sweeps' topic.
    assert len(list(log.messages(start_ns=T0 + 5 * STEP))) == 5


def test_a_radar_scan_that_cannot_be_decoded_is_a_loss(tmp_path: Path) -> None:
    with (tmp_path / "log.mcap").open("wb") as file:
        writer = Writer(file)
        writer.start(profile="ros2", library="another recorder")
        schema = writer.register_schema("radar_msgs/msg/RadarScan", "ros2idl", b"module x {}")
        scans = writer.register_channel("/sensors/RADAR/scan", "cdr", schema)
        writer.add_message(scans, T0, b"\0\1\0\0abc", T0)
        for topic, message, at_ns in (mounts(("LIDAR", SE3()), ("RADAR", SE3())), sweep(0)):
            kind = message.__msgtype__
            schema = writer.register_schema(kind, "ros2msg", schema_text(kind).encode())
            writer.add_message(writer.register_channel(topic, "cdr", schema), at_ns, serialize(message), at_ns)
        writer.finish()
    log = McapLog(tmp_path / "log.mcap")
    assert told(log) == [("LidarSweep", 0)]
    assert log.losses.messages == {"/sensors/RADAR/scan": 1}
