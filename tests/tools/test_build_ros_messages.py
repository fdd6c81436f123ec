"""Compiling message packages without a full ROS 2, as far as that needs none."""

import sysconfig
from pathlib import Path

import pytest

from tricast.configs.errors import InputError
from tricast.tools.build_ros_messages import build, mend_exported_targets


def test_include_folders_of_the_wheels_build_machine_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "share" / "std_msgs" / "cmake" / "export_std_msgs__rosidl_generator_pyExport.cmake"
    path.parent.mkdir(parents=True)
    before = '  INTERFACE_INCLUDE_DIRECTORIES "{}"\n  INTERFACE_LINK_LIBRARIES "std_msgs::std_msgs"\n'
    foreign = (
        "/opt/python/cp311-cp311/include/python3.11;/opt/python/cp311-cp311/lib/python3.11/site-packages/numpy/_core"
    )
    path.write_text(before.format(foreign))
    for _ in range(2):
        mend_exported_targets(tmp_path)
        assert path.read_text() == before.format(sysconfig.get_path("include"))


def test_without_cmake_the_package_and_the_remedy_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "some_msgs" / "msg").mkdir(parents=True)
    (tmp_path / "some_msgs" / "msg" / "Thing.msg").write_text("std_msgs/Header header\nfloat64 value\n")
    with pytest.raises(InputError, match=r"some_msgs: got no program cmake.*colcon"):
        build(tmp_path / "some_msgs")
