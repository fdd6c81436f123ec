import dataclasses

import numpy as np
import pytest
import torch

from tricast.perception.batch import BatchConfig, BevTransform
from tricast.perception.collation import collate
from tricast.perception.tick_sample import TickSample

CONFIG = BatchConfig(cells=32, image_size_px=(64, 32), depth_bins=8)


def test_a_quarter_turn_to_the_left_brings_what_was_ahead_to_the_left() -> None:
    turn = BevTransform(yaw_rad=np.pi / 2)
    assert turn.vectors(np.array([[10.0, 0.0, 3.0]])) == pytest.approx(np.array([[0.0, 10.0, 3.0]]))
    assert turn.yaws_rad(np.array([0.0])) == pytest.approx([np.pi / 2])


def test_a_reflection_of_y_turns_headings_round() -> None:
    flip = BevTransform(flip_y=True)
    assert flip.vectors(np.array([[10.0, 2.0]])) == pytest.approx(np.array([[10.0, -2.0]]))
    assert flip.yaws_rad(np.array([0.3])) == pytest.approx([-0.3])


def test_headings_and_vectors_move_alike(transform: BevTransform) -> None:
    ahead = transform.vectors(np.array([[np.cos(0.9), np.sin(0.9)]]))
    assert np.arctan2(ahead[:, 1], ahead[:, 0]) == pytest.approx(transform.yaws_rad(np.array([0.9])))


def test_padding_needs_room(ticks: list[TickSample]) -> None:
    batch = collate(ticks[:1], CONFIG)
    padded = batch.padded(1000, 100)
    assert len(padded.lidar_points) == 1000
    assert padded.lidar_sample[-1] == 1
    with pytest.raises(ValueError, match="do not fit"):
        batch.padded(10, 100)


def test_a_batch_without_a_modality_is_that_of_samples_without_it(ticks: list[TickSample]) -> None:
    whole = collate(ticks, CONFIG)
    for modality, change in (("camera", {"cameras": ()}), ("lidar", {"lidar": None}), ("radar", {"radar": None})):
        expected = collate([dataclasses.replace(tick, **change) for tick in ticks], CONFIG)
        for name, value in vars(whole.without(modality)).items():
            assert torch.equal(value, getattr(expected, name)), f"{name} without {modality}"
    assert whole.present.all()
