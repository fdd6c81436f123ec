import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from tricast.configs.errors import ConfigError
from tricast.configs.strict import parse_config
from tricast.perception.batch import SensorBatch
from tricast.perception.collation import collate
from tricast.perception.heads.heatmap import HeatmapHead
from tricast.perception.layers.convolution import fold_norms
from tricast.perception.model import ModelConfig, Network
from tricast.perception.networks.one_grid import CrossAttentionFusion
from tricast.perception.query_memory import QueryMemory
from tricast.perception.query_outputs import QueryOutputs, TrainingSeeds
from tricast.perception.tick_sample import TickSample

VARIANTS = {
    "cross_attention": {},
    "early": {"fusion": "early"},
    "late": {"fusion": "late"},
    "co_attention": {"fusion": "co_attention"},
    "concatenation": {"grid_fusion": "concatenation"},
    "early by concatenation": {"fusion": "early", "grid_fusion": "concatenation"},
    "learned": {"decoder": {"starts": "learned"}},
    "without memory": {"memory": {"objects": 0}},
}


def variant(small_model: ModelConfig, name: str) -> ModelConfig:
    values = small_model.model_dump()
    for key, value in VARIANTS[name].items():
        values[key] = values[key] | value if isinstance(value, dict) else value
    return ModelConfig.model_validate(values)


@pytest.fixture
def network(small_model: ModelConfig) -> Network:
    """The default."""
    return _made(small_model)


@pytest.fixture(params=VARIANTS)
def any_network(request: pytest.FixtureRequest, small_model: ModelConfig) -> Network:
    """Every way of fusion in turn."""
    return _made(variant(small_model, request.param))


def _made(config: ModelConfig) -> Network:
    torch.manual_seed(0)
    network = Network(config)
    # Residual branches start at zero, where they could hide a mistake.
    for name, value in network.named_parameters():
        if value.dim() == 1 and "weight" in name:
            torch.nn.init.uniform_(value, 0.5, 1.5)
        elif value.dim() > 1 and not value.any():
            torch.nn.init.normal_(value, std=0.1)
    return network.eval()


