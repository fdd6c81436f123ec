"""A run learns, stops, resumes to the bit, and refuses what it cannot go on from."""

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tricast.configs.errors import InputError
from tricast.perception.model_weights import load_network
from tricast.perception.query_memory import QueryMemory
from tricast.perception.training.augmentation import AugmentationConfig
from tricast.perception.training.batches import TrainingBatches
from tricast.perception.training.config import TrainingRunConfig
from tricast.perception.training.shards import ShardSet
from tricast.perception.training.trainer import NonFiniteLossError, Trainer

Make = Callable[..., Trainer]
STILL = AugmentationConfig(
    drop_modalities=0,
    drop_camera=0,
    thin_beams=0,
    lose_sector=0,
    lose_radar_returns=0,
    jitter_extrinsics=0,
    flip_x=0,
    flip_y=0,
    max_turn_rad=0,
    recolor=0,
)


def changed(config: TrainingRunConfig, **training: Any) -> TrainingRunConfig:
    return config.model_copy(update={"training": config.training.model_copy(update=training)})


@pytest.fixture
def make(shards: Path, small_config: TrainingRunConfig) -> Make:
    def made(out: Path, config: TrainingRunConfig = small_config, **more: Any) -> Trainer:
        out.mkdir(exist_ok=True)
        return Trainer(config, out, folder=shards, scenes=("demo",), report=lambda line: None, **more)

    return made


def stop_after(steps: int) -> Callable[[], bool]:
    """Say stop once a run has begun so many steps."""
    asked = iter(range(steps + 1))
    return lambda: next(asked) >= steps


def checkpoint(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "checkpoint.safetensors")


