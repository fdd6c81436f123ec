"""All ways from points to the canvas give the same one: a ratio of their times compares equals."""

import numpy as np
import pytest
import torch

from tricast.perception.batch import BatchConfig
from tricast.perception.encoders.lidar_pointnet import LidarConfig, LidarEncoder
from tricast.perception.latency.padded_pillars import SLOTS, canvas_ways, made_points


@pytest.fixture
def encoder() -> LidarEncoder:
    torch.manual_seed(0)
    return LidarEncoder(LidarConfig(), BatchConfig(cells=16)).eval()


def test_the_padded_ways_give_the_canvas_of_the_network(encoder: LidarEncoder) -> None:
    points = made_points(2000, encoder)
    with torch.inference_mode():
        canvases = {name: way() for name, way in canvas_ways(encoder, points).items()}
    assert (canvases["scatter"] > 0).any(dim=1).sum() > 100
    for name in ("numpy", "torch"):
        torch.testing.assert_close(canvases[name], canvases["scatter"], atol=1e-6, rtol=1e-5)


def test_made_points_fill_no_pillar_beyond_its_slots(encoder: LidarEncoder) -> None:
    points = made_points(6000, encoder)
    with torch.no_grad():
        row, _ = encoder.described(points, torch.zeros(len(points), dtype=torch.int64), 1)
    counts = np.unique(row.numpy(), return_counts=True)[1]
    assert len(points) == 6000
    assert SLOTS // 2 < counts.max() <= SLOTS
    with pytest.raises(ValueError, match="do not fit"):
        made_points(SLOTS * 32**2, encoder)
