"""How much each sensor had to do with each detection: attention, and the network run again without each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from tricast.perception.batch import MODALITY_ORDER, SensorBatch
from tricast.perception.decoding import DecodingConfig, decode, decoded_queries
from tricast.perception.model import Network
from tricast.perception.outputs import Detections, SensorShares
from tricast.perception.query_memory import QueryMemory
from tricast.perception.query_outputs import QueryOutputs

SAME_OBJECT_M = 2.0
"""Boxes of a class whose centres are nearer than this on the ground are one object."""

CAMERA = MODALITY_ORDER.index("camera")


@torch.inference_mode()
def explained(
    network: Network,
    batch: SensorBatch,
    memory: QueryMemory,
    timestamp_ns: int,
    config: DecodingConfig,
    *,
    cameras: Sequence[str] = (),
) -> tuple[Detections, QueryMemory]:
    """Detections with `sensor_shares`, otherwise as without; one more pass for every kind of sensor that is present.

    Args:
        network: In evaluation mode.
        batch: One tick.
        memory: What earlier ticks left.
        timestamp_ns: The tick.
        config: How outputs become boxes.
        cameras: Channels of the batch's cameras in order; empty where they are not known.

    Returns:
        Detections, and the memory for the next tick: that of the pass with everything.

    """
    outputs, after = network(batch, memory, with_attention=True)
    detections = decode(outputs, timestamp_ns, config, present=batch.present[0].tolist())
    queries, _, _ = decoded_queries(outputs, config)
    attention, by_camera = attention_shares(outputs, batch.camera_mask.shape[1])
    # Weak boxes too: that one became weak is a smaller loss than that it is gone.
    anything = config.model_copy(update={"min_score": 0.0})
    drops = np.zeros((len(detections), len(MODALITY_ORDER)))
    for column, modality in enumerate(MODALITY_ORDER):
        if not batch.present[0, column]:
            continue
        rest = batch.without(modality)
        left = Detections.empty(timestamp_ns)
        if rest.present.any():
            left = decode(network(rest, memory)[0], timestamp_ns, anything, present=rest.present[0].tolist())
        drops[:, column] = score_drops(detections, left)
    shares = SensorShares(
        attention=attention[queries],
        score_drop=drops,
        camera_channels=tuple(cameras),
        camera_attention=by_camera[queries][:, : len(cameras)],
    )
    return replace(detections, sensor_shares=shares), after


def attention_shares(outputs: QueryOutputs, cameras: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of the decoder's attention for the first sample, as means over layers and heads.

    Attention on a cell of the grid is divided among the sensors by what each has in the fused cell
    (`QueryOutputs.grid_shares`); attention on a picture is the camera's.

    Args:
        outputs: Of a pass with attention.
        cameras: Camera slots in the batch.

    Returns:
        (Q, 3) for camera, LiDAR and radar, rows sum to 1; (Q, cameras) on each picture.

    """
    assert outputs.grid_shares is not None and outputs.attention, "a pass without attention"
    weights = torch.stack([layer[0].mean(dim=0) for layer in outputs.attention]).mean(dim=0).double()  # (Q, T)
    cells = _cell_shares(outputs.grid_shares[0])
    on_grid, on_pictures = weights[:, : len(cells)], weights[:, len(cells) :]
    # Queries of early fusion attend to no picture, and so do those of a tick without one.
    by_camera = on_pictures.new_zeros(len(weights), cameras)
    if on_pictures.shape[1]:
        by_camera = on_pictures.unflatten(1, (cameras, -1)).sum(dim=2)
    shares = on_grid @ cells
    shares[:, CAMERA] += by_camera.sum(dim=1)
    shares = shares / shares.sum(dim=1, keepdim=True)
    return shares.cpu().numpy(), by_camera.cpu().numpy()


def score_drops(detections: Detections, left: Detections) -> NDArray[np.float64]:
    """The part (N,) of each box's score that is lost: 1 less the ratio of its counterpart's score to its own.

    Boxes find counterparts best first, each the nearest free one of its class within `SAME_OBJECT_M`; without one all
    is lost.
    """
    drops = np.ones(len(detections))
    free = np.ones(len(left), bool)
    names = np.array(left.class_names, dtype=object)
    for i in np.argsort(-detections.scores, kind="stable"):
        apart_m = np.linalg.norm(left.boxes.centers_m[:, :2] - detections.boxes.centers_m[i, :2], axis=1)
        apart_m[~free | (names != detections.class_names[i])] = np.inf
        if len(left) and apart_m.min() < SAME_OBJECT_M:
            found = int(apart_m.argmin())
            free[found] = False
            drops[i] = 1 - left.scores[found] / max(float(detections.scores[i]), 1e-9)
    return drops


def _cell_shares(shares: Tensor) -> Tensor:
    """(3, Y, X) on the grid to (T', 3) of the decoder's cells, each of 2 x 2 of the grid's."""
    return functional.avg_pool2d(shares[None], 2)[0].flatten(1).T.double()
