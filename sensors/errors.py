"""Errors about sensor data, each naming what, where, got, expected and the remedy."""

from __future__ import annotations

from tricast.configs.errors import InputError


class SensorDataError(InputError):
    """A sensor message has a wrong shape, type or value."""


class CalibrationError(InputError):
    """A calibration is missing, malformed or physically impossible."""


class LogError(InputError):
    """A log is missing, unreadable, damaged beyond use or of an unknown kind."""


def cause_of(error: Exception) -> str:
    """What an error says where another one tells of it: what was found, without where and what to do a second time."""
    if isinstance(error, LogError | CalibrationError):
        return error.got
    if isinstance(error, InputError):
        return f"{error.where}: {error.got}"
    return f"{type(error).__name__}: {error}"
