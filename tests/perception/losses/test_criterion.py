"""The whole loss: what raises it, what must not, and that the sum is the sum."""

import math
from dataclasses import replace

import pytest
import torch

from tricast.configs.errors import ConfigError
from tricast.configs.strict import parse_config
from tricast.perception.losses.channels import ChannelMeter
from tricast.perception.losses.criterion import LossConfig, training_losses

CONFIG = LossConfig()
EVERYTHING = torch.tensor([[True, True, True]])
MIDDLE = 8 * 16 + 8
"""The cell around (0.5, 0.5)."""


def losses_of(outputs, truth, *, present=EVERYTHING, config=CONFIG):
    seeds = torch.zeros(1, truth.positive.shape[1], dtype=torch.long)
    return training_losses(outputs, truth, seeds, seeds.bool(), present, config, range_m=8.0)


def certain(count: int, *cars: int) -> torch.Tensor:
    """Class logits of queries that are sure to be cars, or sure to be nothing."""
    logits = torch.full((1, count, 10), -8.0)
    logits[0, list(cars), 0] = 8.0
    return logits


def test_total_is_the_weighted_sum_of_the_table(truth_of, layer_of, outputs_of) -> None:
    table = losses_of(outputs_of(layer_of([[0.4, 0.5, 0.0]]), [MIDDLE]), truth_of({"centers_m": [0.5, 0.5, 0.0]}))
    weights = CONFIG.weights.model_dump()
    expected = sum(float(value) * weights[name.removesuffix("_0")] for name, value in table.terms.items())
    assert math.isclose(float(table.total), expected, rel_tol=1e-5)
    assert table.describe().startswith("total ")


def test_a_right_answer_costs_less_than_a_wrong_class_or_a_missed_object(truth_of, layer_of, outputs_of) -> None:
    truth = truth_of({"centers_m": [0.5, 0.5, 0.0]})
    place = [[0.5, 0.5, 0.0], [5.5, 0.5, 0.0]]

    def cost(logits: torch.Tensor) -> float:
        outputs = outputs_of(layer_of(place, class_logits=logits), [MIDDLE, MIDDLE + 5])
        return float(losses_of(outputs, truth).terms["classification_0"])

    right, missed, ghost = cost(certain(2, 0)), cost(certain(2)), cost(certain(2, 0, 1))
    assert right < 1e-3
    assert missed > 1 and ghost > 1


def test_a_learned_query_answers_from_wherever_it_began(truth_of, layer_of, outputs_of) -> None:
    truth = truth_of({"centers_m": [6.5, 6.5, 0.0]})
    outputs = outputs_of(layer_of([[-5.0, -5.0, 0.0]]), [MIDDLE])
    assert len(losses_of(outputs, truth).matches) == 0
    assert len(losses_of(replace(outputs, from_peaks=False), truth).matches) == 1


def test_a_missed_object_of_a_rare_class_costs_more(truth_of, layer_of, outputs_of) -> None:
    outputs = outputs_of(layer_of([[0.5, 0.5, 0.0]]), [MIDDLE])
    config = LossConfig(class_weights={"car": 1.0, "bus": 3.0})
    empty, car, bus = (
        float(losses_of(outputs, truth_of({"centers_m": [0.5, 0.5, 0.0], **more}), config=config).terms["heatmap"])
        for more in ({"positive": False}, {}, {"class_indices": 2})
    )
    assert car > 10 * empty
    assert math.isclose(bus / car, 3.0, rel_tol=0.02)


