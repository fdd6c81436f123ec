"""Velocities and the radar returns on boxes, in numbers that can be worked out by hand."""

import numpy as np
import pytest

from tricast.perception.doppler import DopplerConfig, _medians, _on_boxes, with_doppler
from tricast.perception.outputs import Detections
from tricast.sensors.geometry.boxes import Boxes

SURE = DopplerConfig(along_mps=1e3, across_mps=1e-3, on_foot_mps=1e3)
"""The radar alone counts."""


def _detections(
    *velocities: tuple[float, float], yaw_rad: float = 0.0, name: str = "car", x_m: float = 20.0
) -> Detections:
    count = len(velocities)
    boxes = Boxes(
        centers_m=np.array([[x_m, 10.0 * k, 0.8] for k in range(count)]).reshape(-1, 3),
        sizes_m=np.tile([4.0, 2.0, 1.6], (count, 1)).reshape(-1, 3),
        yaws_rad=np.full(count, yaw_rad),
        velocities_mps=np.array(velocities, np.float64).reshape(-1, 2),
    )
    return Detections(timestamp_ns=0, boxes=boxes, class_names=(name,) * count, scores=np.full(count, 0.8))


def _returns(*rows: tuple[float, float, float], sight: tuple[float, float] = (1.0, 0.0), age_s: float = 0.0):
    """Returns at x, y with a radial speed, all in one direction."""
    return np.array([[x, y, 0.5, 5, speed, 1, *sight, age_s] for x, y, speed in rows], np.float32).reshape(-1, 9)


def test_several_returns_on_a_box_tell_its_speed_along_the_sight() -> None:
    radar = _returns((19, 0, 6.0), (20, 0.5, 6.2), (21, 0, 5.8), (20, 5, -3.0))
    found = with_doppler(_detections((4.0, 0.3), (1.0, 1.0)), radar, SURE)
    assert found.boxes.velocities_mps == pytest.approx(np.array([[6.0, 0.3], [1.0, 1.0]]), abs=0.01)


def test_the_update_is_that_of_the_textbook() -> None:
    """Along the heading with 1 m/s, two equal returns with 0.15 m/s: a share of 1 / (1 + 0.15^2)."""
    found = with_doppler(_detections((4.0, 0.0)), _returns((20, 0, 6.0), (21, 0, 6.0)), DopplerConfig())
    assert found.boxes.velocities_mps[0] == pytest.approx([4 + 2 / 1.0225, 0.0])


def test_a_vehicle_seen_at_an_angle_is_corrected_along_its_heading() -> None:
    """It drives at 8 m/s, seen at 45 degrees: the radar says 8 cos 45."""
    half = np.sqrt(0.5)
    radar = _returns((20, 0, 8 * half), (20.5, 0, 8 * half), sight=(half, half))
    found = with_doppler(_detections((5.0, 0.0)), radar, SURE)
    assert found.boxes.velocities_mps[0] == pytest.approx([8.0, 0.0], abs=0.02)


def test_people_are_corrected_along_the_sight() -> None:
    radar = _returns((20, 0, 1.5), (20.2, 0, 1.5))
    found = with_doppler(_detections((0.0, 1.0), yaw_rad=np.pi / 2, name="pedestrian"), radar, SURE)
    assert found.boxes.velocities_mps[0] == pytest.approx([1.5, 1.0], abs=0.01)


def test_a_single_return_far_off_is_not_believed_but_two_are() -> None:
    """One return may be of what stands beside; two that agree find a fast car that was taken for a slow one."""
    one, two = _returns((20, 0, 30.0)), _returns((20, 0, 30.0), (21, 0, 30.0))
    assert with_doppler(_detections((10.0, 0.0)), one, DopplerConfig()).boxes.velocities_mps[0, 0] == 10.0
    assert with_doppler(_detections((10.0, 0.0)), two, DopplerConfig()).boxes.velocities_mps[0, 0] > 29.0


def test_returns_that_disagree_count_less() -> None:
    agreeing, not_so = (
        _returns(*((20 + k / 10, 0, 6 + d) for k, d in enumerate(off))) for off in ((0,) * 3, (-4, 0, 4))
    )
    first, second = (with_doppler(_detections((4.0, 0.0)), r, DopplerConfig()) for r in (agreeing, not_so))
    assert 4.0 < second.boxes.velocities_mps[0, 0] < first.boxes.velocities_mps[0, 0] < 6.0


def test_older_returns_are_moved_on_with_the_box() -> None:
    """A second ago the car was 10 m behind."""
    found = with_doppler(_detections((10.0, 0.0)), _returns((10, 0, 12.0), (10.5, 0, 12.0), age_s=1.0), SURE)
    assert found.boxes.velocities_mps[0, 0] == pytest.approx(12.0, abs=0.01)


@pytest.mark.parametrize("name", ["traffic_cone", "barrier"])
def test_what_stands_by_its_class_stays(name: str) -> None:
    detections = _detections((0.0, 0.0), name=name)
    assert not with_doppler(detections, _returns((20, 0, 6.0), (21, 0, 6.0)), SURE).boxes.velocities_mps.any()


def test_nothing_changes_without_returns_boxes_or_a_known_speed() -> None:
    radar = _returns((20, 0, 6.0), (21, 0, 6.0))
    unknown = radar.copy()
    unknown[:, 4:6] = 0
    detections = _detections((4.0, 0.3))
    for same in (
        with_doppler(detections, radar[:0], SURE),
        with_doppler(detections, unknown, SURE),
        with_doppler(detections, radar, DopplerConfig(enabled=False)),
    ):
        assert same is detections
    assert len(with_doppler(_detections(), radar, SURE)) == 0


def test_medians_of_groups_are_those_of_numpy() -> None:
    rng = np.random.default_rng(0)
    group = np.sort(rng.integers(0, 12, 40))
    values, count = rng.normal(size=40), np.bincount(group, minlength=14)
    expected = [np.median(values[group == k]) if count[k] else 0.0 for k in range(14)]
    assert _medians(values, group, count) == pytest.approx(expected)


def test_pairs_are_those_of_asking_every_return_of_every_box() -> None:
    rng = np.random.default_rng(0)
    boxes = Boxes(
        centers_m=np.column_stack([rng.uniform(-50, 50, (60, 2)), np.zeros(60)]),
        sizes_m=rng.uniform(0.3, 12, (60, 3)),
        yaws_rad=rng.uniform(-4, 4, 60),
        velocities_mps=rng.normal(0, 12, (60, 2)),
    )
    radar = np.zeros((400, 9))
    radar[:, :2], radar[:, 8] = rng.uniform(-50, 50, (400, 2)), rng.choice([0, 0.077, 0.154], 400)
    expected = []
    for box in range(60):
        ahead = np.array([np.cos(boxes.yaws_rad[box]), np.sin(boxes.yaws_rad[box])])
        for row, seen in enumerate(radar):
            off = seen[:2] + seen[8] * boxes.velocities_mps[box] - boxes.centers_m[box, :2]
            along, aside = abs(off @ ahead), abs(ahead[0] * off[1] - ahead[1] * off[0])
            if along < boxes.sizes_m[box, 0] / 2 + 0.5 and aside < boxes.sizes_m[box, 1] / 2 + 0.5:
                expected.append((box, row))
    detections = Detections(timestamp_ns=0, boxes=boxes, class_names=("car",) * 60, scores=np.full(60, 0.5))
    assert len(expected) > 100
    assert list(zip(*(part.tolist() for part in _on_boxes(detections, radar, 0.5)), strict=True)) == expected
