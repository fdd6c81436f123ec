"""Settings of a training run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from tricast.configs.strict import StrictConfig
from tricast.perception.losses.criterion import LossConfig
from tricast.perception.model import ModelConfig
from tricast.perception.training.augmentation import AugmentationConfig


class OptimizerConfig(StrictConfig):
    """AdamW with warm-up and cosine, and the average of weights that is shipped."""

    learning_rate: float = Field(default=2e-3, gt=0)
    final_share: float = Field(default=0.01, ge=0, le=1)
    """Of the learning rate, at the last planned sample."""
    warmup_samples: int = Field(default=1000, ge=0)
    weight_decay: float = Field(default=0.01, ge=0)
    """Of matrices, kernels and embeddings; biases and norms have none."""
    clip_norm: float = Field(default=10.0, gt=0)
    ema_decay: float = Field(default=0.998, ge=0, lt=1)


class ValidationConfig(StrictConfig):
    """How a run is watched."""

    every_samples: int = Field(default=4000, ge=1)
    ticks: int = Field(default=72, ge=1)
    """With all sensors, spread over the validation scenes."""
    subset_ticks: int = Field(default=24, ge=0)
    """With each smaller subset of modalities."""


class TrainingConfig(StrictConfig):
    """One stage of training."""

    seed: int = Field(default=0, ge=0)
    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["float32", "bfloat16"] = "float32"
    """`bfloat16` has the dense part of the network compute in it: a quarter faster on CPUs that have such instructions
    (AVX512_BF16), more on GPUs, slower elsewhere. Weights stay in single precision, and so does validation."""
    threads: int = Field(default=2, ge=1, le=256)
    loading_processes: int = Field(default=1, ge=0, le=64)
    """0 makes batches between steps; batches are the same for any number."""
    objective: Literal["everything", "pictures", "contrastive"] = "everything"
    """`pictures` trains the camera encoder alone on what its features see and how far away it is: a third of the cost
    of a sample, and a start for a stage with everything. `contrastive` trains the encoders of all sensors on that and
    on telling which ticks of different sensors belong together: it needs `model.alignment.width`, and no modality is
    dropped."""
    heads_only: bool = False
    """`contrastive` only: the heads alone learn, so that weights of another stage get them and stay as they are."""
    batch_size: int = Field(default=4, ge=1)
    parts: int = Field(default=1, ge=1)
    """Each batch is learned from in so many equal parts, with losses and statistics of their own, whose gradients are
    averaged. The processes of `torchrun` share the parts; if this is 1, each of them takes one."""
    sequence_ticks: int = Field(default=1, ge=1, le=1000)
    """Batches follow scenes through so many ticks, and the network remembers the earlier ones (without gradient); 1
    takes single ticks. A run ends and is saved between sequences only."""
    max_samples: int = Field(default=45_000, ge=1)
    """Planned length: the cosine ends here."""
    log_every_steps: int = Field(default=50, ge=1)
    checkpoint_minutes: float = Field(default=5.0, gt=0)
    denoising: bool = True
    """Extra queries that begin near true centres, in training alone; without them only peaks or learned places are
    learned from. Batches are the same either way."""
    seed_jitter_m: float = Field(default=0.4, ge=0)
    """How far the extra queries of `denoising` lie from true centres, a standard deviation."""
    optimizer: OptimizerConfig = OptimizerConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    loss: LossConfig = LossConfig()
    validation: ValidationConfig = ValidationConfig()


class WorldScenes(StrictConfig):
    """Scenes of a synthetic world that a run learns from and is watched on; ranges are half open and may be empty."""

    world: str = "standard"
    train_seeds: tuple[int, int] = (0, 600)
    validation_seeds: tuple[int, int] = (100_200, 100_230)

    @property
    def folder(self) -> str:
        """What its shards lie under: the name of a packaged world, or of a world's file without its ending."""
        return Path(self.world).stem


class TrainingDataConfig(StrictConfig):
    """The worlds that a run learns from; scenes of all of them are mixed."""

    worlds: tuple[WorldScenes, ...] = (WorldScenes(),)

    @model_validator(mode="after")
    def _apart(self) -> TrainingDataConfig:
        folders = [scenes.folder for scenes in self.worlds]
        if len(folders) == 0 or len(set(folders)) < len(folders):
            raise ValueError(f"data.worlds must name one world or several different ones, got {folders}")
        if all(scenes.train_seeds[0] == scenes.train_seeds[1] for scenes in self.worlds):
            raise ValueError("data.worlds has no scenes to learn from: the train_seeds of every world are empty")
        return self


class TrainingRunConfig(StrictConfig):
    """Everything that a run is made of: what `tricast train --config` reads."""

    model: ModelConfig = ModelConfig()
    data: TrainingDataConfig = TrainingDataConfig()
    training: TrainingConfig = TrainingConfig()

    @model_validator(mode="after")
    def _heads_to_align(self) -> TrainingRunConfig:
        if self.training.objective == "contrastive" and not self.model.alignment.width:
            raise ValueError(
                "training.objective 'contrastive' needs heads: set model.alignment.width, to 128 for instance"
            )
        if self.training.objective == "contrastive" and self.training.parts > 1:
            raise ValueError(
                "training.objective 'contrastive' compares all samples of a batch: set training.parts to 1"
            )
        if self.training.heads_only and self.training.objective != "contrastive":
            raise ValueError("training.heads_only is for training.objective 'contrastive'")
        return self
