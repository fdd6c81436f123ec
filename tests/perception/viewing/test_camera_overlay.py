"""Boxes in camera images, where the lens says."""

import io
import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tricast.perception.palette import PANEL, class_rgb
from tricast.perception.viewing.camera_overlay import arrangement, draw_camera, draw_cameras
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.frames import CameraFrame, EgoPose
from tricast.sensors.geometry.lenses import PinholeLens
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.synced_frame import SyncedFrame

SIZE_PX = (320, 192)


def with_black_images(frame: SyncedFrame) -> SyncedFrame:
    black = np.zeros((192, 320, 3), np.uint8)
    return replace(frame, cameras={c: CameraFrame.from_pixels(c, frame.timestamp_ns, black) for c in frame.cameras})


def coloured(picture: np.ndarray, class_name: str) -> np.ndarray:
    """Rows and columns of the pixels in a class's colour, below the channel's name."""
    near = np.abs(picture.astype(int) - class_rgb(class_name)).max(axis=2) < 50
    near[:24] = False
    return np.argwhere(near)


@pytest.mark.parametrize(
    ("channel", "place"), [("CAM_FRONT", (12.0, 2.0)), ("CAM_LEFT", (3.0, 9.0)), ("CAM_BACK", (-9.0, 0.0))]
)
def test_a_box_is_drawn_where_the_lens_projects_it(frame, make_result, channel, place) -> None:
    result = make_result(((*place, 0.4, 0.0, 0.0, "car"),))
    picture = draw_camera(with_black_images(frame), result, channel, size_px=SIZE_PX)
    sensor = frame.rig[channel]
    assert sensor.lens is not None
    corners = sensor.ego_from_sensor.inverse.apply(result.tracks.boxes.corners_m()[0])
    pixels, seen = sensor.lens.project(corners)
    assert seen.all()
    found = coloured(picture, "car")[:, ::-1]
    # Every corner has colour within a pixel or two of it, and nothing is coloured beyond the outermost corners.
    for corner in pixels:
        assert np.hypot(*(found - corner).T).min() < 2.5
    assert found[:, 0].min() > pixels[:, 0].min() - 3
    assert found[:, 0].max() < pixels[:, 0].max() + 3


def test_edges_bend_as_a_fisheye_bends_them(frame, make_result) -> None:
    result = make_result(((0.0, 4.0, 0.0, 0.0, 0.0, "bus"),))
    picture = draw_camera(with_black_images(frame), result, "CAM_LEFT", size_px=SIZE_PX)
    sensor = frame.rig["CAM_LEFT"]
    assert sensor.lens is not None
    corners = result.tracks.boxes.corners_m()[0]
    # The upper edge of the near side, corners 5 and 6: its middle lies well off the chord between its ends.
    ends, _ = sensor.lens.project(sensor.ego_from_sensor.inverse.apply(corners[[5, 6]]))
    middle, _ = sensor.lens.project(sensor.ego_from_sensor.inverse.apply(corners[[5, 6]].mean(axis=0)[None]))
    assert np.abs(ends.mean(axis=0) - middle[0]).max() > 8
    found = coloured(picture, "bus")[:, ::-1]
    assert np.hypot(*(found - middle[0]).T).min() < 2.5


def test_what_lies_behind_a_camera_is_not_drawn(frame, make_result) -> None:
    black = with_black_images(frame)
    empty = draw_camera(black, make_result(()), "CAM_FRONT", size_px=SIZE_PX)
    behind = draw_camera(black, make_result(((-12.0, 1.0, 0.0, -3.0, 0.0, "car"),)), "CAM_FRONT", size_px=SIZE_PX)
    assert (empty == behind).all()


def test_a_box_around_the_camera_is_drawn_without_harm(frame, make_result) -> None:
    picture = draw_camera(frame, make_result(((0.0, 0.0, 0.0, 5.0, 0.0, "bus"),)), "CAM_FRONT", size_px=SIZE_PX)
    assert picture.shape == (192, 320, 3)


