"""Shards of a world, rendered by one process or several."""

from pathlib import Path

import pytest
from safetensors import safe_open

from tricast.tools.make_shards import main


@pytest.mark.slow
def test_several_processes_make_the_shards_that_one_makes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def made(folder: str, *options: str) -> dict[str, tuple[dict[str, str], dict[str, bytes]]]:
        assert main(["--out", str(tmp_path / folder), *options]) == 0
        return {path.stem: contents(path) for path in sorted((tmp_path / folder).glob("*.safetensors"))}

    alone = made("alone", "--seeds", "7", "9", "--workers", "1")
    assert list(alone) == ["000007", "000008"]
    assert made("together", "--seeds", "7", "9", "--workers", "2") == alone
    capsys.readouterr()
    # What is there is left alone.
    assert made("together", "--seeds", "7", "9") == alone
    assert capsys.readouterr().out == f"0 shards made in {tmp_path / 'together'}\n"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["--out", str(tmp_path / "file" / "shards"), "--seeds", "7", "8"]) == 2
    error = capsys.readouterr().err
    assert f"shards in {tmp_path / 'file' / 'shards'}: got Not a directory" in error
    assert error.count("\n") == 1


def contents(path: Path) -> tuple[dict[str, str], dict[str, bytes]]:
    """What is told and the arrays; their order in the file is the library's own."""
    with safe_open(path, "numpy") as file:
        return file.metadata(), {name: file.get_tensor(name).tobytes() for name in sorted(file.keys())}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "got no logs and no --seeds"),
        (["--seeds", "7", "8", "--world", "nowhere"], "nowhere"),
        (["absent.mcap"], "absent.mcap"),
    ],
)
def test_what_is_asked_wrongly_is_one_line(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--out", str(tmp_path / "shards"), *options]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
