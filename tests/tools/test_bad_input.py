"""Users' mistakes and broken files: one clear line and exit code 2, or the intact part and the loss reported."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tricast.sensors.calibration import Rig
from tricast.sensors.frames import CameraFrame, LidarSweep
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.rig_file import save_rig
from tricast.sensors.log.writer import LogWriter
from tricast.tools.demo import demo_log_path


def tricast(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tricast.tools.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def assert_refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2
    for word in words:
        assert word in done.stderr


def replay(log: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return tricast("replay", log, "--out", out, "--no-pictures", "--detector", "cluster", *more)


def test_a_missing_log(tmp_path: Path) -> None:
    assert_refused(replay(tmp_path / "none.mcap", tmp_path / "run"), "none.mcap")


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.mcap").touch()
    assert_refused(replay(tmp_path / "empty.mcap", tmp_path / "run"), "empty.mcap")


def test_noise(tmp_path: Path) -> None:
    (tmp_path / "noise.mcap").write_bytes(np.random.default_rng(0).bytes(50_000))
    assert_refused(replay(tmp_path / "noise.mcap", tmp_path / "run"), "noise.mcap")


def test_a_folder_that_is_no_dataset(tmp_path: Path) -> None:
    assert_refused(replay(tmp_path, tmp_path / "run"), str(tmp_path))


def test_an_unknown_setting_names_its_nearest(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("synchronizer:\n  deadline_mss: 50\n")
    done = replay(demo_log_path(), tmp_path / "run", "--config", str(config))
    assert_refused(done, "synchronizer.deadline_mss", "did you mean deadline_ms")


def test_an_unknown_packaged_configuration(tmp_path: Path) -> None:
    assert_refused(replay(demo_log_path(), tmp_path / "run", "--config", "clutser"), "clutser", "cluster")


def test_start_past_the_end(tmp_path: Path) -> None:
    assert_refused(replay(demo_log_path(), tmp_path / "run", "--start", "1000"), "--start", "1000")


def test_an_unknown_sensor(tmp_path: Path) -> None:
    assert_refused(replay(demo_log_path(), tmp_path / "run", "--sensors", "sonar"), "sonar", "camera")


def test_a_rate_that_is_no_number(tmp_path: Path) -> None:
    assert_refused(replay(demo_log_path(), tmp_path / "run", "--rate", "fast"), "--rate", "fast")


def test_a_wrong_calibration_file(tmp_path: Path) -> None:
    rig = tmp_path / "rig.yaml"
    rig.write_text("sensors:\n  LIDAR:\n    modality: sonar\n")
    assert_refused(replay(demo_log_path(), tmp_path / "run", "--calibration", str(rig)), "rig.yaml", "LIDAR")


def test_a_calibration_of_other_sensors(tmp_path: Path) -> None:
    log = open_log(demo_log_path())
    save_rig(Rig.of([replace(log.rig["LIDAR_TOP"], channel="VELODYNE")]), tmp_path / "rig.yaml")
    done = replay(demo_log_path(), tmp_path / "run", "--calibration", str(tmp_path / "rig.yaml"))
    assert_refused(done, "demo.mcap", "VELODYNE", "LIDAR_TOP")


def test_a_sensor_without_calibration_is_a_loss_and_the_others_are_used(tmp_path: Path) -> None:
    rig = open_log(demo_log_path()).rig
    save_rig(Rig.of(s for s in rig.sensors.values() if s.modality != "radar"), tmp_path / "rig.yaml")
    arguments = ("--calibration", str(tmp_path / "rig.yaml"), "--duration", "0.3")
    done = replay(demo_log_path(), tmp_path / "run", *arguments)
    assert done.returncode == 0, done.stderr
    assert "RADAR_FRONT has no calibration" in done.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["losses"]["by_channel"].keys() == {"RADAR_FRONT", "RADAR_BACK"}
    assert summary["objects_per_tick"] > 0
    assert replay(demo_log_path(), tmp_path / "run", *arguments, "--strict").returncode == 2


def test_points_that_are_no_numbers_are_left_out_and_counted(tmp_path: Path) -> None:
    log = open_log(demo_log_path())
    with LogWriter(tmp_path / "nan.mcap", log.rig) as writer:
        for message in log.messages(end_ns=log.start_ns + 300_000_000):
            if isinstance(message, LidarSweep):
                points = message.points_m.copy()
                points[::2] = (np.nan, np.inf, 0.0)
                message = replace(message, points_m=points)
            writer.write(message)
    done = replay(tmp_path / "nan.mcap", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["invalid_points"]["LIDAR_TOP"] > 1000
    assert summary["objects_per_tick"] > 0
    assert "NaN" not in (tmp_path / "run" / "results.jsonl").read_text()


@pytest.mark.parametrize(
    ("arguments", "offered"),
    [
        (("replay", demo_log_path(), "--config", "tiny"), "name another: cluster, network, nuscenes_network or"),
        (("replay", demo_log_path(), "--config", "clutser"), "one of cluster, network, nuscenes_network;"),
        (("train", "--config", "network"), "name another: fine_tuning, nuscenes, tiny or"),
    ],
)
def test_a_configuration_of_another_command_is_called_so_and_none_is_offered(
    tmp_path: Path, arguments: tuple[str, ...], offered: str
) -> None:
    done = tricast(*arguments, "--out", tmp_path / "run")
    assert_refused(done, f"configuration '{arguments[-1]}'", offered)
    assert "remove it" not in done.stderr


def test_a_copy_onto_a_folder(tmp_path: Path) -> None:
    assert_refused(tricast("convert", demo_log_path(), "--out", tmp_path), str(tmp_path), "--out")


def test_an_output_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert_refused(replay(demo_log_path(), tmp_path / "file"), "--out")


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_log_delivers_what_is_intact_and_reports_the_loss(tmp_path: Path, damage: str) -> None:
    data = bytearray(demo_log_path().read_bytes())
    if damage == "truncated":
        data = data[: int(0.6 * len(data))]
    else:
        data[len(data) // 2] ^= 0xFF
    broken = tmp_path / "broken.mcap"
    broken.write_bytes(data)
    done = replay(broken, tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "warning" in done.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["lost_messages"] > 0
    assert summary["ticks"] > 5
    assert replay(broken, tmp_path / "strict", "--strict").returncode == 2


@pytest.mark.parametrize("damage", ["cut", "no header"])
def test_pictures_that_do_not_decode_are_a_loss_of_their_channel(tmp_path: Path, damage: str) -> None:
    log, broken = open_log(demo_log_path()), tmp_path / "broken.mcap"
    with LogWriter(broken, log.rig) as writer:
        for message in log.messages(end_ns=log.start_ns + 800_000_000):
            if isinstance(message, CameraFrame) and message.channel == "CAM_LEFT":
                data = message.data[: len(message.data) // 2] if damage == "cut" else b"no picture"
                message = replace(message, data=data)
            writer.write(message)
    # 4 threads prepare ticks: what one of them finds out is in the report all the same.
    options = ("--no-pictures", "--detector", "network", "--workers", "4", "--strict")
    done = tricast("replay", broken, "--out", tmp_path / "run", *options)
    assert done.returncode == 2, done.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    lost = summary["lost_messages"]
    assert lost >= 6  # of 10 Hz
    assert summary["losses"]["by_channel"] == {"CAM_LEFT": lost}
    assert f"warning: pictures that do not decode, and that ticks went without: {lost} of CAM_LEFT" in done.stderr
    assert summary["channels"]["CAM_LEFT"]["state"] == "degraded"
    assert summary["channels"]["CAM_BACK"]["state"] == "ok"


def test_json_prints_one_object_and_nothing_else(tmp_path: Path) -> None:
    done = replay(demo_log_path(), tmp_path / "run", "--json")
    assert done.returncode == 0
    summary = json.loads(done.stdout)
    assert summary == json.loads((tmp_path / "run" / "summary.json").read_text())
    assert {"ticks", "duration_s", "latency_ms", "drops", "lost_messages"} <= summary.keys()
    assert summary["latency_ms"]["p99"] is None
