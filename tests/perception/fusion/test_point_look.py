"""Which LiDAR returns queries look at, on a grid of 16 cells of 1 m from -8 to 8 m."""

import torch

from tricast.perception.batch import SensorBatch
from tricast.perception.fusion.near_returns import NearReturns, distinct
from tricast.perception.fusion.point_look import PointLook, PointLookConfig, near_points

SIDE, RANGE_M = 16, 8.0
CONFIG = PointLookConfig(reach_cells=1, returns=4, above_ground_m=0.2, ground_cells=1, width=8)


def _batch(points: list[list[float]], samples: list[int], count: int = 1) -> SensorBatch:
    none, empty = torch.zeros(0, dtype=torch.int64), torch.zeros(0)
    order = sorted(range(len(points)), key=lambda k: (samples[k], _cell(points[k][0], points[k][1])))
    rows = torch.tensor([[*points[k], 0.5, 0.0] for k in order]).reshape(-1, 5)
    return SensorBatch(
        images=empty,
        camera_slots=none,
        camera_mask=empty,
        lift_index=none,
        lift_depth_bin=none,
        ray_directions=empty,
        ray_origins_m=empty,
        with_camera=none,
        lidar_points=rows,
        lidar_sample=torch.tensor([samples[k] for k in order], dtype=torch.int64),
        with_lidar=torch.arange(count),
        radar_points=empty,
        radar_sample=none,
        with_radar=none,
        present=torch.ones(count, 3, dtype=torch.bool),
        timestamps_ns=torch.zeros(count, dtype=torch.int64),
        odom_from_ego=torch.eye(4, dtype=torch.float64).expand(count, 4, 4),
    )


def _cell(x_m: float, y_m: float) -> int:
    return int(y_m + RANGE_M) * SIDE + int(x_m + RANGE_M)


def _near(points: list[list[float]], x_m: float, y_m: float) -> NearReturns:
    batch = _batch(points, [0] * len(points))
    return near_points(batch, torch.tensor([[_cell(x_m, y_m)]]), CONFIG, SIDE, RANGE_M)


def test_returns_of_the_cells_around_are_found_and_no_others() -> None:
    ground = [2.5, 3.5, 0.0]
    near = [[1.5, 2.5, 1.0], [3.5, 4.5, 1.1], [2.5, 3.4, 1.2]]
    far = [[4.5, 3.5, 1.3], [2.5, 1.5, 1.4], [-2.5, 3.5, 1.5]]
    found = _near([ground, *near, *far], 2.5, 3.5)
    assert found.number.tolist() == [[3]]
    assert {round(z, 1) for z in found.returns[2, 0, 0].tolist()} == {1.0, 1.1, 1.2}


def test_ground_is_what_lies_low_among_its_neighbours() -> None:
    """On a slope: heights count from the lowest return around, not from the vehicle's own ground."""
    found = _near([[5.5, 5.5, 3.0], [5.4, 5.5, 3.1], [5.5, 5.4, 4.5]], 5.5, 5.5)
    assert found.number.tolist() == [[1]]
    torch.testing.assert_close(found.returns[[2, 5], 0, 0, 0], torch.tensor([4.5, 1.5]))


def test_of_many_returns_some_are_taken_evenly() -> None:
    points = [[0.5, 0.5, 0.0], *([0.5, 0.5, 1.0 + k] for k in range(12))]
    found = _near(points, 0.5, 0.5)
    assert found.number.tolist() == [[12]]
    assert found.returns[2, 0, 0].tolist() == [1.0, 4.0, 7.0, 10.0]


def test_windows_end_at_the_border_and_samples_stay_apart() -> None:
    points = [[-7.5, 7.5, 0.0], [-7.5, 7.5, 1.0], [7.5, 6.5, 0.0], [7.5, 6.5, 2.0], [-7.5, 7.5, 0.0], [-7.5, 7.5, 3.0]]
    batch = _batch(points, [0, 0, 0, 0, 1, 1], count=2)
    cells = torch.tensor([[_cell(-7.5, 7.5), _cell(7.5, 7.5)]] * 2)
    found = near_points(batch, cells, CONFIG, SIDE, RANGE_M)
    assert found.number.tolist() == [[1, 1], [1, 0]]
    assert found.returns[2, 0, :, 0].tolist() == [1.0, 2.0] and found.returns[2, 1, 0, 0] == 3.0


