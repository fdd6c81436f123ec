"""Memory that one tick, or training step, frees is kept for the next one."""

from __future__ import annotations

import ctypes
import sys

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1
"""`M_MMAP_THRESHOLD` and `M_TRIM_THRESHOLD` of glibc's malloc.h."""
LARGEST_BYTES = 32 << 20
"""Larger pieces are asked of the system each time: the most that glibc lets be set."""
KEPT_BYTES = 256 << 20
KEPT_IN_TRAINING_BYTES = (2 << 30) - 1
"""All that mallopt can be told, an `int`."""


def keep_freed_memory(kept_bytes: int = KEPT_BYTES) -> bool:
    """Have the C library keep freed memory in place of giving it back; holds for the process.

    A tick allocates and frees the same megabytes again and again. Given back, each page of them is cleared and mapped
    anew by the kernel at every tick, which in eager mode takes a good part of a tick. Results stay the same.

    Args:
        kept_bytes: How much is kept at most.

    Returns:
        Whether the C library has such settings (glibc, see mallopt(3)); elsewhere nothing changes.

    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(MMAP_THRESHOLD, LARGEST_BYTES)) and bool(mallopt(TRIM_THRESHOLD, kept_bytes))
