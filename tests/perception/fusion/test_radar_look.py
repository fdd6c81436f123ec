"""Which radar returns queries look at, and what they make of them, on a grid of 16 cells of 1 m from -8 to 8 m."""

import dataclasses

import pytest
import torch

from tricast.perception.batch import BatchConfig
from tricast.perception.collation import collate
from tricast.perception.fusion.near_returns import NearReturns
from tricast.perception.fusion.radar_look import RadarLook, RadarLookConfig, near_radar
from tricast.perception.tick_sample import TickSample

GRID = BatchConfig(cells=8, range_m=8.0, image_size_px=(32, 32))
CONFIG = RadarLookConfig(reach_cells=1, returns=4, width=8)


def _near(returns: list[list[float]], x_m: float, y_m: float) -> NearReturns:
    rows = [[*place, 0.5, 10.0, speed, 1.0, 1.0, 0.0, 0.0] for *place, speed in returns]
    radar = torch.tensor(rows).reshape(-1, 9).numpy()
    batch = collate([TickSample(timestamp_ns=0, cameras=(), lidar=None, radar=radar)], GRID)
    cell = int(y_m + 8) * 16 + int(x_m + 8)
    return near_radar(batch, torch.tensor([[cell]]), CONFIG, GRID.heatmap_cells, GRID.range_m)


def test_returns_of_the_cells_around_are_found_and_no_others() -> None:
    near, far = [[1.5, 2.5, 1.0], [3.5, 4.5, 2.0], [2.5, 3.4, 3.0]], [[4.5, 3.5, 4.0], [2.5, 1.5, 5.0]]
    found = _near([*far, *near], 2.5, 3.5)
    assert found.number.tolist() == [[3]]
    assert set(found.returns[4, 0, 0].tolist()) == {1.0, 2.0, 3.0}


def test_of_many_returns_some_are_taken_evenly() -> None:
    found = _near([[0.05 + k / 16, 0.5, float(k)] for k in range(12)], 0.5, 0.5)
    assert found.number.tolist() == [[12]]
    assert found.returns[4, 0, 0].tolist() == [0.0, 3.0, 6.0, 9.0]


def test_without_returns_there_is_nothing() -> None:
    assert not _near([], 0.5, 0.5).number.any()
    assert not _near([[5.5, 5.5, 1.0]], 0.5, 0.5).number.any()


def test_only_queries_with_returns_are_corrected() -> None:
    torch.manual_seed(0)
    look = RadarLook(CONFIG, 5)
    near = NearReturns(returns=torch.randn(9, 1, 2, 4), number=torch.tensor([[4, 0]]))
    assert not look(torch.zeros(1, 2, 3), near).any()  # nothing at the start
    torch.nn.init.ones_(look.project.bias)
    assert look(torch.zeros(1, 2, 3), near)[0].all(dim=1).tolist() == [True, False]


def test_returns_tell_the_same_wherever_they_are_and_in_any_order() -> None:
    torch.manual_seed(0)
    look = RadarLook(CONFIG, 5)
    torch.nn.init.normal_(look.project.weight)
    near = NearReturns(returns=torch.randn(9, 1, 1, 4), number=torch.tensor([[4]]))
    expected, moved = look(torch.zeros(1, 1, 3), near), torch.tensor([20.0, -7.0, 0.5])
    apart = torch.cat([moved, torch.zeros(6)])[:, None, None, None]
    away = dataclasses.replace(near, returns=near.returns.flip(3) + apart)
    torch.testing.assert_close(look(moved.expand(1, 1, 3), away), expected)


@pytest.mark.parametrize("column", [0, 1, 2, 3, 4, 5, 6, 7, 8])
def test_every_column_has_a_say(column: int) -> None:
    torch.manual_seed(0)
    look = RadarLook(CONFIG, 5)
    torch.nn.init.normal_(look.project.weight)
    near = NearReturns(returns=torch.rand(9, 1, 1, 4), number=torch.tensor([[4]]))
    other = dataclasses.replace(near, returns=near.returns + torch.eye(9)[column, :, None, None, None] / 2)
    assert not torch.allclose(look(torch.zeros(1, 1, 3), near), look(torch.zeros(1, 1, 3), other))


def test_a_network_that_sees_a_return_once_gives_what_it_gives_of_all() -> None:
    torch.manual_seed(0)
    look, number = RadarLook(CONFIG, 5), torch.tensor([[1, 3, 4], [9, 2, 0]])
    place = torch.arange(4) * number[..., None] // 4
    taken = torch.randn(13, 2, 3, 9).gather(3, place.expand(13, 2, 3, 4))
    for every, once in zip(look.of_all(taken), look.of_distinct(taken, number), strict=True):
        torch.testing.assert_close(once[number > 0], every[number > 0])
        assert not once[number == 0].any()
