"""Depth targets where the answer can be seen: a camera at the origin that looks along +x."""

import math

import numpy as np

from tricast.perception.batch import BatchConfig
from tricast.perception.tick_sample import CameraInput
from tricast.perception.training.depth_targets import THINNING, depth_targets
from tricast.sensors.frames import CameraFrame
from tricast.sensors.geometry.lenses import PinholeLens
from tricast.sensors.geometry.se3 import SE3

CONFIG = BatchConfig(image_size_px=(64, 32), depth_bins=4, depth_range_m=(1.0, 16.0))
"""Features 8 by 4; bins of 1 to 2, 2 to 4, 4 to 8 and 8 to 16 m."""
EGO_FROM_CAMERA = SE3.from_euler(-math.pi / 2, 0.0, -math.pi / 2)
LENS = PinholeLens(width_px=128, height_px=64, focal_px=(64.0, 64.0), principal_px=(63.5, 31.5))
CAMERA = CameraInput(
    channel="C",
    image=CameraFrame.from_pixels("C", 0, np.zeros((64, 128, 3), np.uint8)),
    lens=LENS,
    tick_from_camera=EGO_FROM_CAMERA,
)


def points(*rows: tuple[float, float, float, float]) -> np.ndarray:
    """Returns (x, y, z, age), each often enough to survive thinning."""
    return np.array([[x, y, z, 0.5, age] for x, y, z, age in rows for _ in range(THINNING)], np.float32)


def test_a_return_shows_in_the_feature_that_sees_it() -> None:
    # 6 m ahead, 1 m left and 0.5 m up: pixel (31.75 - 32 / 6, 15.75 - 16 / 6) of the halved picture.
    targets = depth_targets((CAMERA,), points((6.0, 1.0, 0.5, 0.0)), CONFIG)
    assert targets.shape == (1, 4, 8)
    assert np.argwhere(targets >= 0).tolist() == [[0, 1, 3]]
    assert targets[0, 1, 3] == 2


def test_the_nearest_return_hides_what_is_behind_it() -> None:
    near, far = (3.0, 0.1, 0.1, 0.0), (12.0, 0.4, 0.4, 0.0)
    for cloud in (points(near, far), points(far, near)):
        assert set(depth_targets((CAMERA,), cloud, CONFIG)[0].ravel().tolist()) == {-1, 1}


def test_old_returns_and_those_behind_or_beside_the_camera_say_nothing() -> None:
    cloud = points((6.0, 0.0, 0.0, 0.2), (-6.0, 0.0, 0.0, 0.0), (1.0, 9.0, 0.0, 0.0))
    assert (depth_targets((CAMERA,), cloud, CONFIG) == -1).all()
    assert (depth_targets((CAMERA,), None, CONFIG) == -1).all()
    assert depth_targets((), points((6.0, 0.0, 0.0, 0.0)), CONFIG).shape == (0, 4, 8)
