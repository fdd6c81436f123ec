"""Parameters of the live node, its parameter file and its launch file, without a graph."""

import argparse
import importlib.resources
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from tricast.configs.errors import ConfigError
from tricast.perception.ros.live_config import LiveConfig, parse_parameters
from tricast.tools import live

FOLDER = Path(str(importlib.resources.files("tricast.configs"))) / "ros"


def test_the_parameter_file_names_every_parameter_with_its_default() -> None:
    values = yaml.safe_load((FOLDER / "live.yaml").read_text())["tricast_live"]["ros__parameters"]
    assert set(values) == set(LiveConfig.model_fields)
    assert parse_parameters(values, node="tricast_live") == LiveConfig()


def test_parameters_that_every_node_has_are_left_alone() -> None:
    values = {"use_sim_time": True, "qos_overrides./tf.publisher.depth": 3, "lidars": ["LIDAR_TOP"]}
    assert parse_parameters(values, node="n").lidars == ("LIDAR_TOP",)


@pytest.mark.parametrize("empty", [None, [], [""]])
def test_an_empty_list_is_not_set_however_ros_tells_it(empty: object) -> None:
    assert parse_parameters({"lidars": empty}, node="n") == LiveConfig()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"detektor": "cluster"}, "did you mean detector"),
        ({"workers": 4}, "unknown setting"),
        ({"diagnostics_hz": 0.0}, "greater than 0"),
        ({"reliability": "maybe"}, "reliable"),
        ({"config": 5}, "got 5; expected input should be a valid string"),
        ({"lidars": "LIDAR_TOP"}, "got 'LIDAR_TOP'; expected a list of channels"),
        ({"lidars": [1]}, "lidars.0: got 1"),
        ({"deadline_ms": None}, r"got \[\]; expected input should be a valid number"),
        ({"use_sim_time": 5}, "got 5; expected true or false"),
    ],
)
def test_wrong_parameters_are_refused_by_name(values: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        parse_parameters(values, node="tricast_live")
    assert next(iter(values)) in str(caught.value)


def test_live_ticks_never_wait_for_those_before_them() -> None:
    streaming = LiveConfig(deadline_ms=120).streaming()
    assert (streaming.policy, streaming.deadline_ms) == ("latest", 120)


def test_the_launch_file_starts_the_command_with_the_parameter_file() -> None:
    # launch has no wheel: what the file says is read, not run.
    root = ElementTree.parse(FOLDER / "tricast.launch.xml").getroot()
    values = {arg.attrib["name"]: arg.attrib["default"] for arg in root.iter("arg")}
    assert values["params_file"] == "$(dirname)/live.yaml"
    command = next(root.iter("executable")).attrib["cmd"]
    for name, value in values.items():
        command = command.replace(f"$(var {name})", value.replace("$(dirname)", str(FOLDER)))
    program, *arguments = command.split()
    assert program == "tricast"
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command")
    live.add_arguments(commands.add_parser("live"))
    ros_args = parser.parse_args(arguments).ros_args
    assert ros_args == ["--params-file", str(FOLDER / "live.yaml"), "-p", "use_sim_time:=false"]
    assert Path(ros_args[1]).is_file()
