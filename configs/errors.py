"""The base of every error that is the user's to mend."""

from __future__ import annotations

from typing import Any


class InputError(ValueError):
    """What the user gave cannot be used; the message is complete in itself.

    Every command turns this error into one line on stderr and exit code 2.

    Args:
        where: The file, channel, argument or setting at fault, as exactly as is known.
        got: What was found there.
        expected: What would have been right.
        remedy: What the user can do about it.

    """

    def __init__(self, *, where: str, got: str, expected: str, remedy: str) -> None:
        self.where, self.got, self.expected, self.remedy = where, got, expected, remedy
        super().__init__(f"{where}: got {got}; expected {expected}; {remedy}")

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors of a worker process are pickled on their way, by default as a call with the message alone.
        return _made, (type(self), self.where, self.got, self.expected, self.remedy)


class ConfigError(InputError):
    """A configuration holds an unknown key or a value out of its range."""


def _made(kind: type[InputError], where: str, got: str, expected: str, remedy: str) -> InputError:
    return kind(where=where, got=got, expected=expected, remedy=remedy)
