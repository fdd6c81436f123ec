"""Files of results that a live node keeps, written by a thread of their own: a slow or full disk holds up nothing."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from tricast.configs.disk import partial_of
from tricast.perception.outputs import TickResult
from tricast.perception.streaming.replay import check_writable
from tricast.perception.streaming.results_json import ResultsJsonWriter
from tricast.perception.streaming.results_mcap import ResultsMcapWriter
from tricast.perception.streaming.runtime_result import Delivery

MAX_WAITING = 300
"""Results that wait for a slow disk: half a minute's. They hold boxes and futures, no pictures or clouds."""
CLOSE_S = 10.0
"""How long a disk may take nothing, once the files are to be closed."""


class ResultFiles:
    """`results.mcap` and `results.jsonl` of one activation; a context manager.

    A file that lacks a result, for whatever reason, keeps the name of an unfinished one.

    Args:
        out: The run directory.
        logger: Is told what went wrong, each thing once.

    """

    def __init__(self, out: Path, logger: Any) -> None:
        self._out, self._logger = out, logger
        self._files: tuple[_ResultFile, ...] = ()
        self._waiting: deque[tuple[TickResult, Delivery]] = deque()
        self._change = threading.Condition()
        self._closing = self._given_up = False
        self._written = self._left_out = self._failed = 0
        self._thread = threading.Thread(target=self._work, name="tricast-files", daemon=True)

    @property
    def not_written(self) -> int:
        """Results that at least one of the files lacks, as far as is known."""
        return self._left_out + self._failed

    def __enter__(self) -> ResultFiles:
        """Open the files.

        Raises:
            InputError: The run directory cannot be written.

        """
        check_writable(self._out)
        mcap, lines = free_names(self._out)
        with ExitStack() as opening:
            markers = opening.enter_context(ResultsMcapWriter(mcap))
            text = opening.enter_context(ResultsJsonWriter(lines))
            opening.pop_all()  # from here on each is closed by itself: one may fail alone
        self._files = (
            _ResultFile(mcap, markers, markers.write, self._logger),
            _ResultFile(lines, text, lambda tick, _: text.write(tick), self._logger),
        )
        self._logger.info(f"results are written to {mcap} and {lines.name}")
        self._thread.start()
        return self

    def add(self, tick: TickResult, delivery: Delivery) -> None:
        """Take a result; never waits. Where too many wait, the files go without it."""
        with self._change:
            if len(self._waiting) < MAX_WAITING:
                self._waiting.append((tick, delivery))
                self._change.notify_all()
                return
            self._left_out += 1
            first = self._left_out == 1
        if first:
            self._logger.error(f"{self._out}: the disk is too slow: results are left out, the files stay .partial")

    def __exit__(self, kind: type[BaseException] | None, *failure: Any) -> None:
        """Write what waits and close the files; a disk that has stopped taking anything is not waited for."""
        with self._change:
            self._closing = True
            self._given_up = kind is not None
            self._change.notify_all()
        while self._thread.is_alive():
            written = self._written
            self._thread.join(CLOSE_S)
            if self._thread.is_alive() and self._written == written:
                self._give_up()
                return

    def _give_up(self) -> None:
        with self._change:
            self._given_up = True
            waiting = len(self._waiting)
            self._waiting.clear()
            self._left_out += waiting
        self._logger.error(
            f"{self._out}: the disk took nothing for {CLOSE_S:g} s: the files stay .partial, {waiting} results that "
            "waited are left out"
        )

    def _work(self) -> None:
        while True:
            with self._change:
                while not self._waiting and not self._closing:
                    self._change.wait()
                if not self._waiting:
                    break
                tick, delivery = self._waiting.popleft()
            # Each file gets it, whatever became of the others.
            whole = [file.write(tick, delivery) for file in self._files]
            self._failed += not all(whole)
            self._written += 1
        for file in self._files:
            file.close(self._left_out, given_up=self._given_up)


class _ResultFile:
    """One file: written until that fails once, then closed as it is, unfinished by its name.

    Args:
        path: Its name once it is whole.
        writer: Makes it.
        write: Appends a result to it.
        logger: Is told what went wrong.

    """

    def __init__(
        self,
        path: Path,
        writer: ResultsMcapWriter | ResultsJsonWriter,
        write: Callable[[TickResult, Delivery], None],
        logger: Any,
    ) -> None:
        self._path, self._writer, self._write, self._logger = path, writer, write, logger
        self._failed = False
        self._lacks = 0

    def write(self, tick: TickResult, delivery: Delivery) -> bool:
        """Append a result; gives whether that worked."""
        if not self._failed:
            try:
                self._write(tick, delivery)
                return True
            except Exception as error:
                # The disk's, or of a value that cannot be written: what was appended after it would hide a hole.
                self._failed = True
                self._logger.error(f"{error}; nothing more is written to {self._path.name}, all else goes on")
                self._close_unfinished(error)
        self._lacks += 1
        return False

    def close(self, left_out: int, *, given_up: bool) -> None:
        """Close it, whole only if it lacks nothing.

        Args:
            left_out: Results that it was never given.
            given_up: Whether it is not to be whole anyway.

        """
        if not self._failed and (left_out or given_up):
            self._close_unfinished(TimeoutError("results were left out"))
        elif not self._failed:
            try:
                self._writer.__exit__(None, None, None)
            except Exception as error:
                self._logger.error(str(error))
        if (lacks := self._lacks + left_out) and not given_up:
            self._logger.error(f"{partial_of(self._path)} lacks at least {lacks} results")

    def _close_unfinished(self, error: Exception) -> None:
        with suppress(Exception):  # what went wrong first is what is told
            self._writer.__exit__(type(error), error, error.__traceback__)


def free_names(out: Path) -> tuple[Path, Path]:
    """`results.mcap` and `results.jsonl`, with the first number that is free where an earlier activation left some.

    What one that was killed has left unfinished is not written over either.
    """
    numbers = itertools.chain([""], (f".{number}" for number in itertools.count(1)))
    pairs = ((out / f"results{number}.mcap", out / f"results{number}.jsonl") for number in numbers)
    return next(pair for pair in pairs if not any(p.exists() or partial_of(p).exists() for p in pair))
