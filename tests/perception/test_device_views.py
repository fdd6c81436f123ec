import dataclasses

import numpy as np
import pytest
import torch

from tricast.perception.batch import BatchConfig, BevTransform
from tricast.perception.camera_views import camera_views
from tricast.perception.device_views import device_views
from tricast.perception.tick_sample import TickSample
from tricast.sensors.geometry.lenses import FisheyeLens, Lens, MeiLens, PinholeLens

CONFIG = BatchConfig(cells=32, image_size_px=(64, 32), depth_bins=8)
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
SIZES = {"width_px": 64, "height_px": 32, "principal_px": (31.5, 15.5)}
BENT = PinholeLens(**SIZES, focal_px=(34.0, 34.0), distortion=(-0.3, 0.1, 0.0, 0.0, 0.0))
RATIONAL = dataclasses.replace(BENT, rational=(0.2, -0.05, 0.02))
ODD = PinholeLens(width_px=128, height_px=96, focal_px=(50.0, 60.0), principal_px=(60.0, 50.0))
WIDE = FisheyeLens(**SIZES, focal_px=(16.0, 16.0))
MIRROR = MeiLens(**SIZES, focal_px=(30.0, 30.0), mirror=1.02, distortion=(0.03, -0.08, 0.001, -0.001))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("lens", [None, BENT, RATIONAL, WIDE, MIRROR])
def test_a_device_gives_the_tables_and_rays_of_the_host(
    ticks: list[TickSample], transform: BevTransform, lens: Lens | None, device: str
) -> None:
    cameras = [camera if lens is None else dataclasses.replace(camera, lens=lens) for camera in ticks[0].cameras]
    cameras[0] = dataclasses.replace(cameras[0], lens=ODD)  # not all are the same
    # One slot more than cameras, and two of them looking almost the same way.
    cameras.append(dataclasses.replace(cameras[1], channel="TWIN"))
    own = device_views(cameras, 6, CONFIG, transform, device)
    expected = camera_views(cameras, 6, CONFIG, transform)
    assert (expected.lift_index >= 0).any()
    for name in ("lift_index", "lift_depth_bin"):
        table = getattr(expected, name)
        assert (own[name].dtype, own[name].shape) == (torch.int64, table.shape)
        # What lies on a border may fall to either side of it.
        assert (own[name].cpu().numpy() == table).mean() > 0.999
    for name in ("ray_directions", "ray_origins_m"):
        assert own[name].dtype == torch.float32
        np.testing.assert_allclose(own[name].cpu().numpy(), getattr(expected, name), atol=1e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_without_cameras_no_cell_looks_anywhere(device: str) -> None:
    own = device_views((), 0, CONFIG, BevTransform(), device)
    assert (own["lift_index"] == -1).all() and (own["lift_depth_bin"] == 0).all()
    assert own["ray_directions"].shape == (0, *CONFIG.feature_size, 3)