@pytest.mark.parametrize(
    ("part", "values", "words"),
    [
        ("batch", {"image_size_px": [60, 32]}, "image_size_px of multiples of 16 from 32 on, not [60, 32]"),
        ("batch", {"image_size_px": [16, 16]}, "image_size_px of multiples of 16 from 32 on, not [16, 16]"),
        ("batch", {"cells": 17}, "multiple of 2"),
        ("batch", {"lift_heights_m": []}, "at least 1 item"),
        ("batch", {"depth_range_m": [72.0, 2.0]}, "depth_range_m above zero and ascending, not [72.0, 2.0]"),
        ("batch", {"depth_range_m": [0.0, 2.0]}, "depth_range_m above zero and ascending, not [0.0, 2.0]"),
        ("batch", {"lidar_z_m": [6.0, -3.0]}, "lidar_z_m ascending, not [6.0, -3.0]"),
        ("batch", {"range_m": 100.0}, "sample.range_m of at least batch.range_m 100, not 64"),
        ("sample", {"lidar_lags_s": []}, "at least 1 item"),
        ("memory", {"lags_s": [0.5, 0.0]}, "greater than 0"),
        ("lidar", {"age_borders_s": [0.3, 0.1]}, "age_borders_s ascending, not [0.3, 0.1]"),
        ("lidar", {"age_borders_s": [0.1, 0.1]}, "age_borders_s ascending, not [0.1, 0.1]"),
        ("camera", {"token_width": 97}, "token_width in multiples of heads 3, not 97"),
        ("decoder", {"heads": 3}, "width in multiples of heads 3, not 128"),
    ],
)
def test_sizes_that_no_network_can_have_are_refused_before_one_is_made(
    part: str, values: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(ModelConfig, {part: values}, where="model.yaml")
    assert words in caught.value.expected
    assert caught.value.where.startswith("model.yaml: ")


@pytest.mark.parametrize(
    "values",
    [
        {"batch": {"image_size_px": [32, 48], "cells": 10, "depth_bins": 2, "lift_heights_m": [1.0]}},
        {"camera": {"stem_width": 5, "width": 5, "blocks": 0}, "width": 5, "heatmap_width": 5, "trunk_blocks": 0},
        {"lidar": {"point_width": 5, "fine_width": 5, "age_borders_s": []}, "decoder": {"layers": 0}},
    ],
)
def test_sizes_at_the_borders_of_what_is_allowed_run(
    small_model: ModelConfig, ticks: list[TickSample], values: dict[str, object]
) -> None:
    whole = small_model.model_dump()
    for key, value in values.items():
        whole[key] = whole[key] | value if isinstance(value, dict) else value
    config = ModelConfig.model_validate(whole)
    outputs = _run(_made(config), collate(ticks, config.batch))
    assert outputs.layers[-1].class_logits.isfinite().all()


def _run(network: Network, batch: SensorBatch, seeds: TrainingSeeds | None = None) -> QueryOutputs:
    with torch.no_grad():
        return network(batch, QueryMemory(), seeds)[0]


def _flat(outputs: QueryOutputs) -> dict[str, torch.Tensor]:
    flat = {k: v for k, v in vars(outputs).items() if isinstance(v, torch.Tensor)}
    for i, layer in enumerate(outputs.layers):
        flat.update({f"layer {i} {k}": v for k, v in vars(layer).items()})
    return flat


def _assert_same(first: QueryOutputs, second: QueryOutputs, rows: slice = slice(None)) -> None:
    other = _flat(second)
    for name, value in _flat(first).items():
        torch.testing.assert_close(value, other[name][rows], rtol=1e-4, atol=2e-4, msg=lambda m, n=name: f"{n}: {m}")


def test_a_batch_gives_what_its_samples_give_alone(any_network: Network, ticks: list[TickSample]) -> None:
    subsets = [
        ticks[0],
        dataclasses.replace(ticks[1], cameras=ticks[1].cameras[1:3], radar=None),
        dataclasses.replace(ticks[2], cameras=(), lidar=None),
    ]
    together = _run(any_network, collate(subsets, any_network.config.batch))
    for row, sample in enumerate(subsets):
        alone = _run(any_network, collate([sample], any_network.config.batch))
        _assert_same(alone, together, slice(row, row + 1))


def test_an_absent_sensor_is_one_that_was_never_configured(any_network: Network, ticks: list[TickSample]) -> None:
    """Beside a sample that has everything, its slots and rows exist; alone, nothing of it exists."""
    for change in ({"cameras": ()}, {"lidar": None}, {"radar": None}, {"cameras": (), "radar": None}):
        lacking = dataclasses.replace(ticks[0], **change)
        batch = collate([lacking, ticks[1]], any_network.config.batch)
        _assert_same(
            _run(any_network, collate([lacking], any_network.config.batch)), _run(any_network, batch), slice(0, 1)
        )


def test_an_absent_lidar_differs_from_one_that_saw_nothing(any_network: Network, ticks: list[TickSample]) -> None:
    empty = dataclasses.replace(ticks[0], lidar=np.zeros((0, 5), np.float32))
    absent = dataclasses.replace(ticks[0], lidar=None)
    heat = [_run(any_network, collate([s], any_network.config.batch)).heatmap for s in (empty, absent)]
    assert not torch.allclose(heat[0], heat[1])


def test_a_tick_without_any_sensor_runs(any_network: Network, ticks: list[TickSample]) -> None:
    nothing = dataclasses.replace(ticks[0], cameras=(), lidar=None, radar=None)
    outputs = _run(any_network, collate([nothing], any_network.config.batch))
    assert all(value.isfinite().all() for value in _flat(outputs).values())


def test_the_order_of_points_and_padding_change_nothing(any_network: Network, ticks: list[TickSample]) -> None:
    batch, rng = collate(ticks, any_network.config.batch), np.random.default_rng(1)
    mixed = [
        dataclasses.replace(t, lidar=rng.permutation(np.asarray(t.lidar)), radar=rng.permutation(np.asarray(t.radar)))
        for t in ticks
    ]
    shuffled = collate(mixed, any_network.config.batch)
    expected = _run(any_network, batch)
    _assert_same(expected, _run(any_network, shuffled))
    _assert_same(expected, _run(any_network, batch.padded(2000, 300)))


def test_the_order_of_cameras_changes_nothing(any_network: Network, ticks: list[TickSample]) -> None:
    turned = dataclasses.replace(ticks[0], cameras=ticks[0].cameras[::-1])
    first, second = (_run(any_network, collate([s], any_network.config.batch)) for s in (ticks[0], turned))
    _assert_same(first, second)


def test_every_sensor_has_a_say(any_network: Network, ticks: list[TickSample]) -> None:
    base = _run(any_network, collate(ticks[:1], any_network.config.batch)).heatmap
    for change in ({"cameras": ticks[1].cameras}, {"lidar": ticks[1].lidar}, {"radar": ticks[1].radar}):
        other = _run(any_network, collate([dataclasses.replace(ticks[0], **change)], any_network.config.batch)).heatmap
        assert not torch.allclose(base, other)


def test_gradients_reach_every_parameter(any_network: Network, ticks: list[TickSample]) -> None:
    any_network.train()
    batch, memory = collate(ticks, any_network.config.batch), QueryMemory()
    for _ in range(2):
        _, memory = any_network(batch, memory)
        batch = dataclasses.replace(batch, timestamps_ns=batch.timestamps_ns + 500_000_000)
    outputs, _ = any_network(batch, memory, _seeds(any_network, 3))
    _sum(outputs).backward()
    for name, parameter in any_network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_statistics_never_see_an_absent_sensor(any_network: Network, ticks: list[TickSample]) -> None:
    any_network.train()
    lacking = [dataclasses.replace(t, cameras=(), lidar=None, radar=None) for t in ticks]
    before = {k: v.clone() for k, v in any_network.state_dict().items() if "running" in k}
    any_network(collate(lacking, any_network.config.batch), QueryMemory(), _seeds(any_network, 3))
    for name, value in any_network.state_dict().items():
        if "running" in name and name.split(".")[0] in (
            "camera_encoder",
            "camera_lift",
            "lidar_encoder",
            "radar_encoder",
            "sensor_heads",
        ):
            assert torch.equal(value, before[name]), name


def test_training_seeds_leave_peaks_as_they_are(any_network: Network, ticks: list[TickSample]) -> None:
    batch = collate(ticks, any_network.config.batch)
    plain, seeded = _run(any_network, batch), _run(any_network, batch, _seeds(any_network, 3))
    count = any_network.config.decoder.queries
    assert seeded.num_seeded == count
    assert seeded.query_mask[:, count:].tolist() == [[True, True, False]] * 3
    torch.testing.assert_close(plain.layers[-1].centers_m, seeded.layers[-1].centers_m[:, :count], rtol=1e-4, atol=1e-4)


def test_each_way_of_fusion_is_a_class_of_its_own(small_model: ModelConfig) -> None:
    names = {name: type(Network(variant(small_model, name))).__name__ for name in ("early", "late", "co_attention")}
    assert names == {"early": "EarlyFusion", "late": "LateFusion", "co_attention": "CoAttentionFusion"}
    assert type(copy.deepcopy(Network(small_model))) is type(Network(small_model)) is CrossAttentionFusion


def test_late_fusion_starts_from_peaks_alone(small_model: ModelConfig) -> None:
    with pytest.raises(ValueError, match="choose 'heatmap', or another fusion"):
        ModelConfig.model_validate({"fusion": "late", "decoder": {"starts": "learned"}})


def test_learned_queries_begin_where_they_begin_whatever_is_seen(
    small_model: ModelConfig, ticks: list[TickSample]
) -> None:
    network = _made(variant(small_model, "learned"))
    first, second = (_run(network, collate([tick], network.config.batch)) for tick in ticks[:2])
    assert not first.from_peaks
    assert torch.equal(first.query_cells, second.query_cells)
    assert first.query_classes[0, :12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert not torch.allclose(first.layers[-1].centers_m, second.layers[-1].centers_m)


def test_a_query_starts_at_the_centre_of_its_cell(network: Network, ticks: list[TickSample]) -> None:
    outputs = _run(network, collate(ticks[:1], network.config.batch), _seeds(network, 1))
    assert isinstance(network, CrossAttentionFusion)
    side, cell_m = network.config.batch.heatmap_cells, network.config.batch.heatmap_cell_m
    places = network.seeding(
        (
            torch.zeros(1, 8, side, side),
            torch.zeros(1, 16, side // 2, side // 2),
            torch.zeros(1, 32, side // 4, side // 4),
        ),
        torch.tensor([[3 * side + 5]]),
        torch.tensor([[0]]),
    )[1]
    assert places[0, 0].tolist() == pytest.approx([5.5 * cell_m - 51.2, 3.5 * cell_m - 51.2])
    assert outputs.query_cells[0, -3:].tolist() == [3, 40, 0]


def test_attention_weights_come_on_request_and_ignore_absent_cameras(network: Network, ticks: list[TickSample]) -> None:
    lacking = dataclasses.replace(ticks[0], cameras=ticks[0].cameras[:1])
    batch = collate([lacking, ticks[1]], network.config.batch)
    with torch.no_grad():
        outputs, _ = network(batch, QueryMemory(), with_attention=True)
    assert _run(network, batch).attention == ()
    assert len(outputs.attention) == 2
    ground = (network.config.batch.cells // 2) ** 2
    for weights in outputs.attention:
        assert weights.shape == (2, 2, 20, ground + 4 * 2)
        torch.testing.assert_close(weights.sum(dim=3), torch.ones(2, 2, 20))
        assert (weights[0, :, :, ground + 2 :] == 0).all()
        assert (weights[0, :, :, : ground + 2] > 0).any(dim=2).all()


@pytest.mark.parametrize("name", VARIANTS)
def test_the_whole_forward_pass_keeps_to_one_device(
    name: str, small_model: ModelConfig, ticks: list[TickSample]
) -> None:
    """Fake tensors on a GPU that need not exist: an operation between two devices raises.

    The backward pass and the rest of a training step: `training/test_one_device.py`.
    """
    subsets = [ticks[0], dataclasses.replace(ticks[1], cameras=(), radar=None)]
    config = variant(small_model, name)
    real = collate(subsets, config.batch)
    with FakeTensorMode(allow_non_fake_inputs=True) as fake:
        with torch.device("cuda"):
            network = Network(config).train()
        batch = SensorBatch(**{k: fake.from_tensor(v).to("cuda") for k, v in vars(real).items()})
        seeds = TrainingSeeds(
            cells=torch.zeros(2, 3, dtype=torch.int64, device="cuda"),
            classes=torch.zeros(2, 3, dtype=torch.int64, device="cuda"),
            mask=torch.ones(2, 3, dtype=torch.bool, device="cuda"),
        )
        outputs, _ = network(batch, QueryMemory(), seeds, with_attention=config.fusion != "late")
        assert {value.device.type for value in _flat(outputs).values()} == {"cuda"}


def test_folded_norms_change_nothing(any_network: Network, ticks: list[TickSample]) -> None:
    batch = collate(ticks, any_network.config.batch)
    any_network.train()
    any_network(batch, QueryMemory())  # statistics that are not those of a start
    expected = _run(any_network.eval(), batch)
    fold_norms(any_network)
    heads = sum(isinstance(m, HeatmapHead) for m in any_network.modules())
    left = sum(isinstance(m, torch.nn.BatchNorm2d) for m in any_network.modules())
    assert left == heads  # the one after the sum in each
    _assert_same(expected, _run(any_network, batch))


def test_modes_begin_as_physics(network: Network, ticks: list[TickSample]) -> None:
    assert isinstance(network, CrossAttentionFusion)
    torch.nn.init.zeros_(network.trajectory_head.output.weight)
    batch = collate(ticks[:1], network.config.batch)
    outputs = _run(network, batch)
    last = outputs.layers[-1]
    heading = last.headings
    along = (last.velocities_mps * heading.flip(2)).sum(dim=2)
    across = last.velocities_mps[..., 1] * heading[..., 1] - last.velocities_mps[..., 0] * heading[..., 0]
    six_seconds = 6 * torch.stack([along, across], dim=2)
    torch.testing.assert_close(outputs.mode_points_m[:, :, 0, -1], six_seconds, rtol=1e-4, atol=1e-4)
    speed = last.velocities_mps.norm(dim=2)
    torch.testing.assert_close(outputs.mode_points_m[:, :, 2].norm(dim=3)[..., -1], 1.5 * (1 - np.exp(-4)) * speed)


def _seeds(network: Network, count: int) -> TrainingSeeds:
    return TrainingSeeds(
        cells=torch.tensor([[3, 40, 0]] * count),
        classes=torch.tensor([[0, 5, 0]] * count),
        mask=torch.tensor([[True, True, False]] * count),
    )


def _sum(outputs: QueryOutputs) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros((), device=outputs.heatmap.device)
    for value in _flat(outputs).values():
        if value.is_floating_point():
            total = total + (value * torch.rand(value.shape, generator=generator).to(value.device)).sum()
    return total


def test_cameras_that_all_delivered_give_what_they_give_beside_an_absent_one(
    small_model: ModelConfig, ticks: list[TickSample]
) -> None:
    """With every slot filled nothing is put in its place; the plain way runs where one is empty."""
    encoder = Network(small_model).eval().camera_encoder
    fewer = dataclasses.replace(ticks[1], cameras=ticks[1].cameras[:3])
    with torch.no_grad():
        fast = encoder(collate(ticks[:1], small_model.batch))
        plain = encoder(collate([ticks[0], fewer], small_model.batch))
    rows = len(fast.features)
    torch.testing.assert_close(fast.tokens[0], plain.tokens[0], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(fast.features, plain.features[:rows], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(fast.depth_logits, plain.depth_logits[:rows], atol=1e-6, rtol=1e-5)
    assert (plain.tokens[1, 3] == 0).all()
