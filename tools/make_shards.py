"""Training shards: `python -m tricast.tools.make_shards --out DIR (LOG... | --seeds A B [--world W])`.

Logs with truth, or scenes of a synthetic world rendered on the spot, become one shard each; scenes that are already
there are left alone, so that the command can be run again to add more.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tricast.configs.errors import InputError
from tricast.perception.streaming.tick_source import ticks
from tricast.perception.tick_sample import SampleConfig
from tricast.perception.training.shards import ShardWriter, synchronizer_for
from tricast.perception.undecoded_pictures import UndecodedPictures
from tricast.sensors.log.nuscenes import is_nuscenes, scene_logs, scene_names
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.stream import DrivingLog, Losses
from tricast.sensors.synchronization import Synchronizer
from tricast.sensors.synthetic.drive import EPOCH_NS, SyntheticDrive
from tricast.sensors.synthetic.world_config import WorldConfig, load_world
from tricast.sensors.worker_pool import each_done
from tricast.tools.progress import counted
from tricast.tools.user_input import mistakes_in_one_line, positive_int

SCENE_S = 6.0
MOST_DETAILS = 5
"""Of a damaged log, that are told one by one."""
WORLD_SOURCE = "synthetic world"
"""How the source of shards of a world begins."""


RECORDED = "logs, with unknown counts made up for, sweeps by time and thinned over all beams"
"""Source of the shards of logs that are not scenes of a world; the words change with what is made of a log."""


def shards_of_logs(logs: list[Path], folder: Path, config: SampleConfig, *, source: str) -> int:
    """Make the shards of logs that are missing in a folder, each named as its log; those of nuScenes as its scenes.

    Returns:
        Shards made.

    Raises:
        InputError: A log cannot be read or has no truth, two have one name, or the folder holds shards of something
            else or of another log of that name.

    """
    _check_names(logs)
    writer, made = ShardWriter(folder, source=source, config=config), 0
    for path in logs:
        for name, log in _scenes(path, writer):
            synchronizer = Synchronizer(log.rig, synchronizer_for(config), origin_ns=log.start_ns)
            undecoded, size = UndecodedPictures(), path.stat().st_size if path.is_file() else None
            if not writer.write(name, ticks(log.messages(), synchronizer), undecoded=undecoded, log_bytes=size):
                raise InputError(
                    where=str(path),
                    got="no tick with truth" + ("" if name == path.stem else f" in '{name}'"),
                    expected="a log with annotations, as 'tricast info' counts them",
                    remedy="leave it out, or add truth: docs/logs.md",
                )
            _tell_losses(path, log.losses.with_undecoded(undecoded.by_channel()))
            made += 1
    return made


def _tell_losses(path: Path, losses: Losses) -> None:
    for detail in losses.details[:MOST_DETAILS]:
        where = "" if str(path) in detail else f"{path}: "
        print(f"tricast: warning: {where}{detail}", file=sys.stderr)
    if (more := len(losses.details) - MOST_DETAILS) > 0:
        print(f"tricast: warning: {path}: {more} more of these; {losses.total} messages lost in all", file=sys.stderr)


def _check_names(logs: list[Path]) -> None:
    """Shards are known by their names, so that one of two logs of the same name would be left out."""
    known: dict[str, Path] = {}
    for path in logs:
        for name in names_of_scenes(path):
            if name in known:
                raise InputError(
                    where=str(path),
                    got=f"another log called '{name}', beside {known[name]}",
                    expected="logs of different names",
                    remedy="rename one of them",
                )
            known[name] = path


def names_of_scenes(path: Path) -> tuple[str, ...]:
    """What the shards of a log are called: as the log itself, or as the scenes of a nuScenes directory."""
    return scene_names(path) if is_nuscenes(path) else (path.absolute().stem,)


def _scenes(path: Path, writer: ShardWriter) -> Iterator[tuple[str, DrivingLog]]:
    """The scenes of a log that have no shard yet."""
    if is_nuscenes(path):
        yield from scene_logs(path, wanted=lambda name: not writer.has(name))
    else:
        (name,) = names_of_scenes(path)
        if writer.has(name):
            writer.check_log(name, path)
        else:
            yield name, open_log(path)


def shards_of_world(world: WorldConfig, seeds: range, folder: Path, config: SampleConfig, *, workers: int = 1) -> int:
    """Render the scenes of a world that are missing in a folder, one per seed with a rig of its own.

    Args:
        world: Which.
        seeds: Of the scenes.
        folder: Made if it is not there.
        config: Sample settings.
        workers: Processes, each at one scene; the shards are the same for any number.

    Returns:
        Shards made.

    Raises:
        InputError: The folder holds shards of something else.

    """
    writer = ShardWriter(folder, source=world_source(world), config=config)
    missing = [seed for seed in seeds if not writer.has(f"{seed:06d}")]
    if not missing:
        return 0
    print(f"rendering {len(missing)} scenes of {SCENE_S:g} s into {folder}", file=sys.stderr)
    jobs = [(world, seed, folder, config) for seed in missing]
    return counted(each_done(_shard_of_scene, jobs, workers), len(missing))


def _shard_of_scene(world: WorldConfig, seed: int, folder: Path, config: SampleConfig) -> None:
    drive = SyntheticDrive(world, [seed], SCENE_S, sparse=True)
    synchronizer = Synchronizer(drive.rig, synchronizer_for(config), origin_ns=EPOCH_NS)
    writer = ShardWriter(folder, source=world_source(world), config=config)
    writer.write(f"{seed:06d}", ticks(drive.messages(), synchronizer))


def world_source(world: WorldConfig) -> str:
    """What shards of a world call their source."""
    digest = hashlib.sha256(world.recipe().encode()).hexdigest()[:16]
    return f"{WORLD_SOURCE}, version {world.version}, digest {digest}, scenes of {SCENE_S:g} s"


@mistakes_in_one_line
def main(arguments: Sequence[str] | None = None) -> int:
    """Make shards and say how many; 0 done, 2 the input is at fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", type=Path, nargs="*")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs=2, metavar=("A", "B"))
    parser.add_argument("--world", default="standard")
    parser.add_argument(
        "--logs-of-world", action="store_true", help="the logs are scenes of that world, one per seed, named by it"
    )
    parser.add_argument(
        "--workers",
        type=positive_int,
        default=os.cpu_count() or 1,
        help="processes that render; the shards are the same",
    )
    made = _made(args := parser.parse_args(arguments))
    print(f"{made} shards made in {args.out}")
    return 0


def _made(args: argparse.Namespace) -> int:
    if not args.logs and not args.seeds:
        raise InputError(
            where="arguments", got="no logs and no --seeds", expected="logs with truth, or scenes", remedy="give one"
        )
    if args.seeds and not 0 <= args.seeds[0] < args.seeds[1]:
        raise InputError(
            where="--seeds",
            got=f"{args.seeds[0]} to {args.seeds[1]}",
            expected="a first scene of 0 or more, and an end above it",
            remedy="for the scenes 0 to 9 write --seeds 0 10",
        )
    world, config, made = load_world(args.world), SampleConfig(), 0
    if args.logs:
        source = world_source(world) if args.logs_of_world else RECORDED
        made += shards_of_logs(sorted(args.logs), args.out, config, source=source)
    if args.seeds:
        made += shards_of_world(world, range(*args.seeds), args.out, config, workers=args.workers)
    return made


if __name__ == "__main__":
    sys.exit(main())
