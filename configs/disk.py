"""What the disk says while files are written, told as the user's to mend."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tricast.configs.errors import InputError


@contextmanager
def writing(path: Path) -> Generator[None]:
    """While a file is written.

    Raises:
        InputError: The disk is full, or takes no more for another reason.

    """
    try:
        yield
    except OSError as error:
        raise InputError(
            where=str(path),
            got=error.strerror or str(error),
            expected="a disk that takes the whole file",
            remedy="make room or choose another place; what was written so far has names that end in .partial",
        ) from error
