"""Clouds and images as the usual drivers publish them, with values worked out by hand."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from tricast.sensors.errors import SensorDataError
from tricast.sensors.frames import LidarSweep, RadarScan
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.cloud_layouts import time_offsets_ns
from tricast.sensors.log.cloud_messages import POINT_FIELD_TYPES, point_cloud
from tricast.sensors.log.messages import camera_frame, transform_message
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.radar_scan_messages import RADAR_SCAN, radar_scan
from tricast.sensors.log.ros2_mcap import Ros2McapWriter
from tricast.sensors.log.schema import header, message_class, stamp
from tricast.sensors.log.stream import ForeignMessage

STAMP_NS = 1_700_000_000_250_000_000
RADAR_TEXTS = {
    RADAR_SCAN: "std_msgs/Header header\nradar_msgs/RadarReturn[] returns\n",
    "radar_msgs/msg/RadarReturn": "\n".join(
        f"float32 {name}" for name in ("range", "azimuth", "elevation", "doppler_velocity", "amplitude")
    ),
}


def cloud(dtype: list[tuple[str, str]], rows: list[tuple[Any, ...]]) -> Any:
    points = np.array(rows, np.dtype(dtype))
    codes = {np.dtype(text): code for code, text in POINT_FIELD_TYPES.items()}
    places: Any = points.dtype.fields
    field = message_class("sensor_msgs/msg/PointField")
    return message_class("sensor_msgs/msg/PointCloud2")(
        header=header(STAMP_NS, "lidar"),
        height=1,
        width=len(points),
        fields=[field(name=n, offset=p[1], datatype=codes[p[0]], count=1) for n, p in places.items()],
        is_bigendian=False,
        point_step=points.dtype.itemsize,
        row_step=points.dtype.itemsize * len(points),
        data=points.view(np.uint8).reshape(-1),
        is_dense=True,
    )


XYZ = [("x", "<f4"), ("y", "<f4"), ("z", "<f4")]


@pytest.mark.parametrize(
    ("extra", "values", "offsets_ns"),
    [
        ([("intensity", "<f4"), ("t", "<u4"), ("ring", "u1")], [(9.0, 0, 3), (8.0, 50_000_000, 4)], [0, 50_000_000]),
        ([("intensity", "u1"), ("channel", "<u2"), ("time_stamp", "<u4")], [(9, 3, 7), (8, 4, 9)], [7, 9]),
        ([("intensity", "<f4"), ("ring", "<u2"), ("time", "<f4")], [(9.0, 3, -0.05), (8.0, 4, 0.0)], [-50_000_000, 0]),
        (
            [("intensity", "<f4"), ("ring", "<u2"), ("timestamp", "<f8")],
            [(9.0, 3, 1_700_000_000.25), (8.0, 4, 1_700_000_000.375)],
            [0, 125_000_000],
        ),
        ([("reflectivity", "u1"), ("line", "u1"), ("timestamp", "<f8")], [(9, 3, STAMP_NS), (8, 4, STAMP_NS)], [0, 0]),
    ],
    ids=["Ouster", "Autoware", "Velodyne", "Hesai", "Livox"],
)
def test_lidar_drivers_layouts_are_read(extra: Any, values: Any, offsets_ns: list[int]) -> None:
    sweep = point_cloud(cloud(XYZ + extra, [(1.0, 2.0, 3.0, *v) for v in values]), "LIDAR", STAMP_NS)
    assert isinstance(sweep, LidarSweep)
    np.testing.assert_array_equal(sweep.points_m, [[1, 2, 3], [1, 2, 3]])
    np.testing.assert_array_equal(sweep.intensity, [9, 8])
    np.testing.assert_array_equal(sweep.rings, [3, 4])
    np.testing.assert_allclose(sweep.time_offsets_ns, offsets_ns, atol=200)


def test_times_of_another_clock_are_not_taken_for_offsets() -> None:
    points = np.array([(5.0,), (6.0,)], np.dtype([("time", "<f4")]))
    assert time_offsets_ns(points, STAMP_NS) is None
    assert time_offsets_ns(np.zeros(0, np.dtype([("time", "<f4")])), STAMP_NS) is not None


@pytest.mark.parametrize(
    ("kind", "times", "offsets_ns"),
    [
        ("<f8", [1_700_000_000.25, np.nan, 1_700_000_000.375], [0, 0, 125_000_000]),
        ("<f8", [1_700_000_000.25, 0.0, 1_700_000_000.375], [0, 0, 125_000_000]),
        ("<f8", [STAMP_NS, np.nan, STAMP_NS + 1_000_000], [0, 0, 1_000_000]),
        ("<u8", [STAMP_NS, 0, STAMP_NS + 1_000_000], [0, 0, 1_000_000]),
        ("<f4", [-0.05, np.nan, 0.0], [-50_000_000, 0, 0]),
    ],
    ids=["seconds", "seconds, zero", "nanoseconds", "whole nanoseconds", "after the header"],
)
def test_a_return_without_a_time_takes_none_from_the_others(kind: str, times: Any, offsets_ns: list[int]) -> None:
    points = np.array([(time,) for time in times], np.dtype([("timestamp", kind)]))
    offsets = time_offsets_ns(points, STAMP_NS)
    assert offsets is not None
    np.testing.assert_allclose(offsets, offsets_ns, atol=200)


ROWS = [(1.0, 2.0, 3.0, 4.0), (5.0, 6.0, 7.0, 8.0), (-1.0, 0.0, 0.5, 9.0), (2.0, 2.0, 2.0, 2.0)]
PLAIN = [*XYZ, ("intensity", "<f4")]


def test_numbers_with_their_big_end_first_are_read() -> None:
    message = cloud(PLAIN, ROWS)
    message.data = np.array(ROWS, ">f4").view(np.uint8).reshape(-1)
    message.is_bigendian = True
    sweep = point_cloud(message, "LIDAR", STAMP_NS)
    assert isinstance(sweep, LidarSweep)
    np.testing.assert_array_equal(sweep.points_m, np.array(ROWS)[:, :3])
    assert (sweep.points_m.dtype, sweep.intensity.dtype) == (np.float32, np.float32)
    assert sweep.intensity.tolist() == [4, 8, 9, 2]


def test_rows_that_are_filled_up_are_read() -> None:
    message = cloud(PLAIN, ROWS)
    message.height, message.width, message.row_step = 2, 2, 40
    message.data = np.concatenate([message.data.reshape(2, 32), np.full((2, 8), 255, np.uint8)], axis=1).reshape(-1)
    np.testing.assert_array_equal(point_cloud(message, "LIDAR", STAMP_NS).points_m, np.array(ROWS)[:, :3])


@pytest.mark.parametrize(("name", "value"), [("offset", 14), ("datatype", 8), ("datatype", 99)])
def test_a_field_that_reaches_out_of_its_point_is_refused(name: str, value: int) -> None:
    message = cloud(PLAIN, ROWS)
    setattr(message.fields[3], name, value)
    with pytest.raises(SensorDataError, match=r"LIDAR: got fields .* 64 bytes for 4x1 points of 16 bytes"):
        point_cloud(message, "LIDAR", STAMP_NS)


def test_a_lidar_that_measures_a_doppler_is_one_where_that_is_known() -> None:
    message = cloud([*PLAIN, ("velocity", "<f4")], [(*row, -3.0) for row in ROWS])
    assert isinstance(point_cloud(message, "FMCW", STAMP_NS), RadarScan)
    sweep = point_cloud(message, "FMCW", STAMP_NS, "lidar")
    assert isinstance(sweep, LidarSweep)
    assert sweep.intensity.tolist() == [4, 8, 9, 2]
    assert isinstance(point_cloud(cloud(PLAIN, ROWS), "RADAR", STAMP_NS, "radar"), RadarScan)


def test_returns_in_the_sensor_itself_are_missing_ones() -> None:
    rows = [*ROWS, (0.0, 0.0, 0.0, 7.0), (0.0, 1.0, 0.0, 6.0)]
    valid, count = point_cloud(cloud(PLAIN, rows), "LIDAR", STAMP_NS).without_invalid()
    assert (len(valid), count) == (5, 1)
    assert isinstance(valid, LidarSweep)
    assert valid.intensity.tolist() == [4, 8, 9, 2, 6]


@pytest.mark.parametrize("name", ["radial_velocity", "radial_speed", "doppler", "v_r"])
def test_a_cloud_with_a_doppler_is_a_radars(name: str) -> None:
    scan = point_cloud(cloud([*XYZ, (name, "<f4"), ("RCS", "<f4")], [(9.0, 0.0, 0.0, -3.5, 12.0)]), "RADAR", 0)
    assert isinstance(scan, RadarScan)
    assert (scan.radial_velocities_mps[0], scan.rcs_dbsm[0]) == (-3.5, 12.0)


def test_ranges_and_angles_of_a_radar_scan_become_points_with_positive_azimuth_to_the_left() -> None:
    def detection(azimuth: float, elevation: float) -> Any:
        return SimpleNamespace(range=10.0, azimuth=azimuth, elevation=elevation, doppler_velocity=-2.0, amplitude=5.0)

    message = SimpleNamespace(
        header=SimpleNamespace(stamp=stamp(STAMP_NS)), returns=[detection(np.pi / 6, 0.0), detection(0.0, np.pi / 6)]
    )
    scan = radar_scan(message, "RADAR", STAMP_NS)
    expected = [[10 * np.cos(np.pi / 6), 5.0, 0.0], [10 * np.cos(np.pi / 6), 0.0, 5.0]]
    np.testing.assert_allclose(scan.points_m, expected, atol=1e-5)
    assert list(scan.radial_velocities_mps) == [-2.0, -2.0]
    assert len(radar_scan(SimpleNamespace(header=message.header, returns=[]), "RADAR", 0)) == 0


def radar_log(path: Path, mount: SE3, more: str = "") -> Path:
    """A log of one scan whose returns have further fields, with the definition of its own."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    for name, text in RADAR_TEXTS.items():
        store.register(get_types_from_msg(text + more * name.endswith("RadarReturn"), name))
    text, _ = store.generate_msgdef(RADAR_SCAN, ros_version=2)
    values = {"range": 10.0, "azimuth": 0.5, "elevation": 0.0, "doppler_velocity": -2.0, "amplitude": 5.0}
    returned = store.types["radar_msgs/msg/RadarReturn"](**values, **({"quality": 0.5} if more else {}))
    message = store.types[RADAR_SCAN](header=header(STAMP_NS, "radar_frame"), returns=[returned])
    recorded = ForeignMessage(
        topic="/sensors/RADAR/scan",
        channel_id=1,
        schema=(RADAR_SCAN, "ros2msg", text.encode()),
        encoding="cdr",
        metadata={},
        log_time_ns=STAMP_NS + 5,
        publish_time_ns=STAMP_NS + 5,
        sequence=0,
        data=bytes(store.serialize_cdr(message, RADAR_SCAN)),
    )
    with Ros2McapWriter(path) as writer:
        writer.write("/tf_static", transform_message(STAMP_NS, [("base_link", "radar_frame", mount)]), STAMP_NS)
        writer.copy(recorded)
    return path


