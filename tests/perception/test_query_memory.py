"""What is remembered comes back in the axes of the tick that asks, from as long ago as training had it."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from tricast.perception.batch import BevTransform
from tricast.perception.collation import collate
from tricast.perception.model import ModelConfig, Network
from tricast.perception.query_memory import MemoryConfig, ObjectNotes, QueryMemory, notes_of
from tricast.perception.query_outputs import LayerOutputs
from tricast.perception.tick_sample import TickSample
from tricast.sensors.geometry.se3 import SE3

CONFIG = MemoryConfig(objects=1)
SECOND_NS = 1_000_000_000


def notes(x_m: float = 10.0, *, batch: int = 1) -> ObjectNotes:
    """One object ahead that drives ahead at 2 m/s."""
    return ObjectNotes(
        features=torch.full((batch, 1, 3), x_m),
        centers_m=torch.tensor([[[x_m, 0.0]]]).repeat(batch, 1, 1),
        velocities_mps=torch.tensor([[[2.0, 0.0]]]).repeat(batch, 1, 1),
        headings=torch.tensor([[[1.0, 0.0]]]).repeat(batch, 1, 1),
        scores=torch.full((batch, 1), 0.7),
    )


def at(*times_s: float) -> torch.Tensor:
    return torch.tensor([round(time_s * SECOND_NS) for time_s in times_s])


def poses(*poses: SE3) -> torch.Tensor:
    return torch.from_numpy(np.stack([pose.matrix for pose in poses]))


def test_a_remembered_object_is_moved_by_the_vehicle_s_own_motion() -> None:
    far = (1_000_000.0, 2_000_000.0)  # odometry of any length
    began = SE3(translation_m=(*far, 0))
    memory = QueryMemory().with_tick(notes(), at(0), poses(began), CONFIG)
    now = began @ SE3.from_yaw(math.pi / 2, (3.0, 0, 0))  # 3 m on, and turned to the left
    recalled = memory.recalled(at(0.5), poses(now), CONFIG, 3)
    torch.testing.assert_close(recalled.places_m[0, 0, 0], torch.tensor([0.0, -7.0]), atol=1e-4, rtol=0)
    torch.testing.assert_close(recalled.velocities_mps[0, 0, 0], torch.tensor([0.0, -2.0]), atol=1e-6, rtol=0)
    torch.testing.assert_close(recalled.headings[0, 0, 0], torch.tensor([0.0, -1.0]), atol=1e-6, rtol=0)
    assert recalled.ages_s[0].tolist() == [0.5, 0.0]
    assert recalled.valid[0].tolist() == [[True], [False]]


@pytest.mark.parametrize("rate_hz", [2, 5, 10, 20])
def test_at_any_rate_the_ticks_looked_at_are_as_old_as_in_training(rate_hz: int) -> None:
    memory = QueryMemory()
    for number in range(3 * rate_hz):
        memory = memory.with_tick(notes(float(number)), at(number / rate_hz), poses(SE3()), CONFIG)
    recalled = memory.recalled(at(3.0), poses(SE3()), CONFIG, 3)
    assert recalled.ages_s[0].tolist() == pytest.approx([0.5, 1.0], abs=0.5 / rate_hz)
    assert recalled.places_m[0, :, 0, 0].tolist() == pytest.approx([2.5 * rate_hz, 2.0 * rate_hz], abs=0.5)


def test_what_nothing_will_ask_for_is_forgotten() -> None:
    memory = QueryMemory()
    for number in range(100):
        memory = memory.with_tick(notes(), at(number / 10), poses(SE3()), CONFIG)
    assert len(memory.ticks) == 13  # 1.2 s and the newest
    after_a_hole = memory.with_tick(notes(), at(20.0), poses(SE3()), CONFIG)
    assert len(after_a_hole.ticks) == 1
    set_back = memory.with_tick(notes(), at(3.0), poses(SE3()), CONFIG)
    assert len(set_back.ticks) == 1
    assert not set_back.recalled(at(2.0), poses(SE3()), CONFIG, 3).valid.any()
    assert len(memory.ticks) == 13, "a memory is a value"


def test_all_that_is_remembered_goes_to_another_device() -> None:
    memory = QueryMemory().with_tick(notes(), at(0.0), poses(SE3()), MemoryConfig())
    (tick,) = memory.to("meta").ticks
    tensors = [tick.timestamps_ns, tick.odom_from_ego, *vars(tick.notes).values()]
    assert {tensor.device.type for tensor in tensors} == {"meta"}


def test_samples_of_a_batch_have_motions_of_their_own() -> None:
    memory = QueryMemory().with_tick(notes(batch=2), at(0, 7), poses(SE3(), SE3()), CONFIG)
    now = poses(SE3(translation_m=(1.0, 0, 0)), SE3(translation_m=(0, 2.0, 0)))
    recalled = memory.recalled(at(0.5, 7.5), now, CONFIG, 3)
    assert recalled.places_m[:, 0, 0].tolist() == [[9.0, 0.0], [10.0, -2.0]]


def test_the_surest_queries_are_written_down() -> None:
    logits = torch.tensor([[[-1.0, 0.0], [3.0, 1.0], [0.5, 2.0]]])
    numbers = torch.arange(3.0)[None, :, None]
    boxes = LayerOutputs(
        class_logits=logits,
        centers_m=numbers.expand(1, 3, 3),
        log_sizes=numbers.expand(1, 3, 3),
        yaw_sin_cos=torch.tensor([[[1.0, 0.0]] * 3]),
        axis_sin_cos=torch.tensor([[[0.0, -1.0]] * 3]),
        velocities_mps=-numbers.expand(1, 3, 2),
        quality_logits=torch.zeros(1, 3),
    )
    written = notes_of(numbers.expand(1, 3, 5), boxes, 2)
    assert written.features[0, :, 0].tolist() == [1.0, 2.0]
    assert written.velocities_mps[0, :, 0].tolist() == [-1.0, -2.0]
    torch.testing.assert_close(written.headings[0, 0], torch.tensor([0.0, 1.0]), atol=1e-6, rtol=0)
    torch.testing.assert_close(written.scores[0], torch.sigmoid(torch.tensor([3.0, 2.0])))


def test_a_turned_frame_remembers_in_turned_axes(small_model: ModelConfig, ticks: list[TickSample]) -> None:
    turn = BevTransform(yaw_rad=0.3, flip_y=True)
    moved = dataclasses.replace(ticks[0], odom_from_ego=SE3.from_yaw(0.2, (4.0, 1.0, 0)))
    first = collate([ticks[0], ticks[0]], small_model.batch, [BevTransform(), turn])
    second = collate([moved, moved], small_model.batch, [BevTransform(), turn])
    plain_m = torch.tensor([[[10.0, 0.0]]])
    turned_m = torch.from_numpy(turn.vectors(plain_m.numpy()))
    memory = QueryMemory().with_tick(
        dataclasses.replace(notes(batch=2), centers_m=torch.cat([plain_m, turned_m])),
        at(0, 0),
        first.odom_from_ego,
        CONFIG,
    )
    recalled = memory.recalled(at(0.5, 0.5), second.odom_from_ego, CONFIG, 3)
    expected = turn.vectors(recalled.places_m[0].numpy())
    np.testing.assert_allclose(recalled.places_m[1].numpy(), expected, atol=1e-5)


@pytest.fixture
def network(small_model: ModelConfig) -> Network:
    torch.manual_seed(0)
    network = Network(small_model)
    for value in network.parameters():
        if value.dim() > 1 and not value.any():
            torch.nn.init.normal_(value, std=0.1)
    return network.eval()


def later(sample: TickSample, ticks: int) -> TickSample:
    pose = SE3.from_yaw(0.02 * ticks, (1.5 * ticks, 0, 0))
    return dataclasses.replace(sample, timestamp_ns=ticks * SECOND_NS // 2, odom_from_ego=pose)


@torch.no_grad()
def test_a_batch_of_sequences_gives_what_each_gives_alone(network: Network, ticks: list[TickSample]) -> None:
    config = network.config.batch
    together, memories = QueryMemory(), [QueryMemory(), QueryMemory()]
    for number in range(4):
        samples = [later(ticks[number % 3], number), later(ticks[(number + 1) % 3], number)]
        both, together = network(collate(samples, config), together)
        for row, sample in enumerate(samples):
            alone, memories[row] = network(collate([sample], config), memories[row])
            for name, value in vars(alone.layers[-1]).items():
                ours = getattr(both.layers[-1], name)[row : row + 1]
                torch.testing.assert_close(ours, value, rtol=1e-3, atol=1e-3, msg=lambda m, n=name: f"{n}: {m}")


@torch.no_grad()
def test_what_was_seen_before_changes_what_is_seen_now_and_a_new_memory_forgets_it(
    network: Network, ticks: list[TickSample]
) -> None:
    first, second = (collate([later(ticks[n], n)], network.config.batch) for n in range(2))
    _, memory = network(first, QueryMemory())
    fresh, _ = network(second, QueryMemory())
    remembering, _ = network(second, memory)
    assert not torch.allclose(fresh.layers[-1].centers_m, remembering.layers[-1].centers_m, atol=1e-4)
    assert torch.equal(fresh.heatmap, remembering.heatmap)
    forgotten = dataclasses.replace(second, timestamps_ns=second.timestamps_ns + 60 * SECOND_NS)
    after_long, _ = network(forgotten, memory)
    assert torch.equal(after_long.layers[-1].centers_m, fresh.layers[-1].centers_m)


@torch.no_grad()
def test_no_more_is_remembered_than_there_are_queries(small_model: ModelConfig, ticks: list[TickSample]) -> None:
    few = small_model.model_copy(update={"decoder": small_model.decoder.model_copy(update={"queries": 4})})
    network, memory = Network(few).eval(), QueryMemory()
    for number in range(3):
        _, memory = network(collate([later(ticks[number], number)], few.batch), memory)
    assert memory.ticks[0].notes.features.shape == (1, 4, 32)


def test_a_tick_that_lies_at_the_lag_for_one_sample_only_counts_for_that_one() -> None:
    two = notes(batch=2)
    memory = QueryMemory().with_tick(two, at(0.0, 0.0), poses(SE3(), SE3()), CONFIG)
    recalled = memory.recalled(at(0.5, 2.0), poses(SE3(), SE3()), CONFIG, 3)
    assert recalled.valid[:, :, 0].tolist() == [[True, False], [False, False]]


def test_a_sample_beside_one_whose_row_has_a_gap_remembers_what_it_does_alone() -> None:
    def recalled(*rows_s: tuple[float, ...]) -> tuple[list[list[bool]], list[list[float]]]:
        memory, now = QueryMemory(), poses(*[SE3()] * len(rows_s))
        for number, times_s in enumerate(zip(*(row[:-1] for row in rows_s), strict=True)):
            memory = memory.with_tick(notes(float(number), batch=len(rows_s)), at(*times_s), now, CONFIG)
        told = memory.recalled(at(*(row[-1] for row in rows_s)), now, CONFIG, 3)
        return told.valid[:, :, 0].tolist(), told.places_m[:, :, 0, 0].tolist()

    gap, even, uneven = (0.0, 0.5, 1.0, 20.0, 20.5), (0.0, 0.5, 1.0, 1.5, 2.0), (0.0, 1.0, 1.3, 1.5, 2.0)
    # 0.5 s ago was tick 3 of each; 1.0 s ago none of the first, tick 2 of the second and tick 1 of the third.
    valid, places_m = [[True, False], [True, True], [True, True]], [[3.0, 0.0], [3.0, 2.0], [3.0, 1.0]]
    assert recalled(gap, even, uneven) == (valid, places_m)
    for number, row in enumerate((gap, even, uneven)):
        assert recalled(row) == ([valid[number]], [places_m[number]])
