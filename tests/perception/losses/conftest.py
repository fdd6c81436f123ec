"""Truth and outputs of a few objects, for tests of losses."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tricast.perception.losses.targets import TruthBatch
from tricast.perception.query_outputs import LayerOutputs, QueryOutputs

RANGE_M = 8.0
CELLS = 16
CLASSES = 10


def make_truth(*objects: dict[str, Any]) -> TruthBatch:
    """One sample with these objects; each is given by what departs from a car standing at the origin."""
    defaults: dict[str, Any] = {
        "positive": True,
        "ignored": False,
        "camera_positive": True,
        "radar_positive": True,
        "class_indices": 0,
        "centers_m": [0.0, 0.0, 0.0],
        "sizes_m": [4.0, 2.0, 1.5],
        "yaws_rad": 0.0,
        "velocities_mps": [0.0, 0.0],
        "velocity_known": True,
        "futures_m": [[0.0, 0.0]] * 12,
        "future_known": [True] * 12,
    }
    rows = [{**defaults, **given} for given in objects]
    return TruthBatch(**{name: torch.tensor([[row[name] for row in rows]]) for name in defaults})


def make_layer(
    centers_m: list[list[float]], *, class_logits: Tensor | None = None, velocity: tuple[float, float] = (0.0, 0.0)
) -> LayerOutputs:
    """One sample's boxes of a standing car's size and heading at these centres."""
    count = len(centers_m)
    return LayerOutputs(
        class_logits=torch.zeros(1, count, CLASSES) if class_logits is None else class_logits,
        centers_m=torch.tensor([centers_m]),
        log_sizes=torch.tensor([4.0, 2.0, 1.5]).log().expand(1, count, 3),
        yaw_sin_cos=torch.tensor([0.0, 1.0]).expand(1, count, 2),
        axis_sin_cos=torch.tensor([0.0, 1.0]).expand(1, count, 2),
        velocities_mps=torch.tensor(velocity).expand(1, count, 2),
        quality_logits=torch.zeros(1, count),
    )


def make_outputs(layer: LayerOutputs, cells: list[int], *, heatmap: Tensor | None = None) -> QueryOutputs:
    """Outputs of one layer whose queries started as cars from these cells, and whose futures stand still."""
    count = len(cells)
    return QueryOutputs(
        heatmap=torch.full((1, CLASSES, CELLS, CELLS), -4.0) if heatmap is None else heatmap,
        camera_heatmap=None,
        radar_heatmap=None,
        query_cells=torch.tensor([cells]),
        query_classes=torch.zeros(1, count, dtype=torch.long),
        query_mask=torch.ones(1, count, dtype=torch.bool),
        num_seeded=count,
        layers=(layer,),
        mode_points_m=torch.zeros(1, count, 2, 12, 2),
        mode_log_scales=torch.zeros(1, count, 2, 12, 2),
        mode_logits=torch.zeros(1, count, 2),
    )


@pytest.fixture
def truth_of() -> Callable[..., TruthBatch]:
    return make_truth


@pytest.fixture
def layer_of() -> Callable[..., LayerOutputs]:
    return make_layer


@pytest.fixture
def outputs_of() -> Callable[..., QueryOutputs]:
    return make_outputs
