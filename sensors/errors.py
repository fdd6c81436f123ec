"""Errors about sensor data, each naming what, where, got, expected and the remedy."""

from __future__ import annotations

from tricast.configs.errors import InputError


class SensorDataError(InputError):
    """A sensor message has a wrong shape, type or value."""


class CalibrationError(InputError):
    """A calibration is missing, malformed or physically impossible."""


class LogError(InputError):
    """A log is missing, unreadable, damaged beyond use or of an unknown kind."""
