"""Pictures at the network's size, decoded by threads of their own while whoever asks for them does other work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from tricast.perception.torch_threads import torch_threads
from tricast.perception.undecoded_pictures import UndecodedPictures
from tricast.sensors.errors import SensorDataError
from tricast.sensors.frames import CameraFrame

Picture = NDArray[np.uint8]


class AwaitedPictures(Protocol):
    """Pictures that may still be on their way."""

    def taken(self) -> list[Picture | None]:
        """All of them in order, (height, width, 3); None for one that does not decode. Asked for once."""
        ...


class PictureDecoder:
    """Decodes and resizes the pictures of ticks, in as many threads as wanted together with the one that asks.

    Decoding and resizing let go of the interpreter, so that they run beside each other and beside NumPy.

    Args:
        threads: With 1 there are no others, and pictures are decoded where `begun` is called.

    Attributes:
        undecoded: Pictures that did not decode.

    """

    def __init__(self, threads: int) -> None:
        self.undecoded = UndecodedPictures()
        self._pool = ThreadPoolExecutor(threads - 1, "tricast-decode") if threads > 1 else None

    def begun(self, images: Sequence[CameraFrame], size_px: tuple[int, int]) -> AwaitedPictures:
        """Have frames decoded at a size (width, height); may be called by several threads at once."""
        if self._pool is None:
            return DecodedPictures([self._decoded(image, size_px) for image in images])
        tasks = [self._pool.submit(self._decoded, image, size_px) for image in images]
        return _SharedPictures([partial(self._decoded, image, size_px) for image in images], tasks)

    def _decoded(self, image: CameraFrame, size_px: tuple[int, int]) -> Picture | None:
        picture = decoded(image, size_px)
        if picture is None:
            self.undecoded.note(image)
        return picture


class DecodedPictures:
    """Pictures that are there; see `AwaitedPictures`."""

    def __init__(self, pictures: list[Picture | None]) -> None:
        self._pictures = pictures

    def taken(self) -> list[Picture | None]:
        """See `AwaitedPictures.taken`."""
        return self._pictures


class _SharedPictures:
    """Pictures that threads of a pool have begun with; the thread that takes them helps."""

    def __init__(self, decode: Sequence[Callable[[], Picture | None]], tasks: Sequence[Future[Picture | None]]) -> None:
        self._decode, self._tasks = decode, tasks

    def taken(self) -> list[Picture | None]:
        """See `AwaitedPictures.taken`."""
        helped: dict[int, Picture | None] = {}
        # From the end, where the pool comes last: a task that it has not begun is taken from it.
        for number in reversed(range(len(self._tasks))):
            if self._tasks[number].cancel():
                helped[number] = self._decode[number]()
        return [helped[n] if n in helped else task.result() for n, task in enumerate(self._tasks)]


def decoded(image: CameraFrame, size_px: tuple[int, int]) -> Picture | None:
    """Pixels (height, width, 3) at a size (width, height); None where the frame does not decode.

    Resized by bilinear interpolation over all that a pixel covers, as Pillow does it in six times as long.
    """
    try:
        pixels = image.pixels(at_least_px=size_px)
    except SensorDataError:
        return None
    if pixels.shape[1::-1] == size_px:
        return pixels
    with torch_threads(1), torch.inference_mode():
        # Copied, as PyTorch warns of what is not to be written to; turned when it has a batch already, which tells it
        # that channels come last, where it leaves them.
        whole = torch.from_numpy(np.array(pixels))[None].permute(0, 3, 1, 2)
        resized = functional.interpolate(whole, size=size_px[::-1], mode="bilinear", antialias=True)
    return resized[0].permute(1, 2, 0).numpy()
