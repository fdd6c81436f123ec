"""What sensor messages accept, refuse and keep."""

import io

import numpy as np
import pytest
from PIL import Image

from tricast.sensors.errors import SensorDataError
from tricast.sensors.frames import UNKNOWN_RING, CameraFrame, LidarSweep, RadarScan

PIXELS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, kind)
    return buffer.getvalue()


def frame(encoding: str, data: bytes) -> CameraFrame:
    return CameraFrame(channel="CAM", timestamp_ns=5, received_ns=6, encoding=encoding, data=data)  # type: ignore[arg-type]


def test_raw_pixels_come_back_bit_for_bit() -> None:
    made = CameraFrame.from_pixels("CAM", 5, PIXELS)
    assert (made.size_px, made.timestamp_ns, made.received_ns) == ((6, 4), 5, 5)
    np.testing.assert_array_equal(made.pixels(), PIXELS)
    turned = np.ascontiguousarray(PIXELS.transpose(1, 0, 2)).transpose(1, 0, 2)
    np.testing.assert_array_equal(CameraFrame.from_pixels("CAM", 5, turned).pixels(), PIXELS)


def test_png_is_exact_and_jpeg_close() -> None:
    np.testing.assert_array_equal(frame("png", encoded("PNG")).pixels(), PIXELS)
    assert frame("jpeg", encoded("JPEG")).pixels().shape == (4, 6, 3)


def test_a_grey_image_becomes_rgb() -> None:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS[..., 0]).save(buffer, "PNG")
    np.testing.assert_array_equal(frame("png", buffer.getvalue()).pixels(), np.repeat(PIXELS[..., :1], 3, axis=2))


@pytest.mark.parametrize("data", [b"", b"noise", encoded("JPEG")[:-200], encoded("PNG")])
def test_bytes_that_are_no_jpeg_are_refused_with_channel_and_time(data: bytes) -> None:
    with pytest.raises(SensorDataError, match=r"CAM at 5 ns.*whole jpeg image"):
        frame("jpeg", data).pixels()


def test_a_picture_of_more_than_8_bits_is_refused_not_cut_off() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.arange(0, 60_000, 2_500, dtype=np.uint16).reshape(4, 6)).save(buffer, "PNG")
    with pytest.raises(SensorDataError, match="more than 8 bits"):
        frame("png", buffer.getvalue()).pixels()


def test_raw_pixels_of_the_wrong_length_are_refused() -> None:
    with pytest.raises(SensorDataError, match="rgb8"):
        frame("rgb8", b"123").pixels()


@pytest.mark.parametrize("pixels", [PIXELS.astype(np.float32), PIXELS[..., 0], PIXELS[..., :2]])
def test_pixels_of_another_type_or_shape_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(SensorDataError, match="CAM pixels"):
        CameraFrame.from_pixels("CAM", 5, pixels)


def test_what_a_sweep_is_not_told_is_unknown() -> None:
    sweep = LidarSweep.from_points("TOP", 7, np.zeros((2, 3)))
    assert sweep.points_m.dtype == np.float32
    assert sweep.received_ns == 7
    assert sweep.rings.tolist() == [UNKNOWN_RING, UNKNOWN_RING]
    assert sweep.time_offsets_ns.tolist() == [0, 0]


def test_what_a_scan_is_not_told_is_unknown() -> None:
    scan = RadarScan.from_points("FRONT", 7, np.zeros((1, 3)), received_ns=9)
    assert scan.received_ns == 9
    assert np.isnan(scan.radial_velocities_mps).all()
    assert np.isnan(scan.compensated_velocities_mps).all()


def test_invalid_points_leave_with_all_their_fields() -> None:
    points = np.array([[1, 2, 3], [np.nan, 0, 0], [4, 5, np.inf], [7, 8, 9]])
    sweep = LidarSweep.from_points("TOP", 7, points, intensity=np.arange(4), rings=np.arange(4))
    kept, dropped = sweep.without_invalid()
    assert dropped == 2
    np.testing.assert_array_equal(kept.points_m, [[1, 2, 3], [7, 8, 9]])
    assert kept.intensity.tolist() == [0.0, 3.0]
    assert kept.rings.tolist() == [0, 3]
    again, none = kept.without_invalid()
    assert again is kept
    assert none == 0


def test_only_what_is_zero_along_every_axis_lies_in_the_sensor() -> None:
    points = np.array([[0, 2, 3], [0, 0, 0], [0, 0, -1], [5, 0, 0], [0, np.nan, 0], [-0.0, 0, 0]])
    kept, dropped = LidarSweep.from_points("TOP", 7, points).without_invalid()
    assert dropped == 3
    np.testing.assert_array_equal(kept.points_m, [[0, 2, 3], [0, 0, -1], [5, 0, 0]])
    whole = LidarSweep.from_points("TOP", 7, points[[0, 2, 3]])
    assert whole.without_invalid() == (whole, 0)


def test_empty_sweeps_and_scans_are_ordinary() -> None:
    for empty in (LidarSweep.from_points("TOP", 7, np.zeros((0, 3))), RadarScan.from_points("F", 7, np.zeros((0, 3)))):
        assert len(empty) == 0
        assert empty.without_invalid()[1] == 0


def test_arrays_of_a_message_are_read_only() -> None:
    sweep = LidarSweep.from_points("TOP", 7, np.zeros((2, 3)))
    with pytest.raises(ValueError, match="read-only"):
        sweep.points_m[0, 0] = 1.0


def test_fields_of_the_wrong_length_or_type_are_refused_by_name() -> None:
    points = np.zeros((2, 3), np.float32)
    with pytest.raises(SensorDataError, match="TOP at 7 ns: intensity"):
        LidarSweep.from_points("TOP", 7, points, intensity=np.zeros(3))
    with pytest.raises(SensorDataError, match="FRONT at 7 ns: points_m"):
        RadarScan.from_points("FRONT", 7, np.zeros((2, 4)))
    with pytest.raises(SensorDataError, match="rings"):
        LidarSweep(
            channel="TOP",
            timestamp_ns=7,
            received_ns=7,
            points_m=points,
            intensity=np.zeros(2, np.float32),
            time_offsets_ns=np.zeros(2, np.int32),
            rings=np.zeros(2, np.int64),  # type: ignore[arg-type]
        )
