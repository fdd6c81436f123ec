"""Launches the live node: `ros2 launch $(tricast live --print-launch-file) use_sim_time:=true`."""

import shutil
from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

PARAMETERS = Path(__file__).with_name("live.yaml")


def generate_launch_description() -> LaunchDescription:
    """One node; its topics are remapped here or where this file is included."""
    return LaunchDescription(
        [
            DeclareLaunchArgument("params_file", default_value=str(PARAMETERS)),
            DeclareLaunchArgument("use_sim_time", default_value="false"),
            Node(
                executable=shutil.which("tricast") or "tricast",
                arguments=["live"],
                name="tricast_live",
                parameters=[
                    LaunchConfiguration("params_file"),
                    {"use_sim_time": LaunchConfiguration("use_sim_time")},
                ],
                remappings=[],
                output="screen",
            ),
        ]
    )
