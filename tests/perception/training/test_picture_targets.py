"""What image features should see: boxes around rays worked out by hand, and the demo's own pictures."""

import math

import numpy as np
import torch

from tricast.perception.training.batches import TrainingBatches
from tricast.perception.training.picture_targets import NOTHING, WIDER_RAD, first_boxes, picture_targets
from tricast.perception.training.trainer import Trainer

ORIGIN_M = np.zeros(3, np.float32)
AHEAD, LEFT, UP = np.eye(3)


def boxes(*rows: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes 4 m long, 2 m wide and high at (x, y) with a heading, centred at the height of the camera."""
    centers = np.array([[x, y, 0.0] for x, y, _ in rows], np.float32)
    sizes = np.tile(np.array([4, 2, 2], np.float32), (len(rows), 1))
    return centers, sizes, np.array([yaw for *_, yaw in rows], np.float32)


def test_a_ray_enters_the_nearest_box_along_it() -> None:
    entry_m, first = first_boxes(ORIGIN_M, np.stack([AHEAD, LEFT]), *boxes((30, 0, 0), (10, 0, 0)))
    assert first[0] == 1
    assert math.isclose(entry_m[0], 8.0 - 10 * WIDER_RAD, abs_tol=1e-6)
    assert entry_m[1] == np.inf


def test_a_turned_box_shows_its_length_across() -> None:
    beside = np.array([10.0, 1.7, 0.0]) / math.hypot(10, 1.7)
    assert first_boxes(ORIGIN_M, beside[None], *boxes((10, 0, 0)))[0][0] == np.inf
    assert math.isclose(first_boxes(ORIGIN_M, beside[None], *boxes((10, 0, math.pi / 2)))[0][0], 9.0, abs_tol=0.2)


def test_what_is_behind_or_around_the_camera_is_not_seen() -> None:
    assert first_boxes(ORIGIN_M, AHEAD[None], *boxes((-10, 0, 0), (0, 0, 0)))[0][0] == np.inf
    assert first_boxes(ORIGIN_M, AHEAD[None], *boxes())[0][0] == np.inf


def test_targets_of_a_tick_turn_with_its_frame_and_give_way_to_what_stands_in_front(shards, small_config, tmp_path):
    trainer = Trainer(small_config, tmp_path, folder=shards, scenes=("demo",))
    batch = TrainingBatches(trainer._source)[0]
    config = small_config.model.batch
    unknown = torch.full_like(batch.depth_targets, -1)
    seen = picture_targets(batch.sensors, batch.truth, unknown, config)
    assert ((seen >= 0) & (seen < NOTHING)).sum() > 5
    close = picture_targets(batch.sensors, batch.truth, torch.zeros_like(unknown), config)
    assert ((close >= 0) & (close < NOTHING)).sum() < ((seen >= 0) & (seen < NOTHING)).sum()
    slots = batch.sensors.camera_mask.flatten().repeat_interleave(math.prod(config.feature_size))
    assert torch.equal(seen >= 0, slots)
