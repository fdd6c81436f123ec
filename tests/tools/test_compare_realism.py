"""The comparison of simulated with recorded sensors: each figure by hand, and the command as a whole."""

import json
from pathlib import Path

import numpy as np
import pytest

from tricast.configs.errors import InputError
from tricast.sensors.annotations import Annotations
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.frames import CameraFrame, LidarSweep, RadarScan
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.motion_compensation import EgoMotion
from tricast.tools.compare_realism import compare, main, table
from tricast.tools.demo import demo_log_path
from tricast.tools.realism_figures import image_figures, lidar_figures, object_figures, radar_figures

SMALL_WORLD = """
lidar: {num_beams: 4, num_columns: 64}
camera: {width_px: 32, height_px: 24, focal_px: 18.0}
town: {num_driving: 2, num_cycling: 1, num_walking: 2, num_parked: 3, num_trees: 2, num_railings: 2, num_lookalikes: 2}
"""
RIG = Rig.of(
    [
        SensorCalibration(channel="LIDAR", modality="lidar", ego_from_sensor=SE3(translation_m=(0.0, 0.0, 2.0))),
        SensorCalibration(channel="RADAR", modality="radar", ego_from_sensor=SE3()),
    ]
)


def truth() -> Annotations:
    """A car 10 m ahead and a pedestrian 20 m ahead."""
    boxes = Boxes(
        centers_m=np.array([[10.0, 0, 1], [20.0, 0, 1]]),
        sizes_m=np.array([[4.0, 2, 2], [1.0, 1, 2]]),
        yaws_rad=np.zeros(2),
        velocities_mps=np.zeros((2, 2)),
    )
    return Annotations.from_boxes(0, boxes, ("car", "pedestrian"), ("a", "b"))


def sweep(intensity: list[float]) -> LidarSweep:
    points = np.array([[9.0, 0, -1], [10, 0.5, -1], [11, -0.5, -0.5], [40, 0, -1]])
    return LidarSweep.from_points("LIDAR", 0, points, intensity=np.array(intensity))


def test_lidar_shares_of_range_and_intensity_are_per_revolution_and_of_the_sensors_own_scale() -> None:
    for scale in (1, 255):
        figures = lidar_figures([sweep([0.01 * scale, 0.3 * scale, 0.3 * scale, 1.0 * scale])] * 2)
        assert figures["LiDAR points per sweep"] == 4
        assert figures["LiDAR, % of points, 5 to 10 m"] == 25
        assert figures["LiDAR, % of points, 10 to 20 m"] == 50
        assert figures["LiDAR, % of points, 30 to 50 m"] == 25
        assert figures["LiDAR, % of intensities, 0 to 0.05 of full scale"] == 25
        assert figures["LiDAR, % of intensities, 0.2 to 0.4 of full scale"] == 50
        assert figures["LiDAR, % of intensities, 0.7 to 1 of full scale"] == 25
    assert lidar_figures([]) == {}


def test_points_are_counted_in_the_box_and_objects_without_any_are_told_apart() -> None:
    figures = object_figures(RIG, EgoMotion(), [truth()], [sweep([0.1] * 4)])
    assert figures["LiDAR points on a car, median, 0 to 15 m"] == 3
    assert figures["car without a LiDAR point, %, 0 to 15 m"] == 0
    assert figures["pedestrian without a LiDAR point, %, 15 to 30 m"] == 100
    assert object_figures(RIG, EgoMotion(), [truth()], []) == {}


def test_radar_returns_are_those_of_the_object_or_stand_still_or_seem_to_move() -> None:
    scan = RadarScan.from_points(
        "RADAR",
        0,
        np.array([[10.0, 1.4, 0], [30, 0, 0], [31, 0, 0], [32, 0, 0], [33, 0, 0]]),
        rcs_dbsm=np.array([9.0, 1, 1, 1, 1]),
        compensated_velocities_mps=np.array([7.0, 0.2, -0.2, 0.0, 5.0]),
    )
    figures = radar_figures(RIG, EgoMotion(), [truth()], [scan])
    assert figures["radar returns per scan"] == 5
    assert figures["radar returns on a car, mean, 0 to 15 m"] == 1
    assert figures["radar returns on a pedestrian, mean, 15 to 30 m"] == 0
    assert figures["radar off objects, % that seem to move"] == 25
    assert figures["radar Doppler spread of what stands, m/s"] == pytest.approx(np.std([0.2, -0.2, 0.0]), rel=1e-4)
    assert figures["radar cross-section, median, dBsm"] == 1


