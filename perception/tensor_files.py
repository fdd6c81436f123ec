"""Files of tensors that have their name only when they are whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError

from tricast.configs.disk import partial_of, writing


def write_tensors(path: Path, save: Callable[[Path], None]) -> None:
    """Have a safetensors file written, readable by whoever may read other files that the user makes.

    Args:
        path: The file, which is replaced once the new one is on disk.
        save: Writes it under another name.

    Raises:
        InputError: The disk is full, or takes no more for another reason.

    """
    partial = partial_of(path)
    with writing(path, SafetensorError):
        partial.unlink(missing_ok=True)
        partial.touch()
        allowed = partial.stat().st_mode & 0o777
        save(partial)
        partial.chmod(allowed)  # safetensors makes files that only their owner may read
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
