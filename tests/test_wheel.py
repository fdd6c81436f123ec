"""The wheel, in a clean environment beside the PyPI package `tools`, from a directory that is not the clone."""

import json
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("configs", "sensors", "perception", "tools")
DATA_SUFFIXES = {".py", ".yaml", ".msg", ".mcap", ".xml", ".txt", ".safetensors"}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing of an earlier build slips in and nothing is left behind."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    return next(out.glob("*.whl"))


def test_the_wheel_holds_every_file_of_code_and_data(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        "tricast/" + path.relative_to(ROOT).as_posix()
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix in DATA_SUFFIXES and "__pycache__" not in path.parts
    }
    assert wanted <= held, sorted(wanted - held)
    assert {name.split("/")[0] for name in held} == {"tricast", next(n for n in held if "dist-info" in n).split("/")[0]}


def test_the_wheel_replays_beside_a_package_named_tools(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    pip = [str(environment / "bin" / "pip"), "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, str(wheel)], check=True)
    other = subprocess.run([*pip, "tools"], capture_output=True, text=True, check=False)
    if other.returncode:
        pytest.skip(f"the package index cannot be reached: {other.stderr[-200:]}")
    # The dependencies come from here, by a path file of the environment; the wheel's own folders come before them.
    packages = next((environment / "lib").glob("python*")) / "site-packages"
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    code = "import importlib, sys; print([importlib.import_module(n).__file__ for n in sys.argv[1:]])"
    python = [str(environment / "bin" / "python"), "-c", code, *listed]
    places = subprocess.run(python, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert places.count(str(packages)) == len(listed)
    command = [str(environment / "bin" / "tricast"), "demo", "--json", "--out", str(tmp_path / "run")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ticks"] == 31
