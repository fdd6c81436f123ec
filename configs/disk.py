"""What the disk says while files are written, told as the user's to mend."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tricast.configs.errors import InputError


def partial_of(path: Path) -> Path:
    """The name of a file until it is whole."""
    return path.with_name(path.name + ".partial")


@contextmanager
def writing(path: Path, *kinds: type[Exception]) -> Generator[None]:
    """While a file is written.

    Args:
        path: The file; what is written of it is called as `partial_of` says until it is whole.
        kinds: Errors besides OSError by which whatever writes it tells of the disk.

    Raises:
        InputError: The disk is full, or takes no more for another reason.

    """
    try:
        yield
    except (OSError, *kinds) as error:
        raise InputError(
            where=str(path),
            got=getattr(error, "strerror", None) or str(error),
            expected="a disk that takes the whole file",
            remedy="make room or choose another place; what was written so far has names that end in .partial",
        ) from error
