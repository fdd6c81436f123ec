"""Batches by number: which ticks, how augmented and with which seeds follows from (seed, place) alone.

A run that is cut off and resumed therefore sees the same batches, and nothing about sampling needs to be stored but
how many samples were taken.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tricast.configs.errors import InputError
from tricast.perception.batch import BatchConfig, SensorBatch
from tricast.perception.collation import collate
from tricast.perception.losses.targets import TruthBatch, cells_of
from tricast.perception.query_memory import MemoryConfig
from tricast.perception.query_outputs import TrainingSeeds
from tricast.perception.training.augmentation import (
    AugmentationConfig,
    AugmentedTick,
    augmented,
    blinked,
    recolored,
    restricted,
    staled,
    turned,
)
from tricast.perception.training.depth_targets import UNKNOWN, depth_targets
from tricast.perception.training.own_vehicle import covered
from tricast.perception.training.picture_targets import NOTHING, picture_targets
from tricast.perception.training.sequences import rows_of
from tricast.perception.training.shards import ShardSet
from tricast.perception.training.tick_truth import TickTruth, countable

ORDER, SEQUENCE, TICK = 0, 1, 2
"""What a generator is for: the order of an epoch, the augmentation of a sequence, or what is drawn for each tick."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingBatch:
    """A batch with all that its loss needs.

    Args:
        sensors: What the network sees.
        truth: What is there, T objects a sample.
        seeds: Extra queries at jittered true cells.
        seed_objects: (B, G) int64, the object that each seed was made of.
        depth_targets: (B * N * h * w) int64 bins of image features, -1 where unknown.
        picture_targets: (B * N * h * w) int64 classes that image features see, -1 where unknown.

    """

    sensors: SensorBatch
    truth: TruthBatch
    seeds: TrainingSeeds
    seed_objects: Tensor
    depth_targets: Tensor
    picture_targets: Tensor

    def to(self, device: torch.device) -> TrainingBatch:
        """The same batch on another device."""
        seeds = TrainingSeeds(**{f.name: getattr(self.seeds, f.name).to(device) for f in fields(TrainingSeeds)})
        return TrainingBatch(
            sensors=self.sensors.to(device),
            truth=self.truth.to(device),
            seeds=seeds,
            seed_objects=self.seed_objects.to(device),
            depth_targets=self.depth_targets.to(device),
            picture_targets=self.picture_targets.to(device),
        )


@dataclass(frozen=True, kw_only=True)
class BatchSource:
    """Everything that determines a run's batches; plain, so that a loading process can be given it.

    Args:
        folder: Shards.
        scenes: Names of the scenes to use, so that scenes added later change nothing.
        batch_size: Samples a batch.
        seed: Of order and augmentation.
        batch_config: Grid and image size.
        augmentation: Chances.
        seed_jitter_m: How far training seeds lie from true centres, a standard deviation.
        memory: How far apart the ticks of a sequence lie.
        sequence_ticks: A batch's samples are followed by the next ticks of their scenes, in so many batches; 1 takes
            single ticks.
        pictures_only: Leave out other sensors and what lifts pictures to the grid.
        parts: Every batch is cut into so many.
        own_parts: Those that this process makes; None makes all.

    """

    folder: Path
    scenes: tuple[str, ...]
    batch_size: int
    seed: int
    batch_config: BatchConfig
    augmentation: AugmentationConfig
    seed_jitter_m: float
    memory: MemoryConfig
    sequence_ticks: int = 1
    pictures_only: bool = False
    parts: int = 1
    own_parts: tuple[int, ...] | None = None

    def numbers(self, steps: range) -> list[int]:
        """Numbers of the parts that this process takes in a range of steps, in order."""
        own = range(self.parts) if self.own_parts is None else self.own_parts
        return [step * self.parts + part for step in steps for part in own]

    def begins(self, step: int) -> bool:
        """Whether a step's samples are the first of their sequences, so that nothing is to be remembered."""
        return step % self.sequence_ticks == 0


