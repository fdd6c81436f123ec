"""`tricast benchmark` and `tricast export`: the load, and the user's mistakes in one line."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tricast.sensors.frames import CameraFrame, EgoPose, LidarSweep, RadarScan
from tricast.sensors.geometry.se3 import SE3
from tricast.tools.benchmark import LOAD_NAMES
from tricast.tools.benchmark_load import LOADS, enlarged
from tricast.tools.cli import main
from tricast.tools.demo import demo_log_path

LOAD = LOADS["standard"]


def test_every_load_has_a_name_for_the_command_line() -> None:
    assert set(LOAD_NAMES) == set(LOADS)


def test_the_load_has_the_stated_sizes_and_is_the_same_wherever_it_is_made() -> None:
    rng = np.random.default_rng(0)
    picture = CameraFrame.from_pixels("CAM_FRONT", 100, rng.integers(0, 255, (225, 400, 3), dtype=np.uint8))
    first, second = enlarged(picture, LOAD, 2), enlarged(picture, LOAD, 2)
    assert isinstance(first, CameraFrame) and isinstance(second, CameraFrame)
    assert first.data == second.data
    assert first.header_size_px() == (1600, 900)
    # Enlarging keeps what the picture shows: the mean stays, within what grain and JPEG change.
    assert first.pixels().mean() == pytest.approx(picture.pixels().mean(), abs=1)
    sweep = LidarSweep.from_points("LIDAR_TOP", 0, np.arange(44_000 * 3).reshape(-1, 3), rings=np.arange(44_000) % 32)
    thinned = enlarged(sweep, LOAD, 2)
    assert isinstance(thinned, LidarSweep)
    assert len(thinned) == len(thinned.rings) == len(thinned.intensity) == 30_000
    assert (thinned.rings == thinned.points_m[:, 0] // 3 % 32).all()  # each return keeps its own columns
    scan = RadarScan.from_points("RADAR_FRONT", 0, np.ones((130, 3)))
    assert isinstance(few := enlarged(scan, LOAD, 2), RadarScan) and len(few.points_m) == 100
    pose = EgoPose(timestamp_ns=0, received_ns=0, odom_from_ego=SE3())
    assert enlarged(pose, LOAD, 2) is pose


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--ticks", "0"], "--ticks: got 0"),
        (["--ticks", "5", "--full"], "both --ticks and --full"),
        (["--load", "nuscenes"], "both --load and a log"),
        (["--rate", "nan"], "--rate: got nan"),
        (["--threads", "0"], "--threads: got 0"),
        (["--weights", "absent"], "weights of the network: got 'absent'"),
        (["--backend", "onnx"], "--backend: got 'onnx'"),
        (["--compare", "eager,auto"], "--compare: got 'auto'"),
        (["--batch", "0"], "--batch: got 0"),
        (["--device", "cpu", "--precision", "fp16", "--backend", "eager"], "fp16 on a CPU"),
    ],
)
def test_wrong_options_of_the_benchmark_are_one_line(
    options: list[str], said: str, capsys: pytest.CaptureFixture
) -> None:
    assert main(["benchmark", str(demo_log_path()), *options]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_an_export_says_what_is_wrong_before_it_works(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["export", "--to", "onnx", "--out", str(tmp_path / "graph.xml")]) == 2
    assert "ends with .onnx" in capsys.readouterr().err
    if not torch.cuda.is_available():
        assert main(["export", "--to", "tensorrt", "--out", str(tmp_path / "graph.engine")]) == 2
        assert "backend 'tensorrt': got a machine without TensorRT" in capsys.readouterr().err
    assert main(["export", "--to", "onnx", "--precision", "bf16", "--out", str(tmp_path / "graph.onnx")]) == 2
    assert "bf16 for onnx" in capsys.readouterr().err
    assert main(["export", "--to", "onnx", "--out", str(tmp_path / "graph.onnx"), "--lidar-rows", "10"]) == 2
    error = capsys.readouterr().err
    # Without the exporter's packages that is what is said first.
    assert "--radar-rows: got 4, 10," in error or "a machine without the package" in error
    assert list(tmp_path.iterdir()) == []
