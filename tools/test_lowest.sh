#!/bin/sh
# Runs the tests of everything but the network with the lowest versions that pyproject.toml allows.
# Arguments: the environment of `make env`, the environment to make, the tests. PyTorch, Open3D, Rerun and the tools
# that only check code are taken from the first environment as they are.
set -eu
venv=$1 lowest=$2
shift 2
as_they_are="torch torchvision open3d-cpu tricast ruff pyright build setuptools"
rm -rf "$lowest"
"$venv/bin/python" -m venv "$lowest"
"$venv/bin/python" - "$as_they_are" > "$lowest/pins.txt" <<'EOF'
import re
import sys
import tomllib

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
for line in project["dependencies"] + project["optional-dependencies"]["dev"]:
    name, bound = re.match(r"([\w.-]+)(?:\[\w+\])?(?:>=([\w.]+))?", line).groups()
    if name not in sys.argv[1].split():
        print(f"{name}=={bound}")
EOF
"$lowest/bin/pip" install --quiet --requirement "$lowest/pins.txt"
"$lowest/bin/pip" install --quiet --no-deps --editable .
# What is not pinned comes from the first environment, after the pinned packages.
"$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$lowest/rest.pth"
mv "$lowest/rest.pth" "$("$lowest/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
"$lowest/bin/pip" freeze --path "$("$lowest/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
"$lowest/bin/python" -m pytest -q -m "not slow" "$@"
