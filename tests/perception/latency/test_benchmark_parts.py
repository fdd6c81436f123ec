"""The tools around the benchmark: parts beside other ways, and the accuracy of backends."""

import json
from pathlib import Path

import pytest
import torch

from tricast.perception.config import chosen_config
from tricast.perception.detectors.network_config import NetworkConfig
from tricast.perception.model import ModelConfig, Network
from tricast.perception.model_weights import save_weights
from tricast.tools.benchmark_parts import main, measure_pillars, measure_start, measure_vit, measure_work, tables
from tricast.tools.compare_backends import Way, departures, scores_by_backend
from tricast.tools.compare_backends import main as compare_backends
from tricast.tools.demo import demo_log_path


@pytest.fixture
def network(small_model: ModelConfig) -> Network:
    torch.manual_seed(0)
    return Network(small_model).eval()


def test_parts_say_how_many_times_faster_ours_is_than_the_fastest_other(network: Network) -> None:
    config = chosen_config(detector="network")
    config = config.model_copy(update={"network": NetworkConfig(threads=1)})
    figures = {
        "machine": {"processor": "P", "cores": 2, "load_before": [0.5]},
        "threads": 1,
        "pillars": measure_pillars(network, 11, num_points=300),
        "vit": measure_vit(network, 11),
        "work": measure_work(network, config, demo_log_path(), 2, {"queries": (4, 8)}),
    }
    figures = json.loads(json.dumps(figures))
    for part, others in (("pillars", {"numpy", "torch"}), ("vit", {"torchvision"})):
        times = figures[part]["times_faster_than"]
        assert others <= times.keys()
        assert figures[part]["times_faster_at_least"] == min(t["median"] for t in times.values())
    rows = figures["work"]["tables"]["queries"]["rows"]
    assert [row["amount"] for row in rows] == [4, 8]
    for markdown in (False, True):
        text = tables(figures, markdown=markdown)
        assert ("| way |" in text) == markdown
        for word in ("scatter", "torchvision", "ms for each", "0.5 before"):
            assert word in text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--only", "pillars,wheels"], "--only: got pillars,wheels"),
        (["--rounds", "5"], "--rounds: got 5"),
        (["--threads", "0"], "--threads: got 0"),
        (["--weights", "absent"], "weights of the network: got 'absent'"),
    ],
)
def test_wrong_options_of_the_parts_are_one_line(options: list[str], said: str, capsys: pytest.CaptureFixture) -> None:
    assert main(options) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_a_new_process_is_timed_to_its_end(network: Network, tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", network)
    measured = measure_start(demo_log_path(), str(tmp_path / "w.safetensors"), 1)
    assert measured["ticks"] > 1
    assert measured["seconds"][0] > 0.1


def test_departures_are_shares_of_what_eager_scores() -> None:
    apart = departures({"eager": {"mAP": 0.5}, "openvino": {"mAP": 0.498}, "compile": {"mAP": 0.51}})
    assert apart == pytest.approx({"openvino": -0.004, "compile": 0.02})


def test_a_backend_that_is_not_there_is_refused_before_any_log_is_read(capsys: pytest.CaptureFixture) -> None:
    assert compare_backends(["nowhere.mcap", "--backends", "eager,onnx"]) == 2
    assert "backend: got 'onnx'" in capsys.readouterr().err
    assert compare_backends(["nowhere.mcap", "--backends", "eager-fp8"]) == 2
    assert "as in eager-bf16" in capsys.readouterr().err


@pytest.mark.slow
def test_every_backend_is_scored_on_the_same_logs(network: Network, tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", network)
    config = chosen_config(weights=str(tmp_path / "w.safetensors"))
    told: list[str] = []
    scores = scores_by_backend([demo_log_path()], config, [Way.named("eager")], workers=1, report=told.append)
    assert len(told) == 1 and told[0].startswith("eager: mAP ")
    assert list(scores) == ["eager"]
    assert scores["eager"]["mAP"] is not None