class TrainingBatches(Dataset[TrainingBatch]):
    """The parts of a run's batches by number, `step * parts + part`; opened anew in whichever process reads it."""

    def __init__(self, source: BatchSource) -> None:
        self._source = source
        self._shards: ShardSet | None = None
        self._sequences: list[list[int]] = []
        self._order: tuple[int, np.ndarray] | None = None

    def __getitem__(self, number: int) -> TrainingBatch:
        source = self._source
        size = source.batch_size // source.parts
        step, part = divmod(number, source.parts)
        block, place = divmod(step, source.sequence_ticks)
        first = block * source.batch_size + part * size
        ticks, rngs = [], []
        for sequence in range(first, first + size):
            rng = np.random.default_rng([source.seed, TICK, sequence, place])
            ticks.append(self._augmented(self._index_at(sequence, place), sequence, rng))
            rngs.append(rng)
        config = source.batch_config
        if source.pictures_only:
            config = config.model_copy(update={"lift_heights_m": ()})
        batch = make_batch(ticks, config, rngs, jitter_m=source.seed_jitter_m)
        images = recolored(batch.sensors.images, source.augmentation, rngs[0])
        return replace(batch, sensors=replace(batch.sensors, images=images))

    def _augmented(self, index: int, sequence: int, rng: np.random.Generator) -> AugmentedTick:
        shards, config = self._opened(), self._source.augmentation
        tick = shards[index]
        if config.stale and index and shards.scene_of(index - 1) == shards.scene_of(index):
            tick = replace(tick, sample=staled(tick.sample, shards[index - 1].sample, config, rng))
        held = np.random.default_rng([self._source.seed, SEQUENCE, sequence])
        if not self._source.pictures_only:
            ready = augmented(tick.sample, tick.truth, config, held)
            return replace(ready, sample=blinked(ready.sample, config, rng))
        every = config.model_copy(update={"drop_modalities": 0.0})
        ready = augmented(tick.sample, tick.truth, every, held)
        return replace(ready, sample=restricted(ready.sample, ("camera",)))

    def _opened(self) -> ShardSet:
        if self._shards is None:
            self._shards = ShardSet(self._source.folder, self._source.scenes)
            self._sequences = _sequences(self._shards, self._source)
        return self._shards

    def _index_at(self, sequence: int, place: int) -> int:
        """Every sequence once an epoch, in an order of that epoch's own."""
        self._opened()
        epoch, position = divmod(sequence, len(self._sequences))
        if self._order is None or self._order[0] != epoch:
            rng = np.random.default_rng([self._source.seed, ORDER, epoch])
            self._order = epoch, rng.permutation(len(self._sequences))
        return self._sequences[int(self._order[1][position])][place]


def check_source(source: BatchSource) -> None:
    """Find out here what would otherwise end a loading process.

    Raises:
        InputError: Shards are missing, or no scene is as long as a sequence.

    """
    _sequences(ShardSet(source.folder, source.scenes), source)


def _sequences(shards: ShardSet, source: BatchSource) -> list[list[int]]:
    """The sequences into which rows of ticks are cut; what is left at the end of a row is not used.

    Raises:
        InputError: No row is so long.

    """
    length, rows = source.sequence_ticks, rows_of(shards, source.memory)
    cut = [row[first : first + length] for row in rows for first in range(0, len(row) - length + 1, length)]
    if not cut:
        raise InputError(
            where=str(source.folder),
            got=f"scenes of at most {max(map(len, rows))} ticks with truth, {min(source.memory.lags_s):g} s apart",
            expected=f"one of {length} ticks, as training.sequence_ticks asks for",
            remedy="make longer scenes, or set training.sequence_ticks lower",
        )
    return cut


def batches_from(source: BatchSource, steps: range, *, workers: int) -> Iterator[TrainingBatch]:
    """A process's parts of the batches of a range of steps, in order, made ahead by so many others (0: on the spot).

    The processes are spawned and have one thread each; batches are the same for any number of them.
    """
    if workers == 0 or not steps:
        dataset = TrainingBatches(source)
        return (dataset[number] for number in source.numbers(steps))
    loader = DataLoader(
        _WithErrors(TrainingBatches(source)),
        batch_size=None,
        sampler=source.numbers(steps),
        num_workers=workers,
        collate_fn=_as_it_is,
        worker_init_fn=_leave_group,
        multiprocessing_context="spawn",
        prefetch_factor=3,
    )
    return _raised(iter(loader))