def test_images_are_told_by_brightness_contrast_colour_edges_and_noise() -> None:
    flat = np.full((240, 320, 3), 51, np.uint8)
    red = flat.copy()
    red[:, 160:] = (255, 51, 51)
    noisy = np.clip(flat + np.random.default_rng(0).normal(0, 5, (240, 320, 1)), 0, 255).astype(np.uint8)
    noisy = np.repeat(noisy[:, :, :1], 3, axis=2)
    figures = [image_figures([CameraFrame.from_pixels("CAM", 0, image)]) for image in (flat, red, noisy)]
    assert figures[0] == pytest.approx(
        {
            f"image {n}, %": v
            for n, v in zip(
                ("mean", "contrast", "colour", "edges", "noise", "overexposed"), (20, 0, 0, 0, 0, 0), strict=True
            )
        }
    )
    assert figures[1]["image colour, %"] == pytest.approx(40)
    assert figures[1]["image contrast, %"] > 10
    assert figures[1]["image noise, %"] == 0
    assert figures[2]["image noise, %"] == pytest.approx(100 * 5 / 255, rel=0.1)


@pytest.mark.parametrize("seeds", [(99_999, 100_000), (105_000, 105_001), (119_999, 130_000), (5, 5)])
def test_seeds_of_training_validation_and_test_are_refused(seeds: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="--seeds"):
        compare([demo_log_path()], ["standard"], seeds, 1.0)


def test_a_figure_outside_of_all_scenes_has_the_number_of_the_world_and_is_counted() -> None:
    comparison = {
        "worlds": {
            "standard 1": [{"a": 1.0, "b": 1.0}, {"a": 3.0, "b": 2.0}],
            "realistic 2": [{"a": 2.5, "b": 30.0}, {"a": 9.0, "b": 10.0, "c": 4.0}],
        },
        "logs": {"x": {"a": 2.0, "b": 20.0, "c": 5.0}},
    }
    lines = table(comparison, markdown=True).splitlines()
    assert lines[0] == "| figure | standard 1, mean (least to most) | realistic 2, mean (least to most) | x |"
    assert lines[2:] == [
        "| a | 2.00 (1.00 to 3.00) | 5.75 (2.50 to 9.00) | 2.00² |",
        "| b | 1.50 (1.00 to 2.00) | 20.0 (10.0 to 30.0) | 20.0¹ |",
        "| c | - | 4.00 (4.00 to 4.00) | 5.00² |",
        "| recorded figures outside of all scenes | 1 of 2 | 2 of 3 |  |",
    ]


def test_more_worlds_than_can_be_marked_are_refused() -> None:
    with pytest.raises(InputError, match="--against"):
        compare([demo_log_path()], ["standard"] * 10, (150_000, 150_001), 1.0)


@pytest.mark.parametrize("lengths", [(float("nan"), None), (1.0, float("nan")), (1.0, 0.0), (float("inf"), None)])
def test_lengths_that_are_none_are_refused(lengths: tuple[float, float | None]) -> None:
    with pytest.raises(InputError, match="seconds"):
        compare([demo_log_path()], ["standard"], (150_000, 150_001), *lengths)


def test_the_command_compares_a_log_with_scenes_of_a_world(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = tmp_path / "small.yaml"
    world.write_text(SMALL_WORLD)
    coarser = tmp_path / "coarser.yaml"
    coarser.write_text(SMALL_WORLD.replace("num_columns: 64", "num_columns: 16"))
    options = [
        "--against",
        str(world),
        str(coarser),
        "--seeds",
        "150000",
        "150001",
        "--seconds",
        "0.6",
        "--log-seconds",
        "0.6",
    ]
    assert main([str(demo_log_path()), *options, "--json"]) == 0
    comparison = json.loads(capsys.readouterr().out)
    assert set(comparison["logs"]) == {"demo"}
    names = {"LiDAR points per sweep", "radar returns per scan", "image noise, %"}
    assert list(comparison["worlds"]) == ["small 1", "coarser 1"]
    for scenes, columns in zip(comparison["worlds"].values(), (64, 16), strict=True):
        assert names <= set(scenes[0]) & set(comparison["logs"]["demo"])
        assert scenes[0]["LiDAR points per sweep"] <= 4 * columns
    assert main(["nowhere.mcap", *options]) == 2
    assert "nowhere.mcap" in capsys.readouterr().err
