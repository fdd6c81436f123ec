import io

import pytest

from tricast.tools.progress import ProgressLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_the_share_done_and_the_line_goes_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with ProgressLine(100, 300) as line:
        line.show(250, "7 messages")
        line.show(299, "too soon after the first to be shown")
    assert terminal.getvalue() == "\r[" + "#" * 22 + " " * 8 + "]  75%  7 messages \r\033[K"


def test_a_file_sees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr("sys.stderr", file)
    with ProgressLine(100, 300) as line:
        line.show(250, "7 messages")
    assert file.getvalue() == ""