class _WithErrors(Dataset[TrainingBatch | InputError]):
    """Batches, and in place of one that cannot be made the user's mistake: raised here, it would lose its kind."""

    def __init__(self, batches: TrainingBatches) -> None:
        self._batches = batches

    def __getitem__(self, number: int) -> TrainingBatch | InputError:
        try:
            return self._batches[number]
        except InputError as error:
            return error


def _raised(batches: Iterator[TrainingBatch | InputError]) -> Iterator[TrainingBatch]:
    for batch in batches:
        if isinstance(batch, InputError):
            raise batch
        yield batch


def moved(batches: Iterator[TrainingBatch], device: torch.device) -> Iterator[TrainingBatch]:
    """Batches on a device; to a GPU by another thread, one ahead, while the one before is learned from.

    What fails while a batch is made is raised where that batch is taken.
    """
    if device.type == "cpu":
        yield from batches
        return
    if device.type == "cuda":
        # Which GPU is the current one holds for a thread: of several processes each has its own.
        device = torch.device("cuda", torch.cuda.current_device())
    # The copies are queued on the stream that learns, behind what it does already: no memory is taken too early.
    with ThreadPoolExecutor(max_workers=1) as pool:
        following = pool.submit(_next_on, batches, device)
        while (batch := following.result()) is not None:
            following = pool.submit(_next_on, batches, device)
            yield batch


def _next_on(batches: Iterator[TrainingBatch], device: torch.device) -> TrainingBatch | None:
    batch = next(batches, None)
    return None if batch is None else batch.to(device)


def _leave_group(worker: int) -> None:
    """Ctrl-C, `timeout` and job schedulers end every process of a group; the one that trains ends the others itself."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _as_it_is(batch: Any) -> Any:
    return batch


def make_batch(
    ticks: Sequence[AugmentedTick], config: BatchConfig, rngs: Sequence[np.random.Generator], *, jitter_m: float
) -> TrainingBatch:
    """Tensors of augmented ticks; each generator draws its sample's training seeds."""
    sensors = collate([t.sample for t in ticks], config, [t.transform for t in ticks])
    truth = truth_batch(ticks, sensors.present, range_m=config.range_m)
    noise = torch.zeros(*truth.positive.shape, 2)
    for sample, rng in enumerate(rngs):
        noise[sample] = torch.from_numpy(rng.normal(0, jitter_m, noise.shape[1:]).astype(np.float32))
    seeds, objects = training_seeds(truth, noise, num_cells=config.heatmap_cells, range_m=config.range_m)
    depths = _depths(ticks, sensors.camera_mask, config)
    pictures = picture_targets(sensors, truth, depths, config)
    images, bodies = _with_own_vehicles(ticks, sensors, config)
    return TrainingBatch(
        sensors=replace(sensors, images=images),
        truth=truth,
        seeds=seeds,
        seed_objects=objects,
        depth_targets=torch.where(bodies, UNKNOWN, depths),
        picture_targets=torch.where(bodies, NOTHING, pictures),
    )


def _with_own_vehicles(
    ticks: Sequence[AugmentedTick], sensors: SensorBatch, config: BatchConfig
) -> tuple[Tensor, Tensor]:
    """Pictures with the bodies in them, and which features (B * N * h * w) these cover.

    A sample of which a picture did not decode is left as it is.
    """
    images, slots = sensors.images, sensors.camera_slots.tolist()
    bodies = torch.zeros(*sensors.camera_mask.shape, *config.feature_size, dtype=torch.bool)
    if any(tick.own_vehicle for tick in ticks):
        images = images.clone()
    for sample, tick in enumerate(ticks):
        cameras = tick.sample.cameras
        if len(cameras) != int(sensors.camera_mask[sample].sum()):
            continue
        for number, camera in enumerate(cameras):
            if (body := tick.own_vehicle.get(camera.channel)) is not None:
                image = slots.index(sample * sensors.camera_mask.shape[1] + number)
                images[image] = body.painted(images[image])
                bodies[sample, number] = torch.from_numpy(covered(body, config.feature_size))
    return images, bodies.flatten()


