"""Networks and ticks that backends are tested on."""

import dataclasses

import torch

from tricast.perception.backends.fixed_network import FixedNetwork
from tricast.perception.backends.fixed_shapes import FixedShapes
from tricast.perception.backends.interface import GraphBackend
from tricast.perception.batch import SensorBatch
from tricast.perception.collation import collate
from tricast.perception.layers.convolution import fold_norms
from tricast.perception.model import ModelConfig, Network
from tricast.perception.tick_sample import TickSample
from tricast.sensors.geometry.se3 import SE3

SUBSETS = {
    "all": {},
    "cameras": {"lidar": None, "radar": None},
    "lidar": {"cameras": (), "radar": None},
    "radar": {"cameras": (), "lidar": None},
    "cameras, lidar": {"radar": None},
    "cameras, radar": {"lidar": None},
    "lidar, radar": {"cameras": ()},
}


def random_network(config: ModelConfig, seed: int) -> Network:
    torch.manual_seed(seed)
    network = Network(config)
    for name, value in network.named_parameters():
        if value.dim() == 1 and "weight" in name:  # branches that start at zero could hide a mistake
            torch.nn.init.uniform_(value, 0.5, 1.5)
        elif value.dim() == 1 and "body" in name:
            torch.nn.init.uniform_(value, 0.1, 0.3)
    network.eval()
    fold_norms(network)
    return network


def subset_batches(network: Network, ticks: list[TickSample]) -> list[SensorBatch]:
    """Every subset of the sensors, and one camera of four."""
    samples = [dataclasses.replace(ticks[0], **change) for change in SUBSETS.values()]
    samples.append(dataclasses.replace(ticks[1], cameras=ticks[1].cameras[2:3]))
    # Half a second apart and on the way: what is remembered of one comes up in the next.
    samples = [
        dataclasses.replace(sample, timestamp_ns=500_000_000 * n, odom_from_ego=SE3.from_yaw(0.1 * n, (2.0 * n, 0, 0)))
        for n, sample in enumerate(samples)
    ]
    return [collate([sample], network.config.batch) for sample in samples]


def fixed_backend(network: Network, shapes: FixedShapes) -> GraphBackend:
    """A graph that is the network at fixed shapes, not compiled by anything."""
    module = FixedNetwork(network)
    return GraphBackend("compile", network, shapes, lambda inputs: module(*inputs.tensors()))
