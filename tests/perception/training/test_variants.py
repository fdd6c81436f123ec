"""Variants of a comparison depart in what they say, and no difference within the seeds' spread is called one."""

import pytest

from tricast.configs.errors import InputError
from tricast.configs.strict import load_config, parse_config
from tricast.perception.training.config import TrainingRunConfig
from tricast.perception.training.variants import COLUMNS, Variant, spread_of_seeds, table_rows, variants_of, verdict

FIGURES = {
    name: dict.fromkeys(COLUMNS.values(), value)
    for name, value in {
        "default": 0.50,
        "default-seed-1": 0.54,
        "default-seed-2": 0.52,
        "early": 0.55,
        "late": 0.40,
        "concatenation": 0.57,
    }.items()
}


def test_the_spread_is_of_the_default_over_its_seeds() -> None:
    assert spread_of_seeds(FIGURES, "mAP") == pytest.approx((0.52, 0.04))
    assert spread_of_seeds({"default": FIGURES["default"], "early": FIGURES["early"]}, "mAP") is None


def test_only_what_goes_beyond_the_spread_is_ahead_or_behind() -> None:
    told = {name: verdict(FIGURES, name, "mAP") for name in FIGURES}
    assert told == {
        "default": "",
        "default-seed-1": "",
        "default-seed-2": "",
        "early": "-",
        "late": "behind",
        "concatenation": "ahead",
    }


def test_the_table_has_a_row_of_whatever_is_done_and_of_the_spread() -> None:
    rows = table_rows(variants_of(TrainingRunConfig()), FIGURES, {"late": "2.00 M"})
    assert [row[0] for row in rows] == [*FIGURES, "spread of the seeds"]
    assert rows[4] == ["late", "fusion: late", *["0.400 behind"] * 7, "2.00 M"]
    assert rows[-1][2] == "0.040"


def test_each_variant_departs_in_one_thing() -> None:
    base = TrainingRunConfig()
    configs = {variant.name: variant.config(base) for variant in variants_of(base)}
    assert configs["default"] == base
    assert configs["default-seed-2"].training.seed == 2
    assert configs["default-seed-2"].model == base.model
    fusions = {name: (c.model.fusion, c.model.grid_fusion) for name, c in configs.items() if c.model != base.model}
    assert fusions == {
        "early": ("early", "concatenation"),
        "late": ("late", "weighted_mean"),
        "co-attention": ("co_attention", "weighted_mean"),
        "concatenation": ("cross_attention", "concatenation"),
        "learned-queries": ("cross_attention", "weighted_mean"),
        "no-memory": ("cross_attention", "weighted_mean"),
    }
    assert configs["learned-queries"].model.decoder.starts == "learned"
    assert configs["no-memory"].model.memory.objects == 0
    assert configs["no-dropout"].training.augmentation.drop_modalities == 0
    assert configs["no-dropout"].training.augmentation.flip_x == base.training.augmentation.flip_x
    assert not configs["no-denoising"].training.denoising
    assert configs["no-denoising"].training.model_copy(update={"denoising": True}) == base.training


def test_a_default_that_forgets_is_set_against_one_that_remembers_through_sequences() -> None:
    base = parse_config(TrainingRunConfig, {"model": {"memory": {"objects": 0}}}, where="here")
    configs = {variant.name: variant.config(base) for variant in variants_of(base)}
    assert "no-memory" not in configs and "no-denoising" in configs
    assert (configs["memory"].model.memory.objects, configs["memory"].training.sequence_ticks) == (64, 4)


def test_a_default_without_denoising_is_set_against_one_that_has_it() -> None:
    base = parse_config(TrainingRunConfig, {"training": {"denoising": False}}, where="here")
    configs = {variant.name: variant.config(base) for variant in variants_of(base)}
    assert configs["denoising"].training.denoising and "no-denoising" not in configs


def contrastive(base: TrainingRunConfig) -> Variant:
    return next(variant for variant in variants_of(base) if variant.name == "contrastive")


def planned(samples: int) -> TrainingRunConfig:
    config = load_config(TrainingRunConfig, "tiny")
    return config.model_copy(update={"training": config.training.model_copy(update={"max_samples": samples})})


def test_a_contrastive_stage_takes_its_samples_from_those_of_the_variant() -> None:
    base = planned(6000)
    first, after = contrastive(base).first_stage(base), contrastive(base).config(base)
    assert first is not None and first.training.objective == "contrastive" and first.model.alignment.width == 128
    assert (first.training.batch_size, first.training.sequence_ticks) == (16, 4)
    # 1500, a quarter, in whole batches of 16 through 4 ticks
    assert (first.training.max_samples, after.training.max_samples) == (1472, 4528)
    assert (first.training.optimizer.warmup_samples, after.training.optimizer.warmup_samples) == (250, 1000)
    assert first.training.seed != after.training.seed == base.training.seed
    assert after.model == base.model
    assert after.training.model_copy(update={"max_samples": 6000}) == base.training


def test_other_variants_have_one_stage_of_all_samples() -> None:
    base = planned(6000)
    for variant in variants_of(base):
        if variant.name != "contrastive":
            assert variant.first_stage(base) is None and variant.config(base).training.max_samples == 6000


def test_too_few_samples_for_a_first_stage_are_refused() -> None:
    assert contrastive(planned(256)).config(planned(256)).training.max_samples == 192
    with pytest.raises(InputError, match=r"'contrastive': got 255 samples, of which 63 for .*; expected 256 or more"):
        contrastive(planned(255)).config(planned(255))
