"""The Rerun recording, read back where the SDK is installed."""

import builtins
from dataclasses import replace
from pathlib import Path

import pytest

from tricast.configs.errors import InputError
from tricast.perception.viewing.rerun_recording import RerunRecorder, _as_file


def test_a_recording_holds_the_frame_tree_and_the_results(
    tmp_path: Path, frame, bare_frame, make_result, truth
) -> None:
    pytest.importorskip("rerun", reason="needs the viewer extra")
    with RerunRecorder(tmp_path / "replay.rrd") as recorder:
        recorder.add(frame, make_result(), truth)
        recorder.add(bare_frame, make_result(()), None)
    assert [p.name for p in tmp_path.iterdir()] == ["replay.rrd"]
    paths = _entity_paths(tmp_path / "replay.rrd")
    for wanted in (
        "/odom/base_link",
        "/odom/base_link/camera/CAM_FRONT",
        "/odom/base_link/lidar/LIDAR_TOP",
        "/odom/base_link/radar/RADAR_FRONT/doppler",
        "/odom/base_link/tracks",
        "/odom/base_link/tracks/forecasts",
        "/odom/base_link/tracks/velocity",
        "/odom/base_link/truth",
        "/images/CAM_LEFT",
    ):
        assert wanted in paths


def test_an_interrupted_recording_does_not_get_its_name(tmp_path: Path, frame, make_result) -> None:
    pytest.importorskip("rerun", reason="needs the viewer extra")
    with pytest.raises(KeyboardInterrupt), RerunRecorder(tmp_path / "replay.rrd") as recorder:
        recorder.add(frame, make_result(), None)
        raise KeyboardInterrupt
    assert not (tmp_path / "replay.rrd").exists()


def test_only_what_begins_as_an_image_is_shown(frame) -> None:
    raw = frame.cameras["CAM_FRONT"]
    encoded = _as_file(raw)
    assert encoded is not None and encoded[1] == "image/jpeg"
    jpeg = replace(raw, encoding="jpeg", data=encoded[0], size_px=None)
    assert _as_file(jpeg) == encoded
    for broken in (None, replace(jpeg, data=b"no jpeg"), replace(raw, data=raw.data[:-1])):
        assert _as_file(broken) is None


def test_a_missing_sdk_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_rerun(name: str, *args, **kwargs):
        if name == "rerun":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_rerun)
    with pytest.raises(InputError, match=r"pip install tricast\[viewer\]"):
        RerunRecorder(tmp_path / "replay.rrd")
    assert list(tmp_path.iterdir()) == []


def _entity_paths(path: Path) -> set[str]:
    from rerun.chunk import RrdReader

    return {str(chunk.entity_path) for chunk in RrdReader(str(path)).stream()}
