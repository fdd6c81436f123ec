"""Errors of matched boxes and forecasts by channel, each beside what a constant answer would have scored.

A channel that learns nothing is as bad as its constant: the mean of the truth (per class for sizes and heights), zero
for velocity, the cell's centre for the place, constant velocity for forecasts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from tricast.perception.losses.boxes import MatchedTruth, layer_at, truth_at
from tricast.perception.losses.criterion import LossTable
from tricast.perception.losses.targets import TruthBatch, cell_centers_m
from tricast.perception.losses.trajectories import displacements, mean_displacement_errors
from tricast.perception.query_outputs import QueryOutputs

FASTER_THAN_MPS = 1.0
"""Speed from which velocity and forecasts are measured: the many that stand would hide the movers."""
STEP_S = 0.5


@dataclass
class ChannelMeter:
    """Collects errors over many batches."""

    _rows: dict[str, list[np.ndarray]] = field(default_factory=dict)

    @torch.no_grad()
    def add(self, outputs: QueryOutputs, table: LossTable, truth: TruthBatch, *, range_m: float) -> None:
        """Take the matched peaks of a batch."""
        matches = table.matches
        layer, target = layer_at(outputs.layers[-1], matches), truth_at(truth, matches)
        place = (matches.samples, matches.queries)
        cells = cell_centers_m(outputs.query_cells[place], num_cells=outputs.heatmap.shape[-1], range_m=range_m)
        self._put("center_m", (layer.centers_m - target.centers_m)[:, :2].norm(dim=-1))
        self._put("center_m_constant", (cells - target.centers_m[:, :2]).norm(dim=-1))
        self._put("class", target.class_indices)
        self._put("height_m", (layer.centers_m - target.centers_m)[:, 2].abs())
        self._put("height_m_truth", target.centers_m[:, 2])
        self._put("log_size", (layer.log_sizes - target.sizes_m.log()).abs().mean(dim=-1))
        self._put("log_size_truth", target.sizes_m.log())
        moving = (target.velocities_mps.norm(dim=-1) > FASTER_THAN_MPS) & target.velocity_known
        yaw = torch.atan2(*layer.headings.unbind(dim=-1))
        off = torch.remainder(yaw - target.yaws_rad + math.pi, 2 * math.pi) - math.pi
        self._put("yaw_rad", off.abs())
        self._put("yaw_truth", target.yaws_rad)
        self._put("yaw_reversed_movers", (off.abs() > math.pi / 2)[moving].float())
        self._put("velocity_movers_mps", (layer.velocities_mps - target.velocities_mps).norm(dim=-1)[moving])
        self._put("velocity_movers_mps_constant", target.velocities_mps.norm(dim=-1)[moving])
        self._put_forecasts(outputs, place, layer.velocities_mps, target, yaw, moving)

    def _put_forecasts(
        self,
        outputs: QueryOutputs,
        place: tuple[Tensor, Tensor],
        velocity: Tensor,
        target: MatchedTruth,
        yaw: Tensor,
        moving: Tensor,
    ) -> None:
        whole = moving & target.future_known.all(dim=-1)
        offsets = displacements(target, yaw)[whole]
        known = torch.ones(offsets.shape[:2], dtype=torch.bool, device=offsets.device)
        errors = mean_displacement_errors(outputs.mode_points_m[place][whole], offsets, known)
        self._put("min_ade_m", errors.amin(dim=1) if len(errors) else errors.sum(dim=1))
        best = outputs.mode_logits[place][whole].argmax(dim=1)
        self._put("ade_of_best_m", errors.gather(1, best[:, None])[:, 0])
        cos, sin = yaw[whole].cos(), yaw[whole].sin()
        vx, vy = velocity[whole].unbind(-1)
        own = torch.stack([cos * vx + sin * vy, -sin * vx + cos * vy], dim=-1)
        times = STEP_S * torch.arange(1, offsets.shape[1] + 1, device=own.device)
        straight = own[:, None, :] * times[:, None]
        self._put("min_ade_m_constant", (straight - offsets).norm(dim=-1).mean(dim=-1))

    def _put(self, name: str, values: Tensor) -> None:
        self._rows.setdefault(name, []).append(values.detach().cpu().numpy())

    def figures(self) -> dict[str, float]:
        """Mean errors by channel, `<channel>_constant` beside each; NaN where nothing was matched."""
        rows = {name: np.concatenate(parts) for name, parts in self._rows.items()}
        if not rows:
            return {}
        classes = rows.pop("class")
        height, size, yaw = rows.pop("height_m_truth"), rows.pop("log_size_truth"), rows.pop("yaw_truth")
        figures = {name: _mean(values) for name, values in rows.items()}
        figures["height_m_constant"] = _mean(np.abs(height - _class_means(height, classes)))
        figures["log_size_constant"] = _mean(np.abs(size - _class_means(size, classes)))
        heading = math.atan2(_mean(np.sin(yaw)), _mean(np.cos(yaw))) if len(yaw) else 0.0
        figures["yaw_rad_constant"] = _mean(np.abs((yaw - heading + np.pi) % (2 * np.pi) - np.pi))
        return dict(sorted(figures.items()))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else math.nan


def _class_means(values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Each row's mean over the rows of its class."""
    means = np.empty_like(values)
    for number in np.unique(classes):
        means[classes == number] = values[classes == number].mean(axis=0)
    return means
