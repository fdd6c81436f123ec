"""Faults, one by one, on a log by hand; and a whole replay through faults."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tricast.configs.errors import ConfigError, InputError
from tricast.configs.strict import parse_config
from tricast.perception.config import PipelineConfig
from tricast.perception.evaluation.held_log import HeldLog
from tricast.perception.streaming.replay import ReplayOptions, replay
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.faults.fault_config import FaultsConfig, load_faults
from tricast.sensors.faults.faulty_log import FaultyLog
from tricast.sensors.frames import CameraFrame, EgoPose, LidarSweep, RadarScan
from tricast.sensors.geometry.lenses import PinholeLens
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.stream import Losses, Message
from tricast.tools.demo import demo_log_path

LENS = PinholeLens(width_px=64, height_px=48, focal_px=(40.0, 40.0), principal_px=(31.5, 23.5))
OPTICAL = SE3(quaternion_wxyz=(0.5, -0.5, 0.5, -0.5), translation_m=(1.0, 0.0, 1.6))
MS = 1_000_000
START = 1_000_000_000 * MS


class HandMadeLog:
    """Ten seconds: a sweep, an image, a scan and a pose every 100 ms."""

    path = Path("by-hand.mcap")
    kind = "tricast"
    start_ns, end_ns = START, START + 10_000 * MS
    losses = Losses()
    rig = Rig.of(
        [
            SensorCalibration(channel="CAM", modality="camera", ego_from_sensor=OPTICAL, lens=LENS),
            SensorCalibration(channel="LIDAR", modality="lidar", ego_from_sensor=SE3(translation_m=(0, 0, 1.8))),
            SensorCalibration(channel="RADAR", modality="radar", ego_from_sensor=SE3(translation_m=(3, 0, 0.5))),
        ]
    )

    def messages(self, *, start_ns: int | None = None, end_ns: int | None = None) -> Iterator[Message]:
        for tick in range(101):
            stamp = START + tick * 100 * MS
            if (start_ns is None or stamp >= start_ns) and (end_ns is None or stamp <= end_ns):
                yield EgoPose(timestamp_ns=stamp, received_ns=stamp, odom_from_ego=SE3())
                yield CameraFrame.from_pixels("CAM", stamp, np.full((48, 64, 3), 100 + tick, np.uint8))
                yield sweep(stamp, tick)
                yield RadarScan.from_points(
                    "RADAR",
                    stamp,
                    np.array([[10.0, 0, 0], [20, 2, 0]]),
                    rcs_dbsm=np.array([5.0, 6]),
                    radial_velocities_mps=np.array([1.0, -2]),
                )


def sweep(stamp: int, tick: int = 0) -> LidarSweep:
    ranges = np.tile(np.linspace(2, 80, 40), 32)
    rings = np.repeat(np.arange(32), 40)
    angles = -0.4 + 0.015 * rings
    points = np.stack([ranges * np.cos(angles), np.full(1280, tick * 0.01), ranges * np.sin(angles)], axis=1)
    return LidarSweep.from_points("LIDAR", stamp, points, intensity=np.ones(1280), rings=rings)


def faulty(*faults: dict[str, Any], seed: int = 0) -> FaultyLog:
    config = parse_config(FaultsConfig, {"seed": seed, "faults": list(faults)}, where="test")
    return FaultyLog(HandMadeLog(), config)


def of(log: FaultyLog, channel: str, **limits: int) -> list[Any]:
    sensors = (m for m in log.messages(**limits) if isinstance(m, CameraFrame | LidarSweep | RadarScan))
    return [m for m in sensors if m.channel == channel]


def test_without_faults_everything_passes() -> None:
    assert [type(m) for m in faulty().messages()] == [type(m) for m in HandMadeLog().messages()]


def test_a_lost_sensor_is_silent_in_its_interval_only() -> None:
    log = faulty({"kind": "sensor_loss", "channels": ["lidar"], "start_s": 1.0, "stop_s": 3.0})
    stamps = [(m.timestamp_ns - START) // MS for m in of(log, "LIDAR")]
    assert stamps == [*range(0, 1000, 100), *range(3000, 10001, 100)]
    assert len(of(log, "CAM")) == 101


def test_half_of_the_messages_are_lost_at_probability_half() -> None:
    assert 35 < len(of(faulty({"kind": "sensor_loss", "channels": ["RADAR"], "probability": 0.5}), "RADAR")) < 66


def test_with_a_period_all_messages_around_its_middle_are_lost_together() -> None:
    log = faulty({"kind": "sensor_loss", "channels": ["CAM"], "probability": 0.5, "period_s": 0.5})
    ticks = {(m.timestamp_ns - START) // (100 * MS) for m in of(log, "CAM")}
    # Periods are centred on half seconds: ticks 3 to 7, 8 to 12 and so on share one draw.
    groups = [{t in ticks for t in range(first, first + 5)} for first in range(3, 98, 5)]
    assert all(len(group) == 1 for group in groups)
    assert 4 < sum(True in group for group in groups) < 15


def test_stale_data_was_measured_one_lag_before_and_carries_the_new_stamp() -> None:
    log = faulty({"kind": "stale_data", "channels": ["LIDAR"], "lag_s": 0.5, "start_s": 1.0})
    sweeps = of(log, "LIDAR")
    assert [m.timestamp_ns for m in sweeps] == [START + tick * 100 * MS for tick in range(101)]
    measured = [round(float(m.points_m[0, 1]) * 100) for m in sweeps]
    assert measured == [*range(10), *range(5, 96)]


def test_messages_are_stale_as_often_as_stated() -> None:
    log = faulty({"kind": "stale_data", "channels": ["LIDAR"], "lag_s": 0.5, "probability": 0.4})
    measured = np.array([round(float(m.points_m[0, 1]) * 100) for m in of(log, "LIDAR")])
    lags = np.arange(101) - measured
    assert set(lags.tolist()) == {0, 5}
    assert 25 < (lags == 5).sum() < 55


def test_a_frozen_sensor_repeats_one_measurement_under_new_stamps() -> None:
    log = faulty({"kind": "freeze", "channels": ["LIDAR"], "start_s": 2.0})
    sweeps = of(log, "LIDAR")
    assert len({m.timestamp_ns for m in sweeps}) == 101
    assert {round(float(m.points_m[0, 1]), 3) for m in sweeps[20:]} == {0.2}
    late = of(log, "LIDAR", start_ns=START + 5000 * MS)[0]
    assert late.points_m[0, 1] == pytest.approx(0.2)


def test_delayed_messages_arrive_later_and_in_order() -> None:
    log = faulty({"kind": "delay", "channels": ["CAM"], "delay_s": 0.25})
    messages = list(log.messages())
    assert [m.received_ns for m in messages] == sorted(m.received_ns for m in messages)
    assert all(m.received_ns - m.timestamp_ns == 250 * MS for m in of(log, "CAM"))
    assert all(m.received_ns == m.timestamp_ns for m in of(log, "LIDAR"))


def test_jitter_scatters_stamps_within_three_sigma() -> None:
    shifts = np.array(
        [m.timestamp_ns for m in of(faulty({"kind": "jitter", "channels": ["RADAR"], "sigma_s": 0.02}), "RADAR")]
    )
    original = START + np.arange(101) * 100 * MS
    assert np.abs(np.sort(shifts) - original).max() <= 60 * MS
    assert np.std(np.sort(shifts) - original) > 8 * MS


def test_a_clock_offset_moves_stamps_and_not_arrival() -> None:
    scan = of(faulty({"kind": "clock_offset", "channels": ["RADAR"], "offset_s": -0.4}), "RADAR")[7]
    assert scan.received_ns - scan.timestamp_ns == 400 * MS


def test_lost_beams_are_the_same_ones_in_every_sweep() -> None:
    sweeps = of(faulty({"kind": "beam_loss", "share": 0.5}), "LIDAR")
    left = {tuple(np.unique(m.rings)) for m in sweeps}
    assert len(left) == 1
    assert 8 <= len(left.pop()) <= 24


def test_fog_takes_far_returns_and_adds_near_ones() -> None:
    clear, fog = sweep(START), of(faulty({"kind": "fog", "visibility_m": 60}), "LIDAR")[0]
    before, after = (np.linalg.norm(s.points_m, axis=1) for s in (clear, fog))
    assert (after > 50).sum() < 0.1 * (before > 50).sum()
    assert (after < 2.0 + 10).sum() > (before < 12.0).sum()
    assert len(fog) < len(clear)


def test_fog_greys_the_horizon_more_than_the_ground_before_the_car() -> None:
    frame = of(faulty({"kind": "fog", "visibility_m": 60}), "CAM")[0]
    pixels = frame.pixels().astype(int)
    assert pixels[0].mean() > 195  # 80 m of fog: 100 * 0.018 + 205 * 0.982
    assert pixels[-1].mean() == pytest.approx(100 + 105 * (1 - np.exp(-2.9957 / 60 * 1.6 / 0.507)), abs=4)


def test_darkness_and_blur_change_images_as_stated() -> None:
    dark = of(faulty({"kind": "darkness", "light": 0.2, "noise": 0.0}), "CAM")[0].pixels()
    assert abs(dark.mean() - 20) < 1.5
    edge = np.zeros((48, 64, 3), np.uint8)
    edge[:, 32:] = 255
    log = HandMadeLog()
    log.messages = lambda **_: iter([CameraFrame.from_pixels("CAM", START, edge)])  # pyright: ignore[reportAttributeAccessIssue]
    config = parse_config(FaultsConfig, {"faults": [{"kind": "blur", "sigma_px": 4}]}, where="test")
    blurred = next(iter(FaultyLog(log, config).messages()))
    assert isinstance(blurred, CameraFrame)
    steps = np.abs(np.diff(blurred.pixels()[24, :, 0].astype(int)))
    assert steps.max() < 40


def test_ghosts_lie_behind_real_returns_on_the_same_line() -> None:
    scan = of(faulty({"kind": "radar_ghosts", "per_return": 3.0}), "RADAR")[3]
    real, ghosts = scan.points_m[:2], scan.points_m[2:]
    assert len(ghosts) > 0
    for ghost in ghosts:
        factors = ghost[:1] / real[:, 0]
        assert any(1.39 < f < 2.21 and np.allclose(ghost, r * f, atol=1e-4) for f, r in zip(factors, real, strict=True))


def test_a_miscalibrated_rig_is_off_and_messages_are_not() -> None:
    log = faulty({"kind": "miscalibration", "channels": ["LIDAR"], "translation_m": [0.5, 0, 0]})
    assert log.rig["LIDAR"].ego_from_sensor.translation.tolist() == [0.5, 0.0, 1.8]
    assert log.rig["CAM"] == HandMadeLog.rig["CAM"]
    np.testing.assert_array_equal(of(log, "LIDAR")[0].points_m, sweep(START).points_m)


def test_each_sensor_has_its_own_draw_of_a_random_miscalibration() -> None:
    fault = {"kind": "miscalibration", "rotation_sigma_rad": 0.02, "translation_sigma_m": 0.1}
    shifts = [
        faulty(fault, seed=seed).rig[channel].ego_from_sensor.translation
        - HandMadeLog.rig[channel].ego_from_sensor.translation
        for seed in range(100)
        for channel in HandMadeLog.rig.channels()
    ]
    assert len({tuple(shift) for shift in shifts}) == 300
    assert np.std(shifts) == pytest.approx(0.1, rel=0.1)


FAULTS = (
    {"kind": "fog", "visibility_m": 100},
    {"kind": "sensor_loss", "probability": 0.3},
    {"kind": "jitter", "sigma_s": 0.01},
    {"kind": "radar_ghosts", "per_return": 1.0},
    {"kind": "delay", "channels": ["RADAR"], "delay_s": 0.35},
    {"kind": "stale_data", "channels": ["LIDAR"], "lag_s": 0.5, "probability": 0.5},
    {"kind": "sensor_loss", "channels": ["CAM"], "probability": 0.5, "period_s": 0.5},
)


def facts(messages: list[Message]) -> list[tuple[int, int, int]]:
    return [
        (
            m.received_ns,
            m.timestamp_ns,
            len(m.points_m) + hash(m.points_m.tobytes()) if isinstance(m, LidarSweep) else 0,
        )
        for m in messages
        if not isinstance(m, EgoPose)
    ]


def test_faults_are_the_same_from_wherever_the_reading_starts() -> None:
    middle = START + 4000 * MS
    whole = [f for f in facts(list(faulty(*FAULTS).messages())) if f[0] >= middle]
    assert facts(list(faulty(*FAULTS).messages(start_ns=middle))) == whole
    assert facts(list(faulty(*FAULTS, seed=1).messages(start_ns=middle))) != whole


def test_broken_images_and_empty_clouds_pass() -> None:
    frame = CameraFrame(channel="CAM", timestamp_ns=START, received_ns=START, encoding="jpeg", data=b"no image")
    empty = LidarSweep.from_points("LIDAR", START, np.zeros((0, 3)))
    log = HandMadeLog()
    log.messages = lambda **_: iter([frame, empty])  # pyright: ignore[reportAttributeAccessIssue]
    faults = [{"kind": "fog", "visibility_m": 50}, {"kind": "blur", "sigma_px": 2}, {"kind": "beam_loss", "share": 0.5}]
    passed = list(FaultyLog(log, parse_config(FaultsConfig, {"faults": faults}, where="test")).messages())
    assert isinstance(passed[0], CameraFrame)
    assert passed[0].data == b"no image"
    assert isinstance(passed[1], LidarSweep)
    assert len(passed[1]) == 0


def test_sensors_that_the_log_lacks_or_that_cannot_have_the_fault_are_refused() -> None:
    with pytest.raises(InputError, match=r"CAM_LEFT.*CAM, LIDAR, RADAR"):
        faulty({"kind": "freeze", "channels": ["CAM_LEFT"]})
    with pytest.raises(InputError, match="'lidar'"):
        faulty({"kind": "blur", "channels": ["lidar"], "sigma_px": 2})


def test_unknown_settings_and_kinds_are_refused() -> None:
    with pytest.raises(ConfigError, match="visibility_km"):
        faulty({"kind": "fog", "visibility_m": 50, "visibility_km": 1})
    with pytest.raises(ConfigError, match="rain"):
        faulty({"kind": "rain"})


def test_a_fault_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ConfigError, match="never happen"):
        faulty({"kind": "sensor_loss", "start_s": 5.0, "stop_s": 3.0})


LATE = {"kind": "sensor_loss", "channels": ["lidar"], "start_s": 20.0}


def test_a_fault_that_begins_after_the_end_is_told() -> None:
    log = HandMadeLog()
    log.losses = Losses()
    late = FaultyLog(log, parse_config(FaultsConfig, {"faults": [FAULTS[0], LATE]}, where="test"))
    assert len(of(late, "LIDAR")) == 101
    told = "by-hand.mcap: fault 2, sensor_loss, does not happen: it begins at 20 s, the log ends at 10.000 s"
    assert (log.losses.details, log.losses.total) == ([told], 0)


def test_a_fault_that_begins_after_the_part_that_is_read_is_told() -> None:
    log = HandMadeLog()
    log.losses = Losses()
    late = FaultyLog(log, parse_config(FaultsConfig, {"faults": [LATE | {"start_s": 5.0}]}, where="test"))
    assert len(of(late, "LIDAR")) == 50
    assert log.losses.details == []
    of(late, "LIDAR", end_ns=START + 3000 * MS)
    assert [text.split(": ", 2)[2] for text in log.losses.details] == ["it begins at 5 s, what is read ends at 3.000 s"]


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"kind": "radar_loss", "share": 0.5}, ["radar"]),
        ({"kind": "sensor_loss", "channels": ["lidar", "radar"]}, ["radar"]),
        ({"kind": "blur", "sigma_px": 2}, ["camera"]),
        ({"kind": "fog", "visibility_m": 50}, []),
    ],
)
def test_a_fault_of_sensors_that_the_log_lacks_is_told(fault: dict[str, Any], told: list[str]) -> None:
    log = HandMadeLog()
    log.losses, log.rig = Losses(), Rig.of([HandMadeLog.rig["LIDAR"]])
    list(FaultyLog(log, parse_config(FaultsConfig, {"faults": [fault]}, where="test")).messages())
    expected = [f"by-hand.mcap: fault 1, {fault['kind']}, happens to no {name}: the log has none" for name in told]
    assert log.losses.details == expected


@pytest.mark.parametrize("name", ["fog", "night", "lidar_loss"])
def test_packaged_faults_run_over_the_demo_log(name: str, tmp_path: Path) -> None:
    log = FaultyLog(open_log(demo_log_path()), load_faults(name))
    summary = replay(log, PipelineConfig(), tmp_path / "run", options=ReplayOptions(duration_s=1.0))
    assert summary["ticks"] == 11
    assert summary["lost_messages"] == 0


def test_a_frozen_measurement_is_what_earlier_faults_left_of_it() -> None:
    points = {"kind": "point_loss", "channels": ["LIDAR"], "share": 0.5}
    freeze = {"kind": "freeze", "channels": ["LIDAR"], "start_s": 2.0}
    whole = len(of(faulty(freeze), "LIDAR")[30])
    for order in ([points, freeze], [freeze, points]):
        assert len(of(faulty(*order), "LIDAR")[30]) == round(whole / 2)


def test_a_sensor_freezes_in_what_was_stale_when_it_froze() -> None:
    stale = {"kind": "stale_data", "channels": ["LIDAR"], "lag_s": 0.5}
    freeze = {"kind": "freeze", "channels": ["LIDAR"], "start_s": 2.0}
    measured = [round(float(m.points_m[0, 1]) * 100) for m in of(faulty(stale, freeze), "LIDAR")]
    # From tick 5 on what is measured is five ticks old, and at tick 20 it stays.
    assert measured[5:] == [*range(15), *[15] * 81]


def test_freezing_a_sensor_leaves_the_count_of_losses() -> None:
    class Damaged(HandMadeLog):
        def messages(self, *, start_ns: int | None = None, end_ns: int | None = None) -> Iterator[Message]:
            self.losses = Losses()
            for message in super().messages(start_ns=start_ns, end_ns=end_ns):
                self.losses.add("RADAR", "broken")
                yield message

    freeze = FaultsConfig.model_validate({"faults": [{"kind": "freeze", "channels": ["LIDAR"], "start_s": 2.0}]})
    for damaged in (Damaged(), HeldLog(Damaged(), 9.0)):
        log = FaultyLog(damaged, freeze)
        read = len(list(log.messages()))
        assert log.losses.messages["RADAR"] >= read > 0
