"""Backends that are opened on the first ticks, beside them or between them."""

import dataclasses
import threading
import time
from collections.abc import Sequence

import torch

from tests.perception.backends.networks import fixed_backend
from tricast.perception.backends.fixed_shapes import FixedShapes
from tricast.perception.backends.interface import GraphBackend, not_installed
from tricast.perception.backends.late import MOST_OPENINGS, PROOF_TICKS, LateBackend
from tricast.perception.batch import SensorBatch
from tricast.perception.collation import collate
from tricast.perception.model import Network
from tricast.perception.query_memory import QueryMemory
from tricast.perception.tick_sample import TickSample


def _late(network: Network, shapes: FixedShapes | None = None, *, beside: bool = False) -> LateBackend:
    """Opens plain graphs around the ticks that it is given."""

    def opened(batches: Sequence[SensorBatch]) -> tuple[GraphBackend, int]:
        return fixed_backend(network, shapes or FixedShapes.around(batches)), torch.get_num_threads()

    return LateBackend("compile", network, opened, beside=beside)


def test_a_late_backend_takes_over_after_the_same_tick_every_time(network: Network, ticks: list[TickSample]) -> None:
    batches = [collate(ticks[n % 3 : n % 3 + 1], network.config.batch) for n in range(PROOF_TICKS + 2)]
    late, running = _late(network), []
    for batch in batches:
        outputs, _ = late(batch, QueryMemory())
        running.append(late.running)
        with torch.no_grad():
            assert torch.allclose(outputs.heatmap, network(batch, QueryMemory())[0].heatmap, atol=1e-4)
    assert running == ["eager"] * (PROOF_TICKS - 1) + ["compile"] * 3
    assert late.eager_ticks == PROOF_TICKS - 1


def test_a_late_backend_makes_room_for_sensors_that_come_later(network: Network, ticks: list[TickSample]) -> None:
    alone = collate([dataclasses.replace(ticks[0], cameras=())], network.config.batch)
    whole = collate(ticks[:1], network.config.batch)
    late = _late(network)
    for _ in range(PROOF_TICKS):
        late(alone, QueryMemory())
    assert late.running == "compile"
    for _ in range(PROOF_TICKS + 1):
        late(whole, QueryMemory())
    assert late.eager_ticks == 2 * (PROOF_TICKS - 1)
    # A graph that never holds the ticks is not made again and again.
    narrow = _late(network, FixedShapes(cameras=4, lidar_rows=1, radar_rows=1))
    for _ in range(PROOF_TICKS * (MOST_OPENINGS + 2)):
        narrow(whole, QueryMemory())
    assert narrow.eager_ticks == PROOF_TICKS * (MOST_OPENINGS + 2)


def test_a_late_backend_beside_the_ticks_never_holds_them_up_and_tells_its_trouble(
    network: Network, ticks: list[TickSample]
) -> None:
    batch, may_open = collate(ticks[:1], network.config.batch), threading.Event()

    def refused(_: Sequence[SensorBatch]) -> tuple[GraphBackend, int]:
        assert may_open.wait(60)
        raise not_installed("openvino", "the package openvino", "install it")

    late = LateBackend("openvino", network, refused, beside=True)
    for _ in range(PROOF_TICKS + 1):
        late(batch, QueryMemory())
    assert late.trouble is None
    may_open.set()
    for _ in range(600):
        if late.trouble is not None:
            break
        time.sleep(0.1)
    assert "without the package openvino" in str(late.trouble)
    late(batch, QueryMemory())
    assert (late.running, late.eager_ticks) == ("eager", PROOF_TICKS + 2)
