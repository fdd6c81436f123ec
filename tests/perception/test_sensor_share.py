"""Shares of attention and lost scores: by hand, and on a small network whose sensors go missing."""

import dataclasses

import numpy as np
import pytest
import torch

from tricast.configs.errors import InputError
from tricast.perception.collation import collate
from tricast.perception.decoding import DecodingConfig, decode
from tricast.perception.detectors.network import NetworkDetector
from tricast.perception.detectors.network_config import NetworkConfig
from tricast.perception.fusion.weighted_mean import WeightedMean
from tricast.perception.model import ModelConfig, Network
from tricast.perception.outputs import Detections, SensorShares
from tricast.perception.query_memory import QueryMemory
from tricast.perception.query_outputs import QueryOutputs
from tricast.perception.sensor_share import attention_shares, explained, score_drops
from tricast.perception.tick_sample import TickSample
from tricast.sensors.errors import SensorDataError
from tricast.sensors.geometry.boxes import Boxes

EVERYTHING = DecodingConfig(min_score=0.0, duplicate_share=0.0)
CAMERAS = ("BACK", "FRONT", "LEFT", "RIGHT")


@pytest.fixture
def network(small_model: ModelConfig) -> Network:
    return _made(small_model)


def _made(config: ModelConfig) -> Network:
    torch.manual_seed(0)
    network = Network(config)
    # Residual branches start at zero, where no sensor would have a say.
    for name, value in network.named_parameters():
        if value.dim() == 1 and "weight" in name:
            torch.nn.init.uniform_(value, 0.5, 1.5)
    return network.eval()


def explain(network: Network, sample: TickSample) -> tuple[Detections, SensorShares]:
    batch = collate([sample], network.config.batch)
    names = CAMERAS if sample.cameras else ()
    detections, _ = explained(network, batch, QueryMemory(), 7, EVERYTHING, cameras=names)
    assert detections.sensor_shares is not None
    return detections, detections.sensor_shares


def boxes(rows: list[tuple[float, float, str, float]]) -> Detections:
    """Boxes at (x, y) of a class with a score."""
    count = len(rows)
    return Detections(
        timestamp_ns=7,
        boxes=Boxes(
            centers_m=np.array([[x, y, 0.0] for x, y, _, _ in rows]).reshape(count, 3),
            sizes_m=np.ones((count, 3)),
            yaws_rad=np.zeros(count),
            velocities_mps=np.zeros((count, 2)),
        ),
        class_names=tuple(name for _, _, name, _ in rows),
        scores=np.array([score for _, _, _, score in rows]),
    )


def test_boxes_and_scores_are_those_of_a_run_that_explains_nothing(network: Network, ticks: list[TickSample]) -> None:
    detections, _ = explain(network, ticks[0])
    with torch.inference_mode():
        outputs, _ = network(collate(ticks[:1], network.config.batch), QueryMemory())
    plain = decode(outputs, 7, EVERYTHING)
    assert len(plain) > 5
    assert detections.class_names == plain.class_names
    assert np.array_equal(detections.scores, plain.scores)
    assert np.array_equal(detections.boxes.centers_m, plain.boxes.centers_m)


def test_attention_is_shared_among_the_sensors_that_are_there(network: Network, ticks: list[TickSample]) -> None:
    detections, shares = explain(network, ticks[0])
    assert shares.attention.shape == shares.score_drop.shape == (len(detections), 3)
    assert (shares.attention > 0).all()
    assert shares.attention.sum(axis=1) == pytest.approx(np.ones(len(detections)))
    assert shares.camera_channels == CAMERAS
    assert (shares.camera_attention > 0).all()
    # The rest of the camera's share goes by way of the grid.
    assert (shares.camera_attention.sum(axis=1) < shares.attention[:, 0]).all()
    assert np.abs(shares.score_drop).max() > 1e-3


@pytest.mark.parametrize(
    ("change", "absent"),
    [({"cameras": ()}, [0]), ({"lidar": None}, [1]), ({"radar": None}, [2]), ({"cameras": (), "radar": None}, [0, 2])],
)
def test_an_absent_sensor_has_no_share(
    network: Network, ticks: list[TickSample], change: dict[str, object], absent: list[int]
) -> None:
    detections, shares = explain(network, dataclasses.replace(ticks[0], **change))
    assert len(detections)
    assert (shares.attention[:, absent] == 0).all()
    assert (shares.score_drop[:, absent] == 0).all()
    assert shares.attention.sum(axis=1) == pytest.approx(np.ones(len(detections)))


@pytest.mark.parametrize(
    ("change", "pictures"),
    [
        ({"fusion": "early"}, False),
        ({"fusion": "early", "grid_fusion": "concatenation"}, False),
        ({"fusion": "co_attention"}, True),
        ({"grid_fusion": "concatenation"}, True),
    ],
)
def test_whatever_the_fusion_shares_are_of_the_sensors_that_are_there(
    small_model: ModelConfig, ticks: list[TickSample], change: dict[str, object], pictures: bool
) -> None:
    network = _made(small_model.model_copy(update=change))
    _, shares = explain(network, ticks[0])
    assert (shares.attention > 0).all()
    assert shares.attention.sum(axis=1) == pytest.approx(np.ones(len(shares.attention)))
    assert (shares.camera_attention > 0).all() == pictures == shares.camera_attention.any()
    _, shares = explain(network, dataclasses.replace(ticks[0], cameras=()))
    assert (shares.attention[:, 0] == 0).all()
    assert shares.attention.sum(axis=1) == pytest.approx(np.ones(len(shares.attention)))


