"""The training loop: steps, curves, checkpoints and validation of one run, exact to resume."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from tricast.configs.errors import InputError
from tricast.perception.kept_memory import KEPT_IN_TRAINING_BYTES, keep_freed_memory
from tricast.perception.model import Network
from tricast.perception.model_weights import copy_weights, read_tensors, save_weights
from tricast.perception.precision import use_half
from tricast.perception.query_memory import QueryMemory
from tricast.perception.training.augmentation import AugmentationConfig
from tricast.perception.training.batches import BatchSource, TrainingBatch, batches_from, check_source, moved
from tricast.perception.training.checkpoint import Progress, check_settings, load_checkpoint, save_checkpoint
from tricast.perception.training.config import TrainingConfig, TrainingRunConfig
from tricast.perception.training.curves import Curve, tensorboard_writer
from tricast.perception.training.interval import Interval
from tricast.perception.training.optimization import AveragedModel, learning_rate, make_optimizer
from tricast.perception.training.processes import ALONE, Processes
from tricast.perception.training.shards import ShardSet
from tricast.perception.training.step import LossOfNetwork, backward
from tricast.perception.training.validation import validate

CHECKPOINT, WEIGHTS = "checkpoint.safetensors", "weights.safetensors"
METER_EVERY_STEPS = 5


class NonFiniteLossError(InputError):
    """A loss or gradient is NaN or infinite; the message holds the table of losses."""


class Trainer:
    """One run in one folder.

    Args:
        config: Everything that determines the run.
        out: Run directory: `checkpoint.safetensors`, `weights.safetensors`, `train.csv`, `validation.csv`.
        folder: Shards to learn from.
        scenes: Names of the scenes to use.
        validation: Ticks to be watched on; None watches nothing.
        resume: Go on from the folder's checkpoint.
        report: Told one line now and then.
        processes: Those that train together; the first one writes and reports.

    Raises:
        InputError: The checkpoint cannot be resumed, shards are missing or shorter than a sequence, or a batch cannot
            be shared so.

    """

    def __init__(
        self,
        config: TrainingRunConfig,
        out: Path,
        *,
        folder: Path,
        scenes: tuple[str, ...],
        validation: ShardSet | None = None,
        resume: bool = False,
        report: Callable[[str], None] = print,
        processes: Processes = ALONE,
    ) -> None:
        settings = config.training
        self._config, self._out, self._validation, self._processes = config, out, validation, processes
        self._report = report if processes.first else _silent
        parts = _checked_parts(settings, processes)
        self._device = torch.device(settings.device)
        torch.manual_seed(settings.seed)
        self.model = Network(config.model).to(self._device).train()
        if settings.heads_only:
            assert self.model.alignment is not None, "checked by the configuration"
            self.model.eval().requires_grad_(False)
            self.model.alignment.train().requires_grad_(True)
        self.average: AveragedModel[Network] = AveragedModel(self.model, settings.optimizer.ema_decay)
        if settings.precision == "bfloat16":
            use_half(self.model, torch.bfloat16, self._device)
        self.optimizer = make_optimizer(self.model, settings.optimizer)
        self.progress = Progress()
        self.validated_step: int | None = None
        self._source = BatchSource(
            folder=folder,
            scenes=scenes,
            batch_size=settings.batch_size,
            seed=settings.seed,
            batch_config=config.model.batch,
            augmentation=_augmentation(settings),
            seed_jitter_m=settings.seed_jitter_m,
            memory=config.model.memory,
            sequence_ticks=settings.sequence_ticks,
            pictures_only=settings.objective == "pictures",
            parts=parts,
            own_parts=tuple(range(processes.rank, parts, processes.count)),
        )
        check_source(self._source)
        self._loss = processes.wrapped(LossOfNetwork(self.model, config))
        self._memories = [QueryMemory() for _ in self._source.numbers(range(1))]
        if resume:
            self.progress = load_checkpoint(
                out / CHECKPOINT,
                model=self.model,
                average=self.average,
                optimizer=self.optimizer,
                config=self._binding(),
                defaults=DEFAULTS,
            )
        if not processes.first:
            return
        board = tensorboard_writer(out / "tensorboard")
        kept = self.progress.step if resume else None
        self._train_curve = Curve(out / "train.csv", resume_step=kept, board=board)
        self._validation_curve = Curve(out / "validation.csv", resume_step=kept, board=board)

    def start_from(self, path: Path, *, part: str = "") -> None:
        """Take the weights of an earlier stage as the start of this one.

        Of a network of another shape, whatever has the same name and shape is taken, and the rest is reported.

        Args:
            path: The file.
            part: Only what has a name that begins so.

        Raises:
            InputError: The file does not hold weights of such a network.

        """
        taken, own = read_tensors(path), self.model.state_dict()
        own_part = {name: value for name, value in own.items() if name.startswith(part)}
        fitting = {n: value for n, value in taken.items() if n in own_part and value.shape == own[n].shape}
        if len(fitting) < len(own_part):
            fresh = sorted(set(own_part) - set(fitting))
            self._report(
                f"{len(fitting)} of {len(own_part)} tensors from {path}; {len(fresh)} start anew, e.g. {fresh[0]}"
            )
        copy_weights(self.model, {**own, **fitting}, path)
        copy_weights(self.average.model, {**own, **fitting}, path)

    def run(self, *, minutes: float | None = None, stop: Callable[[], bool] = lambda: False) -> bool:
        """Train until the planned samples are seen, the minutes are over, or `stop` says so; then leave a checkpoint.

        Returns:
            Whether the planned samples were seen.

        Raises:
            NonFiniteLossError: A loss or gradient is not finite.

        """
        settings = self._config.training
        began_s, earlier_s, saved_s = time.monotonic(), self.progress.seconds, time.monotonic()
        # To the end of a sequence: a run is saved between sequences only, and may be resumed with a longer plan.
        in_sequence = settings.batch_size * settings.sequence_ticks
        last_step = -(-settings.max_samples // in_sequence) * settings.sequence_ticks
        interval = Interval()
        keep_freed_memory(KEPT_IN_TRAINING_BYTES)
        with _reproducible(settings.threads, self._device):
            steps = range(self.progress.step, last_step)
            batches = moved(batches_from(self._source, steps, workers=settings.loading_processes), self._device)
            while self.progress.step < last_step:
                now_s = time.monotonic()
                self.progress.seconds = earlier_s + now_s - began_s
                between = self._source.begins(self.progress.step)
                over = between and (stop() or (minutes is not None and now_s - began_s >= 60 * minutes))
                if self._processes.any(over, self._device):
                    break
                if between and now_s - saved_s >= 60 * settings.checkpoint_minutes:
                    self.save()
                    saved_s = time.monotonic()
                self._step([self._next(batches, interval) for _ in self._source.numbers(range(1))], interval)
                # Also at the end, so that a run of a few steps has a curve too.
                if self.progress.step % settings.log_every_steps == 0 or self.progress.step == last_step:
                    self._log(interval)
                    interval = Interval()
                if self._validation_due():
                    validation_s = time.monotonic()
                    self.validate()
                    interval.began_s += time.monotonic() - validation_s  # no sample's time
            self.progress.seconds = earlier_s + time.monotonic() - began_s
        self.save()
        return self.progress.step >= last_step

    def save(self) -> None:
        """Write the checkpoint, and the averaged weights as they would be shipped."""
        if not self._processes.first:
            return
        save_checkpoint(
            self._out / CHECKPOINT,
            model=self.model,
            average=self.average,
            optimizer=self.optimizer,
            progress=self.progress,
            config=self._binding(),
        )
        save_weights(self._out / WEIGHTS, self.average.model, notes={"samples": str(self.progress.samples)})

    def validate(self) -> dict[str, float]:
        """Score the averaged weights on the validation ticks and add a row to the curve."""
        if self._validation is None or not self._processes.first:
            return {}
        figures = validate(self.average.model, self._validation, self._config, self._device)
        self.validated_step = self.progress.step
        self._validation_curve.add(self.progress.step, {"samples": self.progress.samples, **figures})
        headlines = {name: value for name, value in figures.items() if name.startswith(("mAP", "picture", "recall"))}
        shown = ", ".join(f"{name} {value:.3f}" for name, value in headlines.items())
        self._report(f"{self.progress.samples} samples, validation: {shown}")
        return figures

    def _binding(self) -> dict[str, Any]:
        """What a resumed run must share with its beginning; its planned length and its watching may change."""
        return _binding(self._config, self._source.folder, self._source.scenes, self._source.parts)

    def _validation_due(self) -> bool:
        every, size = self._config.training.validation.every_samples, self._config.training.batch_size
        return self.progress.samples // every > (self.progress.samples - size) // every

    def _next(self, batches: Iterator[TrainingBatch], interval: Interval) -> TrainingBatch:
        began_s = time.monotonic()
        batch = next(batches)
        interval.waiting_s += time.monotonic() - began_s
        return batch

    def _step(self, parts: Sequence[TrainingBatch], interval: Interval) -> None:
        settings = self._config.training
        rate = learning_rate(self.progress.samples, settings.max_samples, settings.optimizer)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        if self._source.begins(self.progress.step):
            self._memories = [QueryMemory() for _ in parts]
        losses = backward(self._loss, parts, self._memories, self._processes)
        self._memories = [memory for _, _, memory in losses]
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.optimizer.clip_norm)
        for _, table, _ in losses:
            if not torch.isfinite(table.total + norm):
                raise NonFiniteLossError(
                    where=f"training, step {self.progress.step}, {self.progress.samples} samples",
                    got=f"gradient norm {float(norm):.4g} and losses of {table.describe()}",
                    expected="finite ones",
                    remedy="lower training.optimizer.learning_rate, and begin another run from what was saved before",
                )
        self.optimizer.step()
        if self.model.alignment is not None:
            self.model.alignment.cut_scale()
        self.average.update(self.model, self.progress.step)
        self.progress.step += 1
        self.progress.samples += settings.batch_size
        interval.add([table for _, table, _ in losses], norm.detach())
        if self.progress.step % METER_EVERY_STEPS == 0:
            for batch, (outputs, table, _) in zip(parts, losses, strict=True):
                if outputs is not None:
                    interval.meter.add(outputs, table, batch.truth, range_m=self._config.model.batch.range_m)

    def _log(self, interval: Interval) -> None:
        settings = self._config.training
        seconds = time.monotonic() - interval.began_s
        samples = interval.steps * settings.batch_size
        rate = learning_rate(self.progress.samples, settings.max_samples, settings.optimizer)
        losses = self._processes.means(interval.means(), self._device)
        if not self._processes.first:
            return
        means = {name: float(value) for name, value in losses.items()}
        figures = {
            "samples": self.progress.samples,
            "seconds": self.progress.seconds,
            "learning_rate": rate,
            "ms_per_sample": 1000 * seconds / samples,
            "waiting_ms_per_sample": 1000 * interval.waiting_s / samples,
            **means,
            **interval.meter.figures(),
        }
        self._train_curve.add(self.progress.step, figures)
        watched = "heatmap" if "heatmap" in means else "picture"
        self._report(
            f"{self.progress.samples} samples, {self.progress.seconds / 60:.1f} min, "
            f"{figures['ms_per_sample']:.0f} ms a sample ({figures['waiting_ms_per_sample']:.0f} waiting), "
            f"loss {means['loss']:.3f}, {watched} {means[watched]:.3f}"
        )


def _bound_settings(config: TrainingRunConfig) -> dict[str, Any]:
    """Settings that hold from the beginning of a run to its end."""
    training = config.training.model_dump(mode="json")
    free = ("max_samples", "log_every_steps", "checkpoint_minutes", "validation", "loading_processes")
    kept = {name: value for name, value in training.items() if name not in free}
    return {"model": config.model.model_dump(mode="json"), "training": kept}


DEFAULTS = _bound_settings(TrainingRunConfig())


def _binding(config: TrainingRunConfig, folder: Path, scenes: Sequence[str], parts: int) -> dict[str, Any]:
    bound, shards = _bound_settings(config), {"folder": folder.name, "scenes": list(scenes)}
    return {**bound, "training": {**bound["training"], "parts": parts}, "shards": shards}


def check_goes_on(
    out: Path, config: TrainingRunConfig, folder: Path, scenes: Sequence[str], processes: Processes = ALONE
) -> None:
    """Find out whether a run may go on so, before shards are made for it; arguments as of `Trainer`.

    Raises:
        InputError: Its checkpoint cannot be read, or it began with other settings.

    """
    bound = _binding(config, folder, scenes, _checked_parts(config.training, processes))
    check_settings(out / CHECKPOINT, config=bound, defaults=DEFAULTS)


def _silent(line: str) -> None:
    """Say nothing: another process does."""


def _augmentation(settings: TrainingConfig) -> AugmentationConfig:
    """As the settings say; where sensors are to be aligned, none of them is taken away."""
    if settings.objective != "contrastive":
        return settings.augmentation
    return settings.augmentation.model_copy(update={"drop_modalities": 0.0, "blink": 0.0})


def _checked_parts(settings: TrainingConfig, processes: Processes) -> int:
    """Into how many parts batches are cut: as the settings say, or one for every process."""
    if settings.objective == "contrastive" and processes.count > 1:
        raise InputError(
            where="training.objective",
            got=f"'contrastive' in {processes.count} processes",
            expected="one process, which compares all samples of a batch",
            remedy="start it without torchrun",
        )
    parts = processes.count if settings.parts == 1 else settings.parts
    if settings.batch_size % parts or parts % processes.count:
        raise InputError(
            where="training.batch_size and training.parts",
            got=f"{settings.batch_size} samples in {parts} parts for {processes.count} processes",
            expected="as many samples in every part, as many parts for every process",
            remedy="choose multiples of the number of processes",
        )
    return parts


@contextmanager
def _reproducible(threads: int, device: torch.device) -> Iterator[None]:
    """A fixed count of threads, and on a CPU only algorithms that give the same bits every time."""
    before_threads, before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(device.type == "cpu")
    # Nothing reads memory that it has not written; filling all of it first is a tenth of a step.
    memory: Any = torch.utils.deterministic  # its property is unknown to type checkers
    fill, memory.fill_uninitialized_memory = memory.fill_uninitialized_memory, False
    try:
        yield
    finally:
        memory.fill_uninitialized_memory = fill
        torch.set_num_threads(before_threads)
        torch.use_deterministic_algorithms(before)
