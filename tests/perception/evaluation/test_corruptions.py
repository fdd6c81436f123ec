"""The corruptions: their published severities, and what each leaves alone."""

import math
from collections.abc import Iterator

import numpy as np
import pytest

from tricast.configs.errors import InputError
from tricast.perception.evaluation.corruptions import CORRUPTIONS, MULTICORRUPT, Corruption, corrupted
from tricast.perception.evaluation.held_log import HeldLog
from tricast.sensors.calibration import Rig
from tricast.sensors.frames import CameraFrame, LidarSweep, RadarScan
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.stream import Message
from tricast.tools.demo import demo_log_path

BY_NAME = {corruption.name: corruption for corruption in CORRUPTIONS}
TOUCHED = {
    "missing_camera": {"camera"},
    "temporal_misalignment": {"camera", "lidar", "radar"},
    "spatial_misalignment": {"lidar"},
    "fewer_beams": {"lidar"},
    "fewer_points": {"lidar"},
    "motion_blur": {"camera", "lidar"},
    "brightness": {"camera"},
    "dark": {"camera"},
    "fog": {"camera", "lidar"},
    "snow": {"camera", "lidar"},
    "radar_ghosts": {"radar"},
    "radar_loss": {"radar"},
    "doppler_noise": {"radar"},
    "radar_angle_noise": {"radar"},
    "clock_offset": {"lidar"},
    "miscalibration": set(),
}


@pytest.fixture(scope="module")
def held() -> HeldLog:
    return HeldLog(open_log(demo_log_path()), 0.7)


def values(corruption: str, fault: int, setting: str) -> list[float]:
    return [getattr(config.faults[fault], setting) for config in BY_NAME[corruption].severities]


def test_severities_are_the_published_ones() -> None:
    assert len(MULTICORRUPT) == 10
    assert values("missing_camera", 0, "probability") == [0.2, 0.4, 0.6]
    assert values("temporal_misalignment", 0, "probability") == [0.2, 0.4, 0.6]
    assert values("spatial_misalignment", 0, "probability") == [0.2, 0.4, 0.6]
    assert np.degrees(np.abs(values("spatial_misalignment", 0, "angle_rad"))) == pytest.approx([1, 2, 3])
    assert [32 / n for n in values("fewer_beams", 0, "one_in")] == [16, 8, 4]
    assert values("fewer_points", 0, "share") == [0.7, 0.8, 0.9]
    assert values("motion_blur", 1, "sigma_m") == [0.06, 0.10, 0.13]
    assert values("brightness", 0, "added") == [0.5, 0.6, 0.7]
    assert values("dark", 0, "light") == [0.6, 0.4, 0.3]
    assert [math.log(20) / v for v in values("fog", 0, "visibility_m")] == pytest.approx([0.02, 0.03, 0.06])
    assert [o * 3.6e5 for o in values("snow", 0, "occupancy")] == pytest.approx([0.5 / 1.2, 2.5 / 1.6, 1.5 / 0.4])
    assert values("radar_loss", 0, "share")[0] == 0.5
    assert values("radar_loss", 0, "share")[2] == 0.9


def test_every_corruption_has_a_name_of_its_own_and_is_in_the_table_of_this_test() -> None:
    assert len(BY_NAME) == len(CORRUPTIONS)
    assert set(BY_NAME) == set(TOUCHED)


def facts(messages: Iterator[Message]) -> list[tuple[str, int, int]]:
    """What a sensor message holds, in one number."""
    found = []
    for message in messages:
        if isinstance(message, CameraFrame):
            found.append((message.channel, message.timestamp_ns, hash(message.data)))
        elif isinstance(message, LidarSweep):
            found.append((message.channel, message.timestamp_ns, hash(message.points_m.tobytes())))
        elif isinstance(message, RadarScan):
            content = message.points_m.tobytes() + message.radial_velocities_mps.tobytes()
            found.append((message.channel, message.timestamp_ns, hash(content)))
    return found


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda corruption: corruption.name)
def test_a_corruption_touches_its_sensors_only_and_neither_poses_nor_truth(
    corruption: Corruption, held: HeldLog
) -> None:
    log = corrupted(held, corruption, 3)
    before, after = facts(held.messages()), facts(log.messages())
    changed = {channel for channel, _, _ in set(before) ^ set(after)}
    assert {held.rig[channel].modality for channel in changed} == TOUCHED[corruption.name]
    others = [[m for m in x.messages() if not isinstance(m, CameraFrame | LidarSweep | RadarScan)] for x in (held, log)]
    assert len(others[0]) == len(others[1])
    assert all(a is b for a, b in zip(*others, strict=True))
    assert (log.rig != held.rig) == (corruption.name == "miscalibration")


def test_a_worse_severity_leaves_fewer_points(held: HeldLog) -> None:
    end_ns = held.start_ns + 150_000_000
    for name in ("fewer_beams", "fewer_points", "fog", "snow"):
        logs = [corrupted(held, BY_NAME[name], severity) for severity in (1, 2, 3)]
        left = [sum(len(m) for m in x.messages(end_ns=end_ns) if isinstance(m, LidarSweep)) for x in logs]
        assert left[0] > left[1] > left[2] > 0


def test_a_corruption_does_not_concern_a_vehicle_without_its_sensors(held: HeldLog) -> None:
    lidar_only = Rig.of([held.rig[c] for c in held.rig.channels("lidar")])
    concerned = {c.name for c in CORRUPTIONS if c.concerns(lidar_only, lidar_only.channels())}
    assert concerned == {name for name, touched in TOUCHED.items() if "lidar" in touched} | {"miscalibration"}
    assert all(c.concerns(held.rig, held.rig.channels()) for c in CORRUPTIONS)


def test_there_is_no_fourth_severity(held: HeldLog) -> None:
    with pytest.raises(InputError, match="1, 2 or 3"):
        corrupted(held, CORRUPTIONS[0], 4)


def test_a_held_log_delivers_what_its_log_does_with_images_decoded(held: HeldLog) -> None:
    log = open_log(demo_log_path())
    assert held.end_ns == log.start_ns + 700_000_000
    for kept, read in zip(held.messages(), log.messages(end_ns=held.end_ns), strict=True):
        assert (type(kept), kept.timestamp_ns, kept.received_ns) == (type(read), read.timestamp_ns, read.received_ns)
        if isinstance(kept, CameraFrame) and isinstance(read, CameraFrame):
            assert kept.encoding == "rgb8"
            np.testing.assert_array_equal(kept.pixels(), read.pixels())
    middle = held.start_ns + 500_000_000
    assert [m.received_ns for m in held.messages(start_ns=middle)] == [
        m.received_ns for m in held.messages() if m.received_ns >= middle
    ]
