from __future__ import annotations

import argparse

import pytest

from tricast.configs.errors import InputError
from tricast.tools.user_input import mistakes_in_one_line, positive_int


@pytest.mark.parametrize("text", ["0", "-3", "1.5", "", "nan", "two"])
def test_a_count_that_is_none_ends_with_the_option_and_what_was_given(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=positive_int)
    with pytest.raises(SystemExit) as ended:
        parser.parse_args([f"--workers={text}"])
    assert ended.value.code == 2
    assert f"--workers: got {text!r}; expected 1 or more" in capsys.readouterr().err


def test_a_count_is_read() -> None:
    assert positive_int("17") == 17


def test_a_mistake_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    @mistakes_in_one_line
    def main(name: str) -> int:
        raise InputError(where=name, got="nothing", expected="a log", remedy="give one")

    assert main("a.mcap") == 2
    assert capsys.readouterr().err == "test_user_input: error: a.mcap: got nothing; expected a log; give one\n"


def test_other_ends_stay_as_they_are() -> None:
    @mistakes_in_one_line
    def main(code: int) -> int:
        if code > 1:
            raise ArithmeticError
        return code

    assert main(1) == 1
    with pytest.raises(ArithmeticError):
        main(3)