def _depths(ticks: Sequence[AugmentedTick], camera_mask: Tensor, config: BatchConfig) -> Tensor:
    """Depth targets in the order of the batch's camera slots; none for a tick of which a picture did not decode."""
    rows, columns = config.feature_size
    slots = np.full((*camera_mask.shape, rows, columns), UNKNOWN, np.int64)
    for sample, tick in enumerate(ticks):
        cameras = tick.sample.cameras
        if cameras and len(cameras) == int(camera_mask[sample].sum()):
            slots[sample, : len(cameras)] = depth_targets(cameras, tick.lidar_before, config)
    return torch.from_numpy(slots).flatten()


def training_seeds(
    truth: TruthBatch, noise_m: Tensor, *, num_cells: int, range_m: float
) -> tuple[TrainingSeeds, Tensor]:
    """One seed at each positive object's centre plus its noise (B, T, 2); rows of `objects` are those of the truth."""
    cells = cells_of(truth.centers_m[..., :2] + noise_m, num_cells=num_cells, range_m=range_m)
    seeds = TrainingSeeds(cells=cells, classes=truth.class_indices, mask=truth.positive)
    return seeds, torch.arange(cells.shape[1]).expand_as(cells)


def truth_batch(ticks: Sequence[AugmentedTick], present: Tensor, *, range_m: float) -> TruthBatch:
    """Padded truth in each sample's turned frame.

    Args:
        ticks: B ticks.
        present: (B, 3) bool for camera, LiDAR and radar: what decides which objects can be asked for.
        range_m: Half the grid's side; objects outside the grid are left out.

    """
    parts = [turned(tick.truth, tick.transform) for tick in ticks]
    parts = [truth[(np.abs(truth.centers_m[:, :2]) < range_m).all(axis=1)] for truth in parts]
    longest = max(1, *(len(truth) for truth in parts))
    seen = {"positive": [], "ignored": [], "camera_positive": [], "radar_positive": []}
    for truth, (camera, lidar, radar) in zip(parts, present.tolist(), strict=True):
        positive = countable(truth, camera=camera, lidar=lidar, radar=radar)
        seen["positive"].append(positive)
        seen["ignored"].append(~positive)
        seen["camera_positive"].append(countable(truth, lidar=False, radar=False) if camera else positive & False)
        seen["radar_positive"].append(countable(truth, camera=False, lidar=False) if radar else positive & False)
    stacked = {name: _padded(rows, longest) for name, rows in seen.items()}
    velocity = _stacked(parts, "velocities_mps", longest)
    future = _stacked(parts, "futures_m", longest)
    return TruthBatch(
        **stacked,
        class_indices=_stacked(parts, "class_indices", longest),
        centers_m=_stacked(parts, "centers_m", longest),
        sizes_m=_stacked(parts, "sizes_m", longest, fill=1.0),
        yaws_rad=_stacked(parts, "yaws_rad", longest),
        velocities_mps=torch.nan_to_num(velocity),
        velocity_known=torch.isfinite(velocity).all(dim=-1),
        futures_m=torch.nan_to_num(future),
        future_known=torch.isfinite(future).all(dim=-1),
    )


def _stacked(parts: Sequence[TickTruth], name: str, rows: int, fill: float = 0.0) -> Tensor:
    return _padded([getattr(truth, name) for truth in parts], rows, fill)


def _padded(parts: Sequence[np.ndarray], rows: int, fill: float = 0.0) -> Tensor:
    """Stack arrays (T_i, ...) to (B, rows, ...)."""
    out = np.full((len(parts), rows, *parts[0].shape[1:]), fill, parts[0].dtype)
    for index, part in enumerate(parts):
        out[index, : len(part)] = part
    return torch.from_numpy(out)