def test_radar_scans_are_read_by_the_definition_that_each_log_keeps(tmp_path: Path) -> None:
    mount = SE3(translation_m=(3.0, 0.0, 0.5))
    paths = [
        radar_log(tmp_path / "longer.mcap", mount, "\nfloat32 quality\n"),
        radar_log(tmp_path / "radar.mcap", mount),
    ]
    for path in paths:
        log = open_log(path)
        assert log.rig["RADAR"].modality == "radar"
        assert log.rig["RADAR"].ego_from_sensor == mount
        (scan,) = log.messages()
        assert isinstance(scan, RadarScan)
        assert (scan.timestamp_ns, scan.received_ns) == (STAMP_NS, STAMP_NS + 5)
        np.testing.assert_allclose(scan.points_m, [[10 * np.cos(0.5), 10 * np.sin(0.5), 0.0]], atol=1e-5)
        assert scan.radial_velocities_mps[0] == -2.0


def image(encoding: str, rows: list[bytes], width: int, step: int | None = None) -> Any:
    return message_class("sensor_msgs/msg/Image")(
        header=header(STAMP_NS, "camera"),
        height=len(rows),
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=step or len(rows[0]),
        data=np.frombuffer(b"".join(rows), np.uint8),
    )


@pytest.mark.parametrize(
    ("encoding", "row", "rgb"),
    [
        ("rgb8", bytes([1, 2, 3, 4, 5, 6]), [[1, 2, 3], [4, 5, 6]]),
        ("bgr8", bytes([1, 2, 3, 4, 5, 6]), [[3, 2, 1], [6, 5, 4]]),
        ("rgba8", bytes([1, 2, 3, 255, 4, 5, 6, 255]), [[1, 2, 3], [4, 5, 6]]),
        ("bgra8", bytes([1, 2, 3, 255, 4, 5, 6, 255]), [[3, 2, 1], [6, 5, 4]]),
        ("mono8", bytes([7, 9]), [[7, 7, 7], [9, 9, 9]]),
        ("yuv422", bytes([128, 16, 128, 235]), [[0, 0, 0], [255, 255, 255]]),
        ("yuv422_yuy2", bytes([16, 128, 235, 128]), [[0, 0, 0], [255, 255, 255]]),
    ],
)
def test_raw_images_of_the_usual_encodings_become_rgb(encoding: str, row: bytes, rgb: list[list[int]]) -> None:
    padded = row + b"\x99" * 5
    for rows, step in (([row, row], None), ([padded, padded], len(padded))):
        pixels = camera_frame(image(encoding, rows, 2, step), "CAM", STAMP_NS).pixels()
        np.testing.assert_array_equal(pixels, [rgb, rgb])


@pytest.mark.parametrize(
    "message",
    [image("bayer_rggb8", [b"12"], 2), image("bgr8", [b"123"], 2), image("mono8", [b"12"], 2, step=1)],
    ids=["unknown encoding", "too few bytes", "rows shorter than the image"],
)
def test_images_that_cannot_be_read_are_refused(message: Any) -> None:
    with pytest.raises(SensorDataError, match="CAM"):
        camera_frame(message, "CAM", STAMP_NS)