@pytest.mark.parametrize(
    ("weights", "words"),
    [({"cars": 2.0}, "classes among car, truck"), ({"car": -1.0}, "greater than or equal to 0")],
)
def test_weights_of_unknown_classes_and_negative_ones_are_refused(weights: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_config(LossConfig, {"class_weights": weights}, where="loss.yaml")
    assert parse_config(LossConfig, {"class_weights": {"car": 0.0}}, where="loss.yaml").class_weights == {"car": 0.0}


def test_a_box_on_an_object_that_no_sensor_sees_is_not_punished_for_its_class(truth_of, layer_of, outputs_of) -> None:
    hidden = truth_of({"centers_m": [0.5, 0.5, 0.0], "positive": False, "ignored": True})
    outputs = outputs_of(layer_of([[0.5, 0.5, 0.0]], class_logits=certain(1, 0)), [MIDDLE])
    assert float(losses_of(outputs, hidden).terms["classification_0"]) < 1e-3
    empty = truth_of({"positive": False})
    assert float(losses_of(outputs, empty).terms["classification_0"]) > 1


def test_an_absent_camera_is_asked_for_no_heatmap(truth_of, layer_of, outputs_of) -> None:
    outputs = replace(outputs_of(layer_of([[0.5, 0.5, 0.0]]), [MIDDLE]), camera_heatmap=torch.zeros(1, 10, 8, 8))
    truth = truth_of({})
    assert losses_of(outputs, truth).terms["camera_heatmap"] > 0
    without = torch.tensor([[False, True, True]])
    assert losses_of(outputs, truth, present=without).terms["camera_heatmap"] == 0


def test_seeds_teach_boxes_but_have_no_say_about_classes(truth_of, layer_of, outputs_of) -> None:
    truth = truth_of({"centers_m": [0.5, 0.5, 0.0]})
    layer = layer_of([[-6.0, 0.0, 0.0], [1.5, 0.5, 0.0]], class_logits=certain(2, 1))
    outputs = replace(outputs_of(layer, [0, MIDDLE]), num_seeded=1)
    objects = torch.tensor([[0]])
    table = training_losses(outputs, truth, objects, objects == 0, EVERYTHING, CONFIG, range_m=8.0)
    assert float(table.terms["classification_0"]) < 1e-3
    assert math.isclose(float(table.terms["center_0"]), 1.0 / CONFIG.boxes.center_scale_m, rel_tol=1e-5)
    assert len(table.matches) == 0


def test_a_batch_without_objects_has_a_finite_loss_and_gradient(truth_of, layer_of, outputs_of) -> None:
    heatmap = torch.zeros(1, 10, 16, 16, requires_grad=True)
    table = losses_of(outputs_of(layer_of([[0.0, 0.0, 0.0]]), [0], heatmap=heatmap), truth_of({"positive": False}))
    table.total.backward()
    assert torch.isfinite(table.total) and heatmap.grad is not None and torch.isfinite(heatmap.grad).all()


def test_channels_stand_beside_what_a_constant_would_have_scored(truth_of, layer_of, outputs_of) -> None:
    futures = [[0.5 + 2.0 * step, 0.5] for step in range(1, 13)]
    mover = {"centers_m": [0.5, 0.5, 1.0], "velocities_mps": [3.0, 0.0], "futures_m": futures}
    truth = truth_of(mover, {"centers_m": [4.5, 0.5, 3.0], "yaws_rad": math.pi / 2})
    layer = layer_of([[0.5, 0.8, 1.0], [4.5, 0.5, 3.0]], velocity=(4.0, 0.0))
    outputs = outputs_of(layer, [MIDDLE, MIDDLE + 4])
    meter = ChannelMeter()
    meter.add(outputs, losses_of(outputs, truth), truth, range_m=8.0)
    figures = meter.figures()
    assert math.isclose(figures["center_m"], 0.15, rel_tol=1e-5)
    assert figures["center_m_constant"] == 0.0  # both stand at the centres of their cells
    assert figures["height_m"] == 0.0
    assert figures["height_m_constant"] == 1.0
    assert math.isclose(figures["yaw_rad"], math.pi / 4, rel_tol=1e-5)
    assert math.isclose(figures["yaw_rad_constant"], math.pi / 4, rel_tol=1e-5)
    assert figures["velocity_movers_mps"] == 1.0
    assert figures["velocity_movers_mps_constant"] == 3.0
    # The estimated 4 m/s goes as the truth does, 2 m a step; futures that stand still miss by 2, 4, ... 24 m.
    assert math.isclose(figures["min_ade_m_constant"], 0.0, abs_tol=1e-5)
    assert math.isclose(figures["min_ade_m"], 13.0, rel_tol=1e-5)


def test_figures_of_no_matches_are_unknown_not_zero(truth_of, layer_of, outputs_of) -> None:
    truth = truth_of({"positive": False})
    outputs = outputs_of(layer_of([[0.0, 0.0, 0.0]]), [0])
    meter = ChannelMeter()
    meter.add(outputs, losses_of(outputs, truth), truth, range_m=8.0)
    assert math.isnan(meter.figures()["velocity_movers_mps"])
    assert ChannelMeter().figures() == {}