def curve(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def without_times(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [
        {k: v for k, v in row.items() if k not in ("seconds", "ms_per_sample", "waiting_ms_per_sample")} for row in rows
    ]


def assert_same_bits(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_ten_steps_equal_five_a_stop_and_five_more_to_the_bit(make: Make, tmp_path: Path) -> None:
    assert make(tmp_path / "whole").run()
    assert not make(tmp_path / "parts").run(stop=stop_after(5))
    torch.manual_seed(12345)  # another process would have other generators
    resumed = make(tmp_path / "parts", resume=True)
    assert resumed.progress.step == 5 and resumed.progress.samples == 10
    assert resumed.run()
    assert_same_bits(checkpoint(tmp_path / "whole"), checkpoint(tmp_path / "parts"))
    assert without_times(curve(tmp_path / "whole" / "train.csv")) == without_times(
        curve(tmp_path / "parts" / "train.csv")
    )


def test_a_kill_without_warning_goes_back_to_the_last_checkpoint_and_ends_the_same(make: Make, tmp_path: Path) -> None:
    make(tmp_path / "whole").run(stop=stop_after(6))

    class KilledError(Exception):
        pass

    def kill() -> bool:
        if trainer.progress.step == 3:
            trainer.save()
        if trainer.progress.step == 5:
            raise KilledError
        return False

    trainer = make(tmp_path / "parts")
    with pytest.raises(KilledError):
        trainer.run(stop=kill)
    resumed = make(tmp_path / "parts", resume=True)
    assert resumed.progress.step == 3
    resumed.run(stop=stop_after(3))
    assert_same_bits(checkpoint(tmp_path / "whole"), checkpoint(tmp_path / "parts"))


@pytest.mark.slow
def test_three_hundred_steps_are_equal_to_the_bit(make: Make, small_config: TrainingRunConfig, tmp_path: Path) -> None:
    config = changed(small_config, max_samples=600)
    for name in ("first", "second"):
        make(tmp_path / name, config).run()
    assert_same_bits(checkpoint(tmp_path / "first"), checkpoint(tmp_path / "second"))


def test_the_curve_shows_every_channel_beside_its_constant(
    make: Make, shards: Path, small_config: TrainingRunConfig, tmp_path: Path
) -> None:
    make(tmp_path, validation=ShardSet(shards)).run()
    rows = curve(tmp_path / "train.csv")
    assert [row["step"] for row in rows] == ["5", "10"]
    assert float(rows[-1]["samples"]) == 20
    for channel in ("center_m", "height_m", "log_size", "yaw_rad", "velocity_movers_mps", "min_ade_m"):
        assert rows[-1][channel] and rows[-1][f"{channel}_constant"]
    assert math.isfinite(float(rows[-1]["loss"])) and float(rows[-1]["ms_per_sample"]) > 0
    scored = curve(tmp_path / "validation.csv")
    assert [row["samples"] for row in scored] == ["10", "20"]
    subsets = [name for name in scored[0] if name.startswith("mAP")]
    assert len(subsets) == 7 and all(0 <= float(scored[0][name]) <= 1 for name in subsets)


def test_two_ticks_can_be_overfitted(make: Make, small_config: TrainingRunConfig, tmp_path: Path) -> None:
    settings = {
        "max_samples": 160,
        "augmentation": STILL,
        "optimizer": small_config.training.optimizer.model_copy(update={"learning_rate": 8e-3}),
        "log_every_steps": 20,
    }
    trainer = make(tmp_path, changed(small_config, **settings))
    batch = TrainingBatches(trainer._source)[0]
    trainer._next = lambda batches, interval: batch  # type: ignore[method-assign]
    trainer.run()
    rows = curve(tmp_path / "train.csv")
    first, last = ({k: float(v) for k, v in row.items()} for row in (rows[0], rows[-1]))
    assert last["heatmap"] < 0.25 * first["heatmap"]
    assert last["center_m"] < 0.7 * last["center_m_constant"]
    assert last["velocity_movers_mps"] < 0.4 * last["velocity_movers_mps_constant"]
    assert last["log_size"] < 0.5 * first["log_size"]
    assert last["yaw_rad"] < 0.4 * last["yaw_rad_constant"]


def test_a_run_through_sequences_stops_between_them_and_resumes_to_the_bit(
    make: Make, small_config: TrainingRunConfig, tmp_path: Path
) -> None:
    config = changed(small_config, sequence_ticks=3, max_samples=18)
    whole = make(tmp_path / "whole", config)
    whole.run()
    first = make(tmp_path / "parts", config)
    assert not first.run(stop=stop_after(1))  # asked at the second beginning of a sequence
    assert first.progress.step == 3
    second = make(tmp_path / "parts", config, resume=True)
    assert second.run()
    assert_same_bits(checkpoint(tmp_path / "whole"), checkpoint(tmp_path / "parts"))
    alone = make(tmp_path / "alone", changed(small_config, max_samples=18))
    alone.run()
    last = [float(curve(tmp_path / run / "train.csv")[-1]["loss"]) for run in ("whole", "alone")]
    assert last[0] != last[1]


def test_the_last_steps_of_a_run_are_a_row_of_its_curve(
    make: Make, small_config: TrainingRunConfig, tmp_path: Path
) -> None:
    make(tmp_path, changed(small_config, max_samples=6, log_every_steps=2)).run()
    assert [row["samples"] for row in curve(tmp_path / "train.csv")] == ["4", "6"]


def test_mixed_precision_learns_the_same_within_its_digits_and_keeps_float32_weights(
    make: Make, small_config: TrainingRunConfig, tmp_path: Path
) -> None:
    losses = {}
    for precision in ("float32", "bfloat16"):
        config = changed(small_config, precision=precision, max_samples=20, augmentation=STILL)
        make(tmp_path / precision, config).run()
        losses[precision] = [float(row["loss"]) for row in curve(tmp_path / precision / "train.csv")]
        assert {
            value.dtype for name, value in checkpoint(tmp_path / precision).items() if name.startswith("model.")
        } <= {
            torch.float32,
            torch.int64,
        }
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.03)
    assert losses["bfloat16"] != losses["float32"]


def test_a_loss_that_is_not_finite_ends_the_run_with_its_table(make: Make, tmp_path: Path) -> None:
    trainer = make(tmp_path)
    with torch.no_grad():
        next(trainer.model.get_submodule("heatmap_head").parameters()).fill_(float("nan"))
    with pytest.raises(NonFiniteLossError, match=r"step 0, 0 samples.*heatmap nan.*velocity_1"):
        trainer.run()
    assert not (tmp_path / "checkpoint.safetensors").exists()


def test_the_weights_are_the_average_and_load_by_themselves(make: Make, tmp_path: Path) -> None:
    trainer = make(tmp_path)
    trainer.run(stop=stop_after(2))
    loaded = load_network(tmp_path / "weights.safetensors")
    assert loaded.config == trainer.model.config
    assert_same_bits(dict(loaded.state_dict()), dict(trainer.average.model.state_dict()))
    batch = TrainingBatches(trainer._source)[0]
    with torch.inference_mode():
        outputs, _ = loaded(batch.sensors, QueryMemory())
        expected, _ = trainer.average.model(batch.sensors, QueryMemory())
    assert torch.equal(outputs.heatmap, expected.heatmap)


def test_a_stage_starts_from_the_weights_of_another(make: Make, tmp_path: Path) -> None:
    first = make(tmp_path / "first")
    first.run(stop=stop_after(2))
    second = make(tmp_path / "second")
    second.start_from(tmp_path / "first" / "weights.safetensors")
    assert_same_bits(dict(second.model.state_dict()), dict(first.average.model.state_dict()))


def test_a_start_from_a_network_of_another_shape_takes_what_fits_and_says_so(
    make: Make, small_config: TrainingRunConfig, tmp_path: Path
) -> None:
    first = make(tmp_path / "first")
    first.save()
    wider = small_config.model_copy(update={"model": small_config.model.model_copy(update={"heatmap_width": 24})})
    second = make(tmp_path / "second", wider)
    lines: list[str] = []
    second._report = lines.append
    second.start_from(tmp_path / "first" / "weights.safetensors")
    ours, theirs = second.model.state_dict(), first.model.state_dict()
    assert torch.equal(ours["lidar_encoder.point_net.0.weight"], theirs["lidar_encoder.point_net.0.weight"])
    assert ours["heatmap_head.logits.weight"].shape[1] == 24
    assert len(lines) == 1 and "start anew" in lines[0]


def test_a_stage_of_pictures_teaches_the_camera_encoder_alone(
    make: Make, shards: Path, small_config: TrainingRunConfig, tmp_path: Path
) -> None:
    config = changed(small_config, objective="pictures", max_samples=40)
    trainer = make(tmp_path, config, validation=ShardSet(shards, ("demo",)))
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    assert trainer.run()
    after = trainer.model.state_dict()
    moved = {name.split(".")[0] for name, value in before.items() if not torch.equal(value, after[name])}
    assert moved == {"camera_encoder", "picture_head"}
    rows = curve(tmp_path / "train.csv")
    assert float(rows[-1]["picture"]) < float(rows[0]["picture"])
    assert 0 <= trainer.validate()["picture accuracy"] <= 1


def test_a_run_goes_on_only_with_the_settings_it_began_with(
    make: Make, small_config: TrainingRunConfig, tmp_path: Path
) -> None:
    make(tmp_path).run(stop=stop_after(1))
    with pytest.raises(InputError, match=r"training\.batch_size: got 3 now; expected 2, as the run began"):
        make(tmp_path, changed(small_config, batch_size=3), resume=True)
    longer = make(tmp_path, changed(small_config, max_samples=100, log_every_steps=1), resume=True)
    assert longer.progress.step == 1


def test_a_checkpoint_that_is_none_is_refused(make: Make, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"checkpoint\.safetensors: got no readable checkpoint.*begin anew in another folder"
    ):
        make(tmp_path, resume=True)
    make(tmp_path).save()
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match="no readable checkpoint"):
        make(tmp_path, resume=True)
