"""One training step on fake tensors of a device that is not there: run on its own, it prints what became of it.

PyTorch's backward engine asks the CUDA driver for its device even under `FakeTensorMode`, so that a Python-only
stand-in device takes CUDA's place here: an operation between it and the CPU raises all the same. What depends on values
is given: who answers for whom.

Arguments: the folder of shards, and optionally the name of a parameter to leave on the CPU.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from tests.perception.training.conftest import SMALL_MODEL
from tricast.perception.losses.criterion import training_losses
from tricast.perception.losses.matching import Matches
from tricast.perception.model import Network
from tricast.perception.query_memory import QueryMemory
from tricast.perception.training.batches import BatchSource, TrainingBatch, TrainingBatches
from tricast.perception.training.config import TrainingRunConfig
from tricast.perception.training.optimization import AveragedModel, make_optimizer

DEVICE = "absent"
FAKE = FakeTensorMode(allow_non_fake_inputs=True, shape_env=ShapeEnv(allow_dynamic_output_shape_ops=True))
REAL_TENSOR = torch.tensor


def moved(value: Any) -> Any:
    """Tensors of anything to the device, shapes kept."""
    if isinstance(value, torch.Tensor):
        return FAKE.from_tensor(value, static_shapes=True).to(DEVICE)
    if dataclasses.is_dataclass(value):
        return type(value)(**{f.name: moved(getattr(value, f.name)) for f in dataclasses.fields(value)})  # type: ignore[misc]
    return value


def tensor(data: Any, *, dtype: torch.dtype | None = None, device: Any = None) -> torch.Tensor:
    """`torch.tensor`, which does not know how to make one of a list on the stand-in device."""
    made = REAL_TENSOR(data, dtype=dtype)
    return made if device is None or torch.device(device).type == "cpu" else moved(made)


def answers(first: torch.Tensor, *_: object) -> Matches:
    """Three times the first query for the first object."""
    zeros = torch.zeros(3, dtype=torch.int64, device=first.device)
    return Matches(samples=zeros, queries=zeros, objects=zeros)


def step(network: Network, batch: TrainingBatch, config: TrainingRunConfig) -> torch.Tensor:
    """Forward, losses, backward, clipping, optimiser and average; gives the loss."""
    average = AveragedModel(network, 0.9)
    optimizer = make_optimizer(network, config.training.optimizer)
    outputs, _ = network(batch.sensors, QueryMemory(), batch.seeds)
    table = training_losses(
        outputs,
        batch.truth,
        batch.seed_objects,
        batch.seeds.mask,
        batch.sensors.present,
        config.training.loss,
        range_m=config.model.batch.range_m,
        depth_targets=batch.depth_targets,
        picture_targets=batch.picture_targets,
    )
    table.total.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    average.update(network, 0)
    return table.total


def main(folder: str, stays: str | None = None) -> None:
    """Make everything on the CPU, move it, step."""
    _setup_privateuseone_for_python_backend(DEVICE)
    config = TrainingRunConfig.model_validate({"model": SMALL_MODEL, "training": {"batch_size": 2}})
    source = BatchSource(
        folder=Path(folder),
        scenes=("demo",),
        batch_size=2,
        seed=0,
        batch_config=config.model.batch,
        augmentation=config.training.augmentation,
        seed_jitter_m=0.4,
        memory=config.model.memory,
    )
    network, batch = Network(config.model).train(), TrainingBatches(source)[0]
    loss = "tricast.perception.losses"
    with (
        FAKE,
        patch.object(torch, "tensor", tensor),
        patch.object(torch.Tensor, "new_tensor", lambda own, data: tensor(data, dtype=own.dtype, device=own.device)),
        patch(f"{loss}.matching._assigned", answers),
        patch(f"{loss}.criterion.seed_matches", answers),
    ):
        for path, module in network.named_modules():
            for name, value in [*module._parameters.items()]:
                if value is not None and f"{path}.{name}" != stays:
                    module._parameters[name] = torch.nn.Parameter(moved(value.detach()))
            for name, buffer in [*module._buffers.items()]:
                module._buffers[name] = moved(buffer)
        total = step(network, moved(batch), config)
        lacking = [name for name, value in network.named_parameters() if value.grad is None]
        devices = {value.grad.device.type for value in network.parameters() if value.grad is not None}
    print(f"loss on {total.device.type}, gradients on {sorted(devices)}, none for {lacking}")


if __name__ == "__main__":
    main(*sys.argv[1:])
