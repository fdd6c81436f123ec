"""Topics that Tricast does not read pass through `convert` untouched."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer

from tricast.sensors.faults.fault_config import FaultsConfig
from tricast.sensors.faults.faulty_log import FaultyLog
from tricast.sensors.log.convert import convert
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.reader import McapLog
from tricast.sensors.log.schema import message_class, schema_text, serialize, stamp
from tricast.sensors.log.stream import offered_qos
from tricast.sensors.log.summary import format_summary, summarize
from tricast.tools.demo import demo_log_path

DIAGNOSTICS = "diagnostic_msgs/msg/DiagnosticArray"
QOS = {"offered_qos_profiles": "- depth: 3\n", "topic_type_hash": "RIHS01_abc"}


def diagnostics(at_ns: int) -> bytes:
    header = message_class("std_msgs/msg/Header")(stamp=stamp(at_ns), frame_id="battery")
    return serialize(message_class(DIAGNOSTICS)(header=header, status=[]))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of the demo log, with diagnostics, a topic without schema, and one in JSON among its messages."""
    path = tmp_path_factory.mktemp("foreign") / "mixed.mcap"
    with demo_log_path().open("rb") as file, path.open("wb") as out:
        reader = make_reader(file)
        writer = Writer(out, compression=CompressionType.LZ4, chunk_size=200_000)
        writer.start(profile="ros2", library="another recorder")
        schemas: dict[int, int] = {}
        channels: dict[int, int] = {}
        array = writer.register_schema(DIAGNOSTICS, "ros2msg", schema_text(DIAGNOSTICS).encode())
        foreign = [
            writer.register_channel("/diagnostics", "cdr", array, QOS),
            writer.register_channel("/driver/notes", "text", 0),
            writer.register_channel(
                "/sensors/LIDAR/status", "json", writer.register_schema("status", "jsonschema", b"{}")
            ),
        ]
        begin_ns = None
        for number, (schema, channel, message) in enumerate(reader.iter_messages()):
            assert schema is not None
            begin_ns = message.log_time if begin_ns is None else begin_ns
            if message.log_time > begin_ns + 400_000_000:
                break
            if schema.id not in schemas:
                schemas[schema.id] = writer.register_schema(schema.name, schema.encoding, schema.data)
            if channel.id not in channels:
                channels[channel.id] = writer.register_channel(
                    channel.topic, channel.message_encoding, schemas[schema.id], channel.metadata
                )
            writer.add_message(channels[channel.id], message.log_time, message.data, message.publish_time)
            if number % 3 == 0:
                at_ns = message.log_time + 1
                writer.add_message(foreign[0], at_ns, diagnostics(at_ns), at_ns - 7, number)
                writer.add_message(foreign[1], at_ns, b"\x00any bytes\xff", at_ns - 9, number)
                writer.add_message(foreign[2], at_ns, b"{}", at_ns, 0)
        writer.finish()
    return path


def held(path: Path) -> dict[str, list[Any]]:
    """All messages by topic, with everything that belongs to them."""
    found: dict[str, list[Any]] = {}
    with path.open("rb") as file:
        for schema, channel, m in make_reader(file).iter_messages():
            about = None if schema is None else (schema.name, schema.encoding, schema.data)
            entry = (about, channel.message_encoding, channel.metadata, m.log_time, m.publish_time, m.sequence, m.data)
            found.setdefault(channel.topic, []).append(entry)
    return found


@pytest.mark.parametrize("faults", [False, True], ids=["as it is", "under faults"])
def test_foreign_topics_keep_bytes_schema_metadata_and_times(source: Path, tmp_path: Path, faults: bool) -> None:
    log = FaultyLog(McapLog(source), FaultsConfig()) if faults else open_log(source)
    copied = convert(log, tmp_path / "copy.mcap")
    before, after = held(source), held(tmp_path / "copy.mcap")
    foreign = ("/diagnostics", "/driver/notes", "/sensors/LIDAR/status")
    for topic in foreign:
        assert len(before[topic]) > 5
        assert after[topic] == before[topic]
    assert copied.foreign_messages == sum(len(before[topic]) for topic in foreign)
    assert before.keys() == after.keys()
    assert [m[-1] for m in after["/tf"]] == [m[-1] for m in before["/tf"]]


def test_messages_of_a_copy_lie_in_order_of_arrival(source: Path, tmp_path: Path) -> None:
    convert(open_log(source), tmp_path / "copy.mcap")
    with (tmp_path / "copy.mcap").open("rb") as file:
        times = [m.log_time for _, _, m in make_reader(file).iter_messages(log_time_order=False)]
    assert times == sorted(times)


def test_a_copy_of_a_copy_holds_the_same(source: Path, tmp_path: Path) -> None:
    convert(open_log(source), tmp_path / "one.mcap")
    convert(open_log(tmp_path / "one.mcap"), tmp_path / "two.mcap")
    assert held(tmp_path / "one.mcap") == held(tmp_path / "two.mcap")


def test_the_summary_names_foreign_topics(source: Path) -> None:
    summary = summarize(open_log(source))
    assert summary["other_topics"]["/diagnostics"]["type"] == DIAGNOSTICS
    assert summary["other_topics"]["/diagnostics"]["count"] == len(held(source)["/diagnostics"])
    assert "/driver/notes" in format_summary(summary)
    assert summarize(open_log(demo_log_path()))["other_topics"] == {}


def test_convert_prints_one_json_object(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy.mcap"
    command = [sys.executable, "-m", "tricast.tools.cli", "convert", str(source), "--out", str(out), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    summary = json.loads(done.stdout)
    assert summary["foreign_messages"] == len(list(McapLog(source).foreign_messages()))
    assert summary["messages"] == len(list(McapLog(source).messages()))
    assert summary["bytes"] == out.stat().st_size
    assert summary["lost_messages"] == 0


def test_faults_leave_what_publishers_offered(source: Path) -> None:
    log = McapLog(source)
    faulty = FaultyLog(log, FaultsConfig.model_validate({"faults": []}))
    assert offered_qos(faulty) == log.offered_qos() != {}
