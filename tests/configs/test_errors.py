"""Errors of the input, wherever they are raised."""

import pickle

from tricast.configs.errors import ConfigError, InputError
from tricast.sensors.errors import LogError


def test_an_error_crosses_processes_as_it_is() -> None:
    for kind in (InputError, ConfigError, LogError):
        error = kind(where="a.mcap", got="nothing", expected="a log", remedy="name another")
        arrived = pickle.loads(pickle.dumps(error))
        assert type(arrived) is kind
        assert str(arrived) == str(error) == "a.mcap: got nothing; expected a log; name another"
        assert (arrived.where, arrived.got, arrived.expected, arrived.remedy) == (
            "a.mcap",
            "nothing",
            "a log",
            "name another",
        )