def test_boxes_are_moved_back_to_the_time_of_the_image(frame, make_result) -> None:
    """Own speed 10 m/s, image 0.1 s old: a standing box 12 m ahead was 13 m ahead in the image."""
    now = frame.timestamp_ns
    poses = [
        EgoPose(timestamp_ns=t, received_ns=t, odom_from_ego=SE3(translation_m=(10.0 * (t - now) / 1e9, 0.0, 0.0)))
        for t in (now - 100_000_000, now)
    ]
    image = CameraFrame.from_pixels("CAM_FRONT", now - 100_000_000, np.zeros((192, 320, 3), np.uint8))
    moving = SyncedFrame.of(frame.rig, now, [image, *poses])
    result = make_result(((12.0, 0.0, 0.0, 0.0, 0.0, "pedestrian"),))
    at_13_m = make_result(((13.0, 0.0, 0.0, 0.0, 0.0, "pedestrian"),))
    still = SyncedFrame.of(frame.rig, now, [replace(image, timestamp_ns=now, received_ns=now)])
    seen = coloured(draw_camera(moving, result, "CAM_FRONT", size_px=SIZE_PX), "pedestrian")
    expected = coloured(draw_camera(still, at_13_m, "CAM_FRONT", size_px=SIZE_PX), "pedestrian")
    assert seen.tolist() == expected.tolist()


def test_an_absent_or_broken_camera_is_a_dark_panel_with_a_reason(frame, bare_frame, make_result) -> None:
    broken = CameraFrame(
        channel="CAM_FRONT",
        timestamp_ns=frame.timestamp_ns,
        received_ns=frame.timestamp_ns,
        encoding="jpeg",
        data=b"\xff\xd8no",
    )
    for dark in (bare_frame, replace(frame, cameras={"CAM_FRONT": broken})):
        picture = draw_camera(dark, make_result(), "CAM_FRONT", size_px=SIZE_PX)
        assert picture[150, 40].tolist() == list(PANEL)
        assert picture[86:106, 100:220].max() > PANEL[2] + 60


def test_jpeg_and_raw_images_look_alike(frame, make_result) -> None:
    pixels = frame.cameras["CAM_FRONT"].pixels()
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, format="JPEG", quality=95)
    jpeg = replace(frame.cameras["CAM_FRONT"], encoding="jpeg", data=encoded.getvalue(), size_px=None)
    pictures = [
        draw_camera(replace(frame, cameras={"CAM_FRONT": c}), make_result(()), "CAM_FRONT", size_px=(160, 96)).astype(
            int
        )
        for c in (frame.cameras["CAM_FRONT"], jpeg)
    ]
    assert np.abs(pictures[0] - pictures[1]).max() <= 6


def test_an_image_keeps_its_aspect(frame, make_result) -> None:
    white = CameraFrame.from_pixels("CAM_FRONT", frame.timestamp_ns, np.full((192, 320, 3), 255, np.uint8))
    picture = draw_camera(
        replace(frame, cameras={"CAM_FRONT": white}), make_result(()), "CAM_FRONT", size_px=(320, 300)
    )
    rows = np.flatnonzero((picture[:, 250] > 200).all(axis=1))
    assert (rows[0], rows[-1]) == pytest.approx((54, 245), abs=2)


def test_cameras_stand_in_the_order_in_which_they_look(rig) -> None:
    assert arrangement(rig) == [["CAM_LEFT", "CAM_FRONT", "CAM_RIGHT", "CAM_BACK"]]
    lens = PinholeLens(width_px=160, height_px=90, focal_px=(100.0, 100.0), principal_px=(79.5, 44.5))
    headings = {"A": 0, "B": 55, "C": -55, "D": 110, "E": -110, "F": 180}
    forward = rig["CAM_FRONT"].ego_from_sensor
    six = Rig.of(
        SensorCalibration(
            channel=c, modality="camera", ego_from_sensor=SE3.from_yaw(math.radians(yaw)) @ forward, lens=lens
        )
        for c, yaw in headings.items()
    )
    assert arrangement(six) == [["B", "A", "C"], ["D", "F", "E"]]
    assert arrangement(Rig()) == []


def test_the_mosaic_is_as_wide_as_asked_for_whatever_the_rig(frame, make_result) -> None:
    assert draw_cameras(frame, make_result(), width_px=1280).shape == (192, 1280, 3)
    only = Rig.of([frame.rig["CAM_FRONT"]])
    assert draw_cameras(SyncedFrame.of(only, 1, []), make_result(), width_px=640).shape == (384, 640, 3)
    assert draw_cameras(SyncedFrame.of(Rig(), 1, []), make_result(), width_px=640).shape == (0, 640, 3)
