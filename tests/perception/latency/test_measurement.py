"""The benchmark as a whole on a small network and the demo log: what its figures hold, and that they fit together."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from tricast.configs.errors import InputError
from tricast.perception.config import PipelineConfig, chosen_config
from tricast.perception.detectors.network_config import NetworkConfig
from tricast.perception.latency.ceiling_shares import ceiling_shares, stage_shares
from tricast.perception.latency.ceilings import Ceiling, Ceilings, CeilingTrials
from tricast.perception.latency.measurement import BenchmarkOptions, benchmark
from tricast.perception.latency.report import table
from tricast.perception.latency.work import Work
from tricast.perception.layers.convolution import fold_norms
from tricast.perception.model import ModelConfig, Network
from tricast.sensors.synced_frame import SyncedFrame
from tricast.tools.benchmark_load import log_ticks
from tricast.tools.demo import demo_log_path

TRIALS = CeilingTrials(
    matrices=((64, 64, 64),), convolutions=((1, 8, 16, 16, 3),), copied_bytes=1 << 20, seconds_each=0.01
)
TICKS = 12


@cache
def _frames() -> tuple[SyncedFrame, ...]:
    return tuple(log_ticks(demo_log_path(), _config(), 30))


def _config() -> PipelineConfig:
    config = chosen_config(detector="network")
    return config.model_copy(update={"network": NetworkConfig(threads=1)})


def _frames_again() -> Iterator[SyncedFrame]:
    return iter(_frames())


@pytest.fixture
def figures(small_model: ModelConfig) -> dict:
    torch.manual_seed(0)
    network = Network(small_model).eval()
    fold_norms(network)
    options = BenchmarkOptions(
        backend="eager", threads=1, ticks=TICKS, rate_hz=20.0, open_loop_s=0.5, rounds=3, ceilings=TRIALS, batch=2
    )
    return benchmark(network, _config(), _frames_again, options)


def test_the_figures_hold_what_they_promise_and_fit_together(figures: dict) -> None:
    figures = json.loads(json.dumps(figures))
    latency = figures["latency_ms"]
    assert {"p50", "p90", "p99", "max"} <= latency.keys()
    # 12 ticks support a median (11 do) and nothing above it.
    assert latency["p50"] > 0
    assert latency["p90"] is latency["p99"] is latency["p99.9"] is None
    assert latency["max"] >= latency["mean"] > 0
    assert figures["ticks"] == TICKS
    # Stages exclude each other, so that their means sum to the mean of the whole.
    assert sum(figures["stages_ms"].values()) == pytest.approx(latency["mean"], abs=0.02)
    assert {
        "image_decoding",
        "preprocessing",
        "camera_encoder",
        "lidar_encoder",
        "radar_encoder",
        "fusion",
        "decoder",
        "heads",
        "decoding",
        "tracking",
    } <= figures["stages_ms"].keys()
    assert all(value >= -0.001 for value in figures["stages_ms"].values())
    assert 0 < figures["share_outside_network"] < 1
    assert figures["throughput_hz"] == pytest.approx(1e3 / latency["mean"], rel=0.01)
    assert figures["open_loop"]["rate_hz"] == 20.0
    assert figures["open_loop"]["ticks"] == 10
    assert {"missed", "p99_ms"} <= figures["open_loop"].keys()
    assert set(figures["ceiling_share"]) == {"network", "convolution", "matmul"}
    assert figures["speedup"] == {}
    assert (figures["device"], figures["precision"]) == ("cpu", "fp32")
    assert figures["batched"]["batch"] == 2 and figures["batched"]["ticks_per_s"] > 0
    assert isinstance(figures["inside_clock"], list)
    assert figures["machine"]["cores"] >= 1
    assert figures["peak_memory_mb"]["host"] > 50
    section = (Path(__file__).parents[3] / "docs" / "latency.md").read_text().split("\n## JSON\n")[1].split("\n## ")[0]
    assert figures.keys() - set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", section)))) == set()
    text = table({**figures, "load": {"log": "demo.mcap"}})
    assert "inside the clock:" in text
    assert "too few ticks" in text
    if not torch.cuda.is_available():
        assert figures["machine"]["gpu"] is None
        assert "no GPU: measured on the CPU" in text


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_graph_is_set_against_eager_in_the_same_run(
    small_model: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    monkeypatch.setenv("TRICAST_CACHE", str(tmp_path))
    network = Network(small_model).eval()
    fold_norms(network)
    options = BenchmarkOptions(backend="onnxruntime", threads=1, ticks=TICKS, rate_hz=0, rounds=5, ceilings=TRIALS)
    figures = benchmark(network, _config(), _frames_again, options)
    assert figures["speedup"].keys() == {"onnxruntime_over_eager"}
    assert figures["network_ms"].keys() == {"eager", "onnxruntime"}
    assert figures["open_loop"] is None
    assert figures["not_fitting_ticks"] == 0
    assert figures["stages_ms"]["network"] > 0
    assert min(figures["operations_ms"].values()) > 0
    assert min(figures["ceiling_share"].values()) > 0
    assert "onnxruntime" in table({**figures, "load": {"log": "demo.mcap"}})


def test_a_log_that_delivers_nothing_cannot_be_measured(small_model: ModelConfig) -> None:
    nothing = [frame.restricted_to([]) for frame in _frames()]
    with pytest.raises(InputError, match="no tick with a chosen sensor"):
        benchmark(Network(small_model).eval(), _config(), lambda: iter(nothing), BenchmarkOptions(backend="eager"))


def test_a_share_of_a_ceiling_is_the_ideal_time_over_the_time_taken() -> None:
    ceilings = Ceilings(
        matmul=Ceiling(rate=100.0, by="torch", shape=(1,)),
        convolution=Ceiling(rate=50.0, by="torch", shape=(1,)),
        memory=Ceiling(rate=10.0, by="numpy", shape=(1,)),
    )
    # 1 GFLOP at 100 GFLOP/s are 10 ms, 1 GFLOP at 50 are 20 ms: 30 ms of work in 60.
    work = Work(convolution_flops=10**9, matmul_flops=10**9, moved_bytes=10**9)
    shares = ceiling_shares(60.0, {"convolution": 25.0, "matmul": 20.0}, work, ceilings)
    assert shares == {"network": 0.5, "convolution": 0.8, "matmul": 0.5}
    assert ceiling_shares(60.0, None, work, ceilings) == {"network": 0.5, "convolution": None, "matmul": None}
    # 1 GB at 10 GB/s are 100 ms, more than the 30 ms of computing: memory is the nearer ceiling.
    stages = stage_shares({"fusion": 200.0, "none": 1.0}, {"fusion": work}, ceilings)
    assert (stages["fusion"]["bound_by"], stages["fusion"]["share"]) == ("memory", 0.5)
    assert stages["none"]["share"] == 0


def test_consecutive_ticks_begin_anew_where_the_log_does() -> None:
    few = list(log_ticks(demo_log_path(), _config(), 36))
    assert len(few) == 36
    again = [number for number, frame in enumerate(few) if frame.discontinuity and number]
    assert again
    first, second = few[0], few[again[0]]
    assert first.timestamp_ns == second.timestamp_ns
    assert np.all(np.diff([f.timestamp_ns for f in few[: again[0]]]) > 0)
