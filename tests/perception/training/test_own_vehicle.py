"""A body in a picture covers what lies beyond its edge, and what it covers is not asked for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tricast.perception.training.augmentation import AugmentationConfig, augmented
from tricast.perception.training.batches import make_batch
from tricast.perception.training.config import TrainingRunConfig
from tricast.perception.training.own_vehicle import OwnVehicle, covered, without_covered
from tricast.perception.training.picture_targets import NOTHING
from tricast.perception.training.shards import ShardSet, TrainingTick

BONNET = OwnVehicle(angle_rad=0.0, edge=0.5, sag=0.0, brightness=(0.5, 0.5, 0.5), mirror=0.0, squeeze=1.0)
EVERYTHING = replace(BONNET, edge=-2.0)


@pytest.fixture(scope="module")
def tick(shards: Path) -> TrainingTick:
    return ShardSet(shards)[2]


def test_a_bonnet_covers_the_lowest_quarter_and_is_as_bright_as_it_says() -> None:
    image = torch.full((3, 80, 40), 100, dtype=torch.uint8)
    painted = BONNET.painted(image)
    assert (painted[:, :60] == 100).all() and (painted[:, 64:] <= 50).all() and (painted[:, 64:] >= 40).all()
    assert covered(BONNET, (8, 4)).tolist() == [[False] * 4] * 6 + [[True] * 4] * 2


def test_a_flank_lies_at_the_side() -> None:
    flank = replace(BONNET, angle_rad=np.pi / 2)
    assert covered(flank, (2, 8)).tolist() == [[False] * 6 + [True] * 2] * 2


def test_a_perfect_mirror_shows_what_is_above_its_edge_upside_down() -> None:
    image = torch.arange(80, dtype=torch.uint8)[:, None].expand(3, 80, 40).contiguous()
    painted = replace(BONNET, mirror=1.0).painted(image)
    expected = torch.arange(59, 39, -1)
    assert (painted[0, 60:, 0].int() - expected)[2:].abs().max() <= 1


def test_lights_shine_in_the_body_alone() -> None:
    image = torch.zeros(3, 80, 80, dtype=torch.uint8)
    painted = replace(BONNET, lights=((0.0, 0.75, 0.05, 0.8), (0.0, -0.5, 0.05, 0.8))).painted(image)
    assert 190 < int(painted[0, 69:71, 39:41].max()) <= 204 and not painted[:, :60].any()


def test_objects_behind_the_bodies_of_all_cameras_have_no_pixels_left(tick: TrainingTick) -> None:
    cameras = tick.sample.cameras
    counts = tick.truth.num_visible_pixels
    assert without_covered(tick.truth, cameras, {}) is tick.truth
    hidden = without_covered(tick.truth, cameras, {c.channel: EVERYTHING for c in cameras}).num_visible_pixels
    inside = np.zeros(len(counts), bool)
    for camera in cameras:
        in_camera = camera.tick_from_camera.inverse.apply(tick.truth.centers_m.astype(np.float64))
        inside |= camera.lens.project(in_camera)[1]
    assert (counts[inside] > 0).any() and not hidden[inside].any()
    assert np.array_equal(hidden[~inside], counts[~inside])


def test_the_ticks_of_a_sequence_have_the_same_bodies(tick: TrainingTick) -> None:
    config = AugmentationConfig(own_vehicle=1.0, drop_modalities=0, drop_camera=0)
    one, same, other = (augmented(tick.sample, tick.truth, config, np.random.default_rng(s)) for s in (1, 1, 2))
    assert one.own_vehicle == same.own_vehicle != other.own_vehicle
    assert set(one.own_vehicle) == {camera.channel for camera in tick.sample.cameras}
    assert not augmented(tick.sample, tick.truth, AugmentationConfig(), np.random.default_rng(1)).own_vehicle


def test_a_batch_has_the_body_in_its_pictures_and_nothing_to_see_in_it(tick: TrainingTick) -> None:
    grid = TrainingRunConfig().model.batch
    chances = AugmentationConfig(drop_modalities=0, drop_camera=0, max_turn_rad=0, flip_x=0, flip_y=0)
    plain = augmented(tick.sample, tick.truth, chances, np.random.default_rng(0))
    first = tick.sample.cameras[0].channel
    ticks = [plain, replace(plain, own_vehicle={first: BONNET})]
    batch = make_batch(ticks, grid, [np.random.default_rng(0)] * 2, jitter_m=0.0)
    cameras, size = len(plain.sample.cameras), grid.feature_size
    images = batch.sensors.images.unflatten(0, (2, cameras))
    assert torch.equal(images[0, 1:], images[1, 1:]) and not torch.equal(images[0, 0], images[1, 0])
    body = torch.from_numpy(covered(BONNET, size))
    for targets, none in ((batch.depth_targets, -1), (batch.picture_targets, NOTHING)):
        without, having = targets.reshape(2, cameras, *size)
        assert (having[0][body] == none).all() and torch.equal(having[0][~body], without[0][~body])
        assert torch.equal(having[1:], without[1:])
    assert (batch.depth_targets.reshape(2, cameras, *size)[0, 0][body] >= 0).any()
