"""Synthetic sets named as logs: `standard:test` is the first 40 test seeds, one log and rig each, kept in a cache."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

from tricast.configs.errors import InputError
from tricast.perception.streaming.replay import check_writable
from tricast.sensors.log.writer import LogWriter
from tricast.sensors.synthetic.drive import SyntheticDrive
from tricast.sensors.synthetic.world_config import WorldConfig, load_world
from tricast.sensors.worker_pool import each_done
from tricast.tools.progress import counted

SPLITS = ("train", "validation", "test")
NUM_SCENES = 40
SCENE_S = 10.0


@dataclass(frozen=True, kw_only=True)
class SyntheticSet:
    """The first scenes of one range of a world's seeds.

    Args:
        world_name: Bare name or path of the world.
        world: Its settings.
        split: `train`, `validation` or `test`.
        num_scenes: Scenes, one seed each.

    """

    world_name: str
    world: WorldConfig
    split: str
    num_scenes: int = NUM_SCENES

    @property
    def seeds(self) -> range:
        """The scenes' seeds."""
        first, _ = getattr(self.world.seeds, self.split)
        return range(first, first + self.num_scenes)

    def folder(self, cache: Path) -> Path:
        """Where the set's logs lie: another world, or another length, has another folder."""
        recipe = f"{self.world.recipe()} {SCENE_S}"
        digest = hashlib.sha256(recipe.encode()).hexdigest()[:8]
        return cache / f"{Path(self.world_name).stem}-{self.split}-{digest}"


def named_set(text: str, num_scenes: int | None = None) -> SyntheticSet:
    """The set that a text such as `standard:test` names.

    Raises:
        InputError: It names no world and split, or there are fewer seeds than scenes asked for.

    """
    world_name, _, split = text.rpartition(":")
    if split not in SPLITS:
        raise InputError(
            where=text,
            got=f"{split!r}, and no such file",
            expected=f"a log, or a world and one of {', '.join(SPLITS)}",
            remedy="for the synthetic test set write standard:test",
        )
    world = load_world(world_name)
    first, end = getattr(world.seeds, split)
    count = NUM_SCENES if num_scenes is None else num_scenes
    if not 1 <= count <= end - first:
        raise InputError(
            where="--scenes",
            got=str(count),
            expected=f"1 to {end - first}, the seeds of {text}",
            remedy=f"leave it out for {NUM_SCENES}",
        )
    return SyntheticSet(world_name=world_name, world=world, split=split, num_scenes=count)


def rendered(scenes: SyntheticSet, cache: Path, workers: int) -> list[Path]:
    """Logs of a set, one per seed; those that the cache lacks are rendered first, so that a broken run goes on.

    Args:
        scenes: The set.
        cache: Folder of all sets.
        workers: Processes that render; the logs are the same for any number.

    Raises:
        InputError: The cache cannot be written.

    """
    folder = scenes.folder(cache)
    paths = [folder / f"{seed:06d}.mcap" for seed in scenes.seeds]
    missing = [(seed, path) for seed, path in zip(scenes.seeds, paths, strict=True) if not path.exists()]
    if not missing:
        return paths
    check_writable(folder, "--cache")
    print(f"rendering {len(missing)} scenes of {SCENE_S:g} s into {folder}", file=sys.stderr)
    counted(each_done(render_scene, [(scenes.world, seed, path) for seed, path in missing], workers), len(missing))
    return paths


def render_scene(world: WorldConfig, seed: int, path: Path) -> None:
    """Write the log of one scene."""
    drive = SyntheticDrive(world, [seed], SCENE_S)
    with LogWriter(path, drive.rig) as writer:
        for message in drive.messages():
            writer.write(message)
