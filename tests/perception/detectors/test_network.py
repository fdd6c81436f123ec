import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from tricast.configs.errors import InputError
from tricast.perception.backends.fixed_network import FixedNetwork
from tricast.perception.backends.fixed_shapes import FixedInputs, FixedShapes
from tricast.perception.backends.interface import GraphBackend
from tricast.perception.config import chosen_config
from tricast.perception.decoding import DecodingConfig
from tricast.perception.detectors.network import NetworkDetector
from tricast.perception.detectors.network_config import NetworkConfig
from tricast.perception.model import ModelConfig, Network
from tricast.perception.model_weights import load_network, save_weights
from tricast.perception.picture_decoding import AwaitedPictures, PictureDecoder
from tricast.perception.query_memory import QueryMemory
from tricast.perception.streaming.replay import ReplayOptions, replay
from tricast.perception.streaming.tick_source import ticks
from tricast.sensors.frames import CameraFrame
from tricast.sensors.log.open_log import open_log
from tricast.sensors.synced_frame import SyncedFrame
from tricast.sensors.synchronization import Synchronizer, SynchronizerConfig
from tricast.tools.cli import main
from tricast.tools.demo import demo_log_path


@pytest.fixture
def weights(small_model: ModelConfig, tmp_path: Path) -> Path:
    path = tmp_path / "w.safetensors"
    save_weights(path, _confident(small_model))
    return path


def _confident(config: ModelConfig) -> Network:
    """Untrained, but so sure of everything that its boxes become tracks."""
    torch.manual_seed(0)
    network = Network(config)
    for name, value in network.named_parameters():
        if name.endswith(("logits.bias", "classes.bias")):
            torch.nn.init.constant_(value, 4.0)
    return network


def _replayed(
    weights: Path, out: Path, sensors: tuple[str, ...] | None = None, *, sensor_share: bool = False
) -> tuple[list[dict], bytes]:
    config = chosen_config(weights=str(weights))
    decoding = DecodingConfig(min_score=0.0, max_detections=20)
    network = NetworkConfig(weights=str(weights), threads=1, decoding=decoding, sensor_share=sensor_share)
    config = config.model_copy(update={"network": network})
    replay(open_log(demo_log_path()), config, out, options=ReplayOptions(duration_s=0.5, sensors=sensors))
    text = (out / "results.jsonl").read_bytes()
    return [json.loads(line) for line in text.splitlines()], text


def test_a_replay_with_the_network_is_the_same_twice(weights: Path, tmp_path: Path) -> None:
    first, second = _replayed(weights, tmp_path / "a")[1], _replayed(weights, tmp_path / "b")[1]
    assert first == second
    assert b'"class"' in first


def test_pytorch_has_several_threads_in_the_network_alone(weights: Path) -> None:
    """Its threads go on spinning after an operation, and would take cores from pictures and runtimes."""
    seen: dict[str, int] = {}

    class Pictures(PictureDecoder):
        def begun(self, images: Sequence[CameraFrame], size_px: tuple[int, int]) -> AwaitedPictures:
            seen["preparing"] = torch.get_num_threads()
            return super().begun(images, size_px)

    before, frame = torch.get_num_threads(), _first_tick()
    detector = NetworkDetector(NetworkConfig(weights=str(weights), threads=3), pictures=Pictures(1))
    detector.network.register_forward_pre_hook(lambda *_: seen.update(network=torch.get_num_threads()))
    detector.detect(frame)
    assert seen == {"preparing": 1, "network": 3}
    assert torch.get_num_threads() == before

    batch, memory = detector.prepare(frame), QueryMemory()
    fixed = FixedNetwork(detector.network)

    def graph(inputs: FixedInputs) -> Sequence[torch.Tensor]:
        seen["graph"] = torch.get_num_threads()
        return fixed(*inputs.tensors())

    GraphBackend("openvino", detector.network, FixedShapes.around([batch]), graph, threads=3)(batch, memory)
    narrow = FixedShapes(cameras=1, lidar_rows=1, radar_rows=1)
    seen.pop("network")
    GraphBackend("openvino", detector.network, narrow, graph, threads=2)(batch, memory)
    assert seen == {"preparing": 1, "graph": 1, "network": 2}


def _first_tick() -> SyncedFrame:
    log = open_log(demo_log_path())
    synchronizer = Synchronizer(log.rig, SynchronizerConfig(), origin_ns=log.start_ns)
    return next(frame for frame, _ in ticks(log.messages(), synchronizer) if len(frame.inputs) > 5)


