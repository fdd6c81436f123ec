"""The command `tricast`: parses, calls one subcommand, and turns the user's mistakes into one line and exit code 2."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from types import ModuleType
from typing import NoReturn

COMMANDS = {
    "synth": "write a synthetic drive as a log",
    "info": "say what a log holds",
    "replay": "replay a log into boxes, tracks and forecasts",
    "evaluate": "score a detector or a file of results against the truth",
    "benchmark": "measure latency from raw sensor buffers to trajectories",
    "export": "write the network as a graph for other runtimes",
    "submission": "write results in a benchmark's official format",
    "train": "train the network from synthetic drives or logs with truth",
    "calibrate": "make a network's scores probabilities, by temperatures fitted on validation scenes",
    "compare": "set two evaluations side by side",
    "convert": "copy any readable log into a Tricast log",
    "live": "run the pipeline as a ROS 2 node",
    "play": "play a log onto a ROS 2 graph",
    "record": "record a ROS 2 graph into a log",
    "demo": "replay the packaged demo log",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 2 the input is at fault, 1 Tricast is, 130 Ctrl-C."""
    # One thread: NumPy's own threads cost more than they give on arrays of this size, and results stay the same.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Threads of a network that wait for each other soon sleep: libgomp's usual 300,000 rounds of spinning make ticks
    # very slow on a busy machine, none at all makes them half as slow again on an idle one.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    from tricast.configs.errors import InputError
    from tricast.tools.user_input import interrupted

    command_line = sys.argv[1:] if arguments is None else list(arguments)
    try:
        parser, modules = _parser(command_line)
        args = parser.parse_args(command_line)
        return int(modules[args.command].run(args))
    except InputError as error:
        print(f"tricast: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return interrupted("tricast")
    except BrokenPipeError:  # whoever read the output has read enough, as in `tricast info LOG | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception:
        traceback.print_exc()
        return 1


class _OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"tricast: error: {message}; see {self.prog} --help\n")


def _parser(command_line: Sequence[str]) -> tuple[argparse.ArgumentParser, dict[str, ModuleType]]:
    """Parser with the arguments of the one command that was asked for: others are not imported."""
    parser = _OneLineParser(prog="tricast", description="Cameras, LiDARs and radars into tracked boxes with futures.")
    parser.add_argument("--version", action="version", version=f"tricast {version('tricast')}")
    subparsers = parser.add_subparsers(dest="command", required=True)
    modules: dict[str, ModuleType] = {}
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary, description=summary)
        if name in command_line[:1]:
            modules[name] = importlib.import_module(f"tricast.tools.{name}")
            modules[name].add_arguments(subparser)
    return parser, modules


if __name__ == "__main__":
    sys.exit(main())
