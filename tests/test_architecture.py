"""Guards of the architecture: imports, packages and documents."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("configs", "sensors", "perception", "tools")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_import_contracts_hold() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_module_imports_a_folder_by_its_bare_name() -> None:
    for path in [p for folder in (*FOLDERS, "tests") for p in (ROOT / folder).rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names.append(node.module or "")
            assert not {name.split(".")[0] for name in names} & set(FOLDERS), path


def test_every_folder_of_code_is_in_the_list_of_packages() -> None:
    listed = set(PROJECT["tool"]["setuptools"]["packages"])
    present = {
        "tricast." + ".".join(path.parent.relative_to(ROOT).parts)
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
    }
    assert listed == present


def test_readme_example_runs(capsys) -> None:
    text = (ROOT / "README.md").read_text()
    code = text.split("<!-- api-example -->")[1].split("```python\n")[1].split("```")[0]
    exec(compile(code, "README.md", "exec"), {})
    assert "(1, 4, 12, 2)" in capsys.readouterr().out