def test_sensor_shares_are_told_beside_what_is_there_without_them(weights: Path, tmp_path: Path) -> None:
    plain, _ = _replayed(weights, tmp_path / "plain")
    first, again = (_replayed(weights, tmp_path / run, sensor_share=True) for run in "ab")
    assert first[1] == again[1]
    seen = 0
    for before, line in zip(plain, first[0], strict=True):
        for thing in line["objects"]:
            shares = thing.pop("sensor_share")
            if shares is not None:
                seen += 1
                assert sum(shares["attention"].values()) == pytest.approx(1, abs=1e-5)
                assert set(shares["camera_attention"]) <= {"CAM_BACK", "CAM_FRONT", "CAM_LEFT", "CAM_RIGHT"}
        assert line == before
    assert seen > 5


def test_sensor_shares_without_a_sensor_name_none_for_it(weights: Path, tmp_path: Path) -> None:
    lines, _ = _replayed(weights, tmp_path, ("lidar",), sensor_share=True)
    shares = [thing["sensor_share"] for line in lines for thing in line["objects"] if thing["sensor_share"]]
    assert shares
    for share in shares:
        assert share["attention"] == share["score_drop"] == {"camera": 0.0, "lidar": 1.0, "radar": 0.0}
        assert share["camera_attention"] == {}


def test_sensor_shares_are_asked_of_the_network_only(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    command = ["replay", str(demo_log_path()), "--out", str(tmp_path), "--detector", "cluster", "--sensor-share"]
    assert main(command) == 2
    assert "--sensor-share: got the detector 'cluster'" in capsys.readouterr().err


@pytest.mark.parametrize("sensors", [("camera",), ("lidar",), ("radar",)])
def test_a_replay_with_one_modality_runs(weights: Path, tmp_path: Path, sensors: tuple[str, ...]) -> None:
    assert _replayed(weights, tmp_path / "a", sensors)[0]


def test_weights_hold_the_network_that_wrote_them(small_model: ModelConfig, weights: Path) -> None:
    network = load_network(weights)
    assert network.config == small_model
    assert not network.training
    for name, value in _confident(small_model).state_dict().items():
        assert torch.equal(network.state_dict()[name], value), name


def test_replay_with_the_network_but_without_weights_says_so(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "bare.yaml").write_text("detector: network\nnetwork: {weights: null}\n")
    code = main(["replay", str(demo_log_path()), "--out", str(tmp_path), "--config", str(tmp_path / "bare.yaml")])
    assert code == 2
    error = capsys.readouterr().err
    assert "weights of the network: got none" in error
    assert error.count("\n") == 1


def test_a_damaged_file_of_weights_is_refused(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(weights.read_bytes()[:5000])
    assert main(["replay", str(demo_log_path()), "--out", str(tmp_path / "o"), "--weights", str(cut)]) == 2
    assert "no readable weights" in capsys.readouterr().err


def test_weights_make_the_network_the_detector() -> None:
    config = chosen_config(weights="x.safetensors")
    assert (config.detector, config.network.weights) == ("network", "x.safetensors")
    assert (config.synchronizer.lidar_sweeps, config.synchronizer.lidar_span_s) == (5, 0.46)
    assert chosen_config().detector == "network"
    with pytest.raises(InputError, match="--weights"):
        chosen_config(detector="cluster", weights="x")


def test_the_classical_detector_needs_no_torch() -> None:
    code = (
        "import sys; from tricast.perception.config import chosen_config; "
        "from tricast.perception.streaming.pipeline import Pipeline; Pipeline(chosen_config(detector='cluster')); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_replay_refuses_a_backend_that_is_not_named_or_not_there(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "auto.yaml").write_text(f"detector: network\nnetwork: {{weights: '{weights}', backend: auto}}\n")
    replay_it = ["replay", str(demo_log_path()), "--out", str(tmp_path / "out"), "--no-pictures"]
    cases = [
        (["--config", str(tmp_path / "auto.yaml")], "network.backend: got 'auto' where results must not depend"),
        (["--detector", "cluster", "--backend", "compile"], "a backend for the detector 'cluster'"),
    ]
    if not torch.cuda.is_available():
        cases.append((["--weights", str(weights), "--backend", "cuda_graphs"], "got a machine without a CUDA device"))
    for options, said in cases:
        assert main([*replay_it, *options]) == 2
        assert said in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("results*"))


def test_a_run_names_the_backend_and_threads_that_ran_it(weights: Path, tmp_path: Path) -> None:
    _replayed(weights, tmp_path)
    ran_by = json.loads((tmp_path / "summary.json").read_text())["ran_by"]
    assert ran_by == {"backend": "eager", "threads": 1}
    config = (tmp_path / "config.yaml").read_text()
    assert "backend: eager" in config