def test_padding_rows_and_no_rows_at_all_are_nothing() -> None:
    batch = _batch([[0.5, 0.5, 0.0], [0.5, 0.5, 1.0]], [1, 1])  # sample 1 of 1: padding
    assert not near_points(batch, torch.tensor([[_cell(0.5, 0.5)]]), CONFIG, SIDE, RANGE_M).number.any()
    assert not _near([], 0.5, 0.5).number.any()


def test_only_queries_with_returns_are_corrected() -> None:
    torch.manual_seed(0)
    look = PointLook(CONFIG, 5)
    near = NearReturns(returns=torch.randn(6, 1, 2, 4), number=torch.tensor([[4, 0]]))
    corrections, shapes = look(torch.zeros(1, 2, 3), near)
    assert not corrections.any()  # nothing at the start
    assert shapes.any(dim=2).tolist() == [[True, False]]
    torch.nn.init.ones_(look.project.bias)
    assert look(torch.zeros(1, 2, 3), near)[0][0].all(dim=1).tolist() == [True, False]


def test_a_shape_is_the_same_wherever_it_stands() -> None:
    torch.manual_seed(0)
    look = PointLook(CONFIG, 5)
    points, moved = torch.randn(6, 1, 1, 4), torch.tensor([20.0, -7.0, 0.5])
    near = NearReturns(returns=points, number=torch.tensor([[4]]))
    away = NearReturns(returns=points + torch.cat([moved, torch.zeros(3)])[:, None, None, None], number=near.number)
    torch.testing.assert_close(look(torch.zeros(1, 1, 3), near)[1], look(moved.expand(1, 1, 3), away)[1])


NUMBER = torch.tensor([[0, 1, 3], [4, 9, 2]])
"""Of each of two by three queries, where four returns are taken."""


def _taken() -> torch.Tensor:
    """(8, 2, 3, 4) returns as they are taken, some of them more than once."""
    place = torch.arange(4) * NUMBER[..., None] // 4
    return torch.randn(8, 2, 3, 9).gather(3, place.expand(8, 2, 3, 4))


def test_returns_taken_several_times_are_distinct_once() -> None:
    found = distinct(NUMBER, 4)
    assert found.query.tolist() == [1, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5]
    assert (found.slot % 4).tolist() == [0, 0, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 2]
    assert found.times.tolist() == [4, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2]
    assert not len(distinct(torch.zeros(1, 2, dtype=torch.int64), 4).slot)


def test_layers_that_see_a_return_once_give_what_they_give_of_all() -> None:
    torch.manual_seed(0)
    point_net, taken, told = PointLook(CONFIG, width=16).point_net, _taken(), []
    for features_of in (point_net.of_all, point_net.of_distinct):
        point_net.zero_grad()
        largest = features_of(taken, NUMBER)
        largest.square().sum().backward()
        with torch.no_grad():
            torch.testing.assert_close(features_of(taken, NUMBER), largest)
        gradients = [p.grad.flatten() for p in point_net.parameters() if p.grad is not None]
        told.append((largest.detach(), torch.cat(gradients)))
    assert told[0][0].any(dim=2).tolist() == [[False, True, True], [True, True, True]]
    for all_of, once in zip(*told, strict=True):
        torch.testing.assert_close(once, all_of)


def test_without_a_return_anywhere_there_is_nothing() -> None:
    point_net, none = PointLook(CONFIG, width=16).point_net, torch.zeros(1, 2, dtype=torch.int64)
    assert not point_net(torch.randn(8, 1, 2, 4), none).any()


def test_exported_layers_give_what_the_layers_give() -> None:
    torch.manual_seed(0)
    point_net, taken = PointLook(CONFIG, width=16).point_net, _taken()
    with torch.no_grad():
        exported = torch.export.export(point_net, (taken, NUMBER))
        assert any("conv2d" in str(node.target) for node in exported.graph.nodes)
        torch.testing.assert_close(exported.module()(taken, NUMBER), point_net(taken, NUMBER))
