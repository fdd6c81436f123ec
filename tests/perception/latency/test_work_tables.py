"""Ticks with more and fewer sensors, and what the tables say of the cost."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tricast.perception.config import PipelineConfig, chosen_config
from tricast.perception.detectors.network_config import NetworkConfig
from tricast.perception.latency.scaled_ticks import with_cameras, with_points
from tricast.perception.latency.work_tables import STAGES, WorkRow, WorkTable, work_tables
from tricast.perception.model import ModelConfig, Network
from tricast.perception.tick_sample import SampleConfig, sample_of
from tricast.sensors.synced_frame import SyncedFrame
from tricast.tools.benchmark_load import log_ticks
from tricast.tools.demo import demo_log_path


def _config() -> PipelineConfig:
    config = chosen_config(detector="network")
    return config.model_copy(update={"network": NetworkConfig(threads=1)})


@pytest.fixture(scope="module")
def frames() -> list[SyncedFrame]:
    return list(log_ticks(demo_log_path(), _config(), 6))[3:]


def test_a_tick_has_as_many_cameras_as_asked_for_each_looking_another_way(frames: list[SyncedFrame]) -> None:
    own = len(frames[0].cameras)
    assert own
    for count in (1, own + 2):
        sample = sample_of(with_cameras(frames[0], count), SampleConfig())
        assert len(sample.cameras) == count
        ahead = np.array([camera.tick_from_camera.rotate(np.array([[0, 0, 1.0]]))[0] for camera in sample.cameras])
        assert len(np.unique(ahead.round(6), axis=0)) == count
    assert with_cameras(frames[0], 1).lidars is frames[0].lidars


def test_every_sweep_has_as_many_returns_as_asked_for_and_no_two_alike(frames: list[SyncedFrame]) -> None:
    (channel,) = frames[0].lidars
    own = frames[0].lidars[channel][0]
    for count in (100, len(own) + 50, 3 * len(own)):
        sweep = with_points(frames[0], count).lidars[channel][0]
        assert len(sweep) == len(sweep.rings) == len(sweep.intensity) == count
        assert len(np.unique(sweep.points_m, axis=0)) > 0.95 * count
    again = with_points(frames[0], len(own) + 50).lidars[channel][0]
    assert np.array_equal(again.points_m[: len(own)], own.points_m)
    assert np.abs(again.points_m[len(own) :] - own.points_m[:50]).max() < 3


def test_tables_measure_every_amount_and_leave_the_network_as_it_was(
    small_model: ModelConfig, frames: list[SyncedFrame]
) -> None:
    torch.manual_seed(0)
    network = Network(small_model).eval()
    amounts = {"cameras": (1, 2), "points": (100, 1000), "queries": (4, 12)}
    tables = work_tables(network, _config(), frames, rounds=2, amounts=amounts)
    assert {table.kind: tuple(row.amount for row in table.rows) for table in tables} == amounts
    for table in tables:
        assert all(row.ms.keys() == set(STAGES) and row.ms["total"] > 0 for row in table.rows)
    assert network.config == small_model


def _table(*totals: float, amounts: tuple[int, ...] = (10, 20, 40)) -> WorkTable:
    rows = tuple(WorkRow(amount=n, ms={"total": total}) for n, total in zip(amounts, totals, strict=True))
    return WorkTable(kind="points", rows=rows)


def test_a_table_says_how_cost_grows() -> None:
    straight = _table(12, 14, 18)
    assert straight.line == pytest.approx((0.2, 10))
    assert straight.off_the_line == pytest.approx(0, abs=1e-9)
    assert straight.grows == "nearly linear (within 0% of the line); 4 times the points cost 1.50 times the time"
    assert _table(1, 4, 16).grows.startswith("faster than linear")
    assert _table(10, 20, 20).grows.startswith("slower than linear")
    assert replace(straight, kind="queries").grows.endswith("4 times the queries cost 1.50 times the time")
