"""What tools share about what the user gives them: options checked as they are parsed, mistakes told in one line."""

from __future__ import annotations

import argparse
import functools
import math
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

from tricast.configs.errors import InputError

P = ParamSpec("P")


def positive_int(text: str) -> int:
    """A whole number of 1 or more, as `type=` of an option.

    Raises:
        argparse.ArgumentTypeError: It is something else; the parser says of which option, and ends with 2.

    """
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}; expected 1 or more")
    return number


def positive_float(text: str) -> float:
    """A number above 0, as `type=` of an option.

    Raises:
        argparse.ArgumentTypeError: It is something else; the parser says of which option, and ends with 2.

    """
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not (number > 0 and math.isfinite(number)):
        raise argparse.ArgumentTypeError(f"got {text!r}; expected more than 0")
    return number


def file_to_write(path: Path, option: str) -> Path:
    """The same path, of a file that can be written once the work is done; its folder is made where it is missing.

    Raises:
        InputError: It is a folder, or its folder cannot be written.

    """
    from tricast.perception.streaming.replay import check_writable

    if path.is_dir():
        raise InputError(where=option, got=f"the folder {path}", expected="a file", remedy="add the file's name")
    check_writable(path.parent, option)
    return path


def interrupted(program: str) -> int:
    """Say that a program ends by Ctrl-C, and give its exit code; another one ends it whatever it is still at."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    start = "\r\033[K" if sys.stderr.isatty() else ""  # over a line of progress
    print(f"{start}{program}: stopped by Ctrl-C", file=sys.stderr)
    return 130


def mistakes_in_one_line(main: Callable[P, int]) -> Callable[P, int]:
    """A tool's `main` with one line on stderr for an `InputError` (exit code 2) and for Ctrl-C (130)."""
    tool = Path(main.__code__.co_filename).stem

    @functools.wraps(main)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            return main(*args, **kwargs)
        except InputError as error:
            print(f"{tool}: error: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            return interrupted(tool)

    return guarded
