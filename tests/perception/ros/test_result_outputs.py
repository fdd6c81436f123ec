"""Files of results that a live node writes."""

from pathlib import Path

from tricast.perception.ros.result_outputs import free_names


def names(out: Path) -> list[str]:
    return [path.name for path in free_names(out)]


def test_an_activation_replaces_no_file_of_an_earlier_one_whole_or_not(tmp_path: Path) -> None:
    assert names(tmp_path) == ["results.mcap", "results.jsonl"]
    (tmp_path / "results.jsonl.partial").write_text("{}\n")  # as a node that was killed leaves it
    assert names(tmp_path) == ["results.1.mcap", "results.1.jsonl"]
    (tmp_path / "results.1.mcap").write_bytes(b"")
    assert names(tmp_path) == ["results.2.mcap", "results.2.jsonl"]