def test_late_fusion_has_no_attention_to_share(small_model: ModelConfig, ticks: list[TickSample]) -> None:
    network = _made(small_model.model_copy(update={"fusion": "late"}))
    with pytest.raises(InputError, match="'late'"):
        explain(network, ticks[0])
    with pytest.raises(InputError, match=r"network\.sensor_share: got a network with fusion 'late'"):
        NetworkDetector(NetworkConfig(sensor_share=True, threads=1), network=network)


def test_all_hangs_on_the_only_sensor_there_is(network: Network, ticks: list[TickSample]) -> None:
    _, shares = explain(network, dataclasses.replace(ticks[0], cameras=(), radar=None))
    assert (shares.attention == [0, 1, 0]).all()
    assert (shares.score_drop == [0, 1, 0]).all()


def test_a_drop_is_what_the_network_says_without_the_sensor(network: Network, ticks: list[TickSample]) -> None:
    detections, shares = explain(network, ticks[0])
    with torch.inference_mode():
        batch = collate([dataclasses.replace(ticks[0], radar=None)], network.config.batch)
        left = decode(network(batch, QueryMemory())[0], 7, EVERYTHING)
    assert shares.score_drop[:, 2] == pytest.approx(score_drops(detections, left), abs=1e-6)


def test_the_same_tick_is_explained_the_same_twice(network: Network, ticks: list[TickSample]) -> None:
    first, second = (explain(network, ticks[0])[1] for _ in range(2))
    assert np.array_equal(first.attention, second.attention)
    assert np.array_equal(first.score_drop, second.score_drop)
    assert np.array_equal(first.camera_attention, second.camera_attention)


def test_counterparts_are_of_the_class_near_and_taken_once() -> None:
    found = boxes([(10, 0, "car", 0.8), (11, 0, "car", 0.4), (0, 5, "bus", 0.5), (-9, 0, "car", 0.5)])
    left = boxes([(10.4, 0, "car", 0.6), (0, 5, "truck", 0.9), (-9, 1, "car", 0.6), (-9, 4, "car", 0.5)])
    # The surer car takes the one that is left, whichever is nearer to it; a bus that became a truck is gone.
    assert score_drops(found, left) == pytest.approx([0.25, 1.0, 1.0, -0.2])
    assert score_drops(found, Detections.empty(7)).tolist() == [1, 1, 1, 1]
    assert score_drops(Detections.empty(7), left).tolist() == []


def test_attention_on_a_cell_is_divided_by_what_is_in_it_and_on_a_picture_is_the_cameras() -> None:
    grid = torch.zeros(1, 3, 2, 4)  # two cells of the decoder
    grid[0, :, :, :2] = torch.tensor([0.5, 0.5, 0.0])[:, None, None]
    grid[0, :, :, 2:] = torch.tensor([0.0, 0.25, 0.75])[:, None, None]
    # One query, two heads: (cell, cell, two tokens of the first camera, two of the second).
    heads = torch.tensor([[[0.4, 0.2, 0.1, 0.1, 0.1, 0.1]], [[0.0, 0.4, 0.3, 0.1, 0.2, 0.0]]])[None]
    outputs = QueryOutputs.__new__(QueryOutputs)
    object.__setattr__(outputs, "attention", (heads,))
    object.__setattr__(outputs, "grid_shares", grid)
    shares, cameras = attention_shares(outputs, 2)
    # Means: cells 0.2 and 0.3, cameras 0.3 and 0.2.
    assert cameras == pytest.approx(np.array([[0.3, 0.2]]))
    assert shares == pytest.approx(np.array([[0.1 + 0.5, 0.1 + 0.075, 0.225]]))


def test_a_cell_belongs_to_the_sensors_by_what_they_add_to_the_mean() -> None:
    fusion = WeightedMean(2)
    bevs = tuple(torch.full((2, 2, 1, 1), value) for value in (3.0, 1.0, 0.0))
    present = torch.tensor([[True, True, True], [False, True, True]])
    shares = fusion.shares(bevs, present)[..., 0, 0]
    assert shares[0].tolist() == pytest.approx([0.75, 0.25, 0.0], abs=1e-5)
    assert shares[1].tolist() == pytest.approx([0.0, 1.0, 0.0], abs=1e-5)
    nothing = fusion.shares(tuple(torch.zeros(2, 2, 1, 1) for _ in range(3)), present)[..., 0, 0]
    assert nothing[1].tolist() == pytest.approx([0.0, 0.5, 0.5])


def test_shares_that_are_not_of_every_box_are_refused() -> None:
    with pytest.raises(SensorDataError, match="1 boxes and sensor shares of 0"):
        dataclasses.replace(boxes([(0, 0, "car", 0.5)]), sensor_shares=SensorShares.empty())
