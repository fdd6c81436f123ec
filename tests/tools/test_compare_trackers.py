"""Reading of KITTI's files, its rules, and both trackers on the recorded boxes."""

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tricast.perception.evaluation.clear import ClearMetrics
from tricast.perception.evaluation.hota import HotaMetrics
from tricast.perception.evaluation.kitti_tracks import CarTracks, score_cars
from tricast.sensors.errors import CalibrationError, LogError
from tricast.sensors.log.kitti_tracking import read_camera_matrix, read_detections, read_labels
from tricast.tools.compare_trackers import compare

CALIBRATION = "P2: 700 0 600 0 0 700 180 0 0 0 1 0\n"
CAR = "0 0 200 100 300 200 1.5 1.8 4.0 -2.0 1.7 20.0 -1.5707963"


def label(frame: int, track: int, kind: str = "Car", occlusion: int = 0) -> str:
    return f"{frame} {track} {kind} 0 {occlusion} {CAR.partition(' ')[2]}".replace("0 200", "0.1 200", 1) + "\n"


def write(root: Path, text: str, name: str = "labels.txt") -> Path:
    (root / name).write_text(text)
    return root / name


def perfect(path: Path) -> CarTracks:
    labels = read_labels(path)
    return CarTracks(frames=labels.frames, track_ids=labels.track_ids, boxes=labels.boxes, scores=np.ones(len(labels)))


def scored(tracks: CarTracks, labels: Path, matrix: NDArray[np.float64]) -> tuple[HotaMetrics, ClearMetrics]:
    found = score_cars(tracks, read_labels(labels), matrix)
    assert found is not None
    return found


def test_a_label_ahead_and_to_the_left_has_its_place_and_heading(tmp_path: Path) -> None:
    labels = read_labels(write(tmp_path, label(3, 7)))
    assert labels.frames.tolist() == [3]
    assert labels.track_ids.tolist() == [7]
    assert labels.boxes.centers_m[0] == pytest.approx([20.0, 2.0, -0.95])
    assert labels.boxes.sizes_m[0] == pytest.approx([4.0, 1.8, 1.5])
    assert labels.boxes.yaws_rad[0] == pytest.approx(0.0, abs=1e-6)
    matrix = read_camera_matrix(write(tmp_path, CALIBRATION, "calib.txt"))
    u, v, depth = matrix @ [*labels.boxes.centers_m[0], 1.0]
    assert [u / depth, v / depth, depth] == pytest.approx([600 - 70, 180 + 700 * 0.95 / 20, 20])


def test_damaged_files_are_refused_with_their_line(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="line 2"):
        read_labels(write(tmp_path, label(0, 1) + "0 1 Car\n"))
    with pytest.raises(LogError, match="line 4"):
        read_labels(write(tmp_path, label(0, 1) + "\n\n0 1 Car\n"))
    with pytest.raises(LogError, match=r"missing\.txt"):
        read_detections(tmp_path / "missing.txt")


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("P1: 1\n", "no such line"),
        (CALIBRATION.replace("600", "x"), "P2: 700 0 x"),
        (CALIBRATION.replace("600", "inf"), "P2: 700 0 inf"),
        (CALIBRATION.replace("600", ""), "P2: 700 0  0"),
    ],
)
def test_a_matrix_that_is_none_is_quoted(tmp_path: Path, text: str, got: str) -> None:
    with pytest.raises(CalibrationError, match=rf"calib\.txt: got .?{got}"):
        read_camera_matrix(write(tmp_path, text, "calib.txt"))


def test_perfect_tracks_score_one_and_hidden_cars_and_vans_cost_nothing(tmp_path: Path) -> None:
    matrix = read_camera_matrix(write(tmp_path, CALIBRATION, "calib.txt"))
    path = write(tmp_path, label(0, 1) + label(1, 1) + label(2, 1, "Van") + label(3, 1, occlusion=3))
    hota, clear = scored(perfect(path), path, matrix)
    assert hota.hota == pytest.approx(1.0)
    assert (clear.mota, clear.true_positives, clear.false_positives) == (1.0, 2, 0)


def test_an_identity_switch_and_a_false_track_are_counted(tmp_path: Path) -> None:
    matrix = read_camera_matrix(write(tmp_path, CALIBRATION, "calib.txt"))
    path = write(tmp_path, label(0, 1) + label(1, 1) + label(2, 1))
    tracks = perfect(path)
    switched = CarTracks(frames=tracks.frames, track_ids=np.array([5, 5, 6]), boxes=tracks.boxes, scores=tracks.scores)
    clear = scored(switched, path, matrix)[1]
    assert (clear.identity_switches, clear.mota) == (1, pytest.approx(2 / 3))
    empty = write(tmp_path, label(0, 1) + label(1, 1, "Pedestrian"), "other.txt")
    assert scored(tracks, empty, matrix)[1].false_positives == 2


def test_a_sequence_without_cars_has_no_figures(tmp_path: Path) -> None:
    matrix = read_camera_matrix(write(tmp_path, CALIBRATION, "calib.txt"))
    nobody = read_labels(write(tmp_path, label(0, 1, "Pedestrian")))
    none = CarTracks(
        frames=nobody.frames[:0], track_ids=nobody.track_ids[:0], boxes=nobody.boxes[:0], scores=np.ones(0)
    )
    assert score_cars(none, nobody, matrix) is None
    assert score_cars(none, nobody[np.zeros(1, bool)], matrix) is None


def test_our_tracker_is_not_below_ab3dmot_on_the_recorded_boxes() -> None:
    root = os.environ.get("TRICAST_DATA")
    if root is None or not (Path(root) / "kitti_tracking").is_dir():
        pytest.skip("TRICAST_DATA does not name a folder with this recording")
    rows = compare(Path(root) / "kitti_tracking")
    ours, theirs = (
        {(row["sequence"], row["tracks"]): row for row in rows if row["tracker"] == name}
        for name in ("tricast", "ab3dmot")
    )
    assert sorted(ours) == [(name, kept) for name in ("0003", "0006", "0010") for kept in ("all", "confident")]
    for which, row in ours.items():
        other = theirs[which]
        assert row["HOTA"] >= other["HOTA"], which
        assert row["MOTA"] >= other["MOTA"], which
        assert row["identity_switches"] <= other["identity_switches"], which
