"""Guards of the documents: what they name is there, and what users are given is named."""

import ast
import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel

from tricast.configs.strict import StrictConfig, load_config, parse_config
from tricast.perception.backends.names import BACKENDS
from tricast.perception.config import PipelineConfig
from tricast.perception.evaluation import run_directory
from tricast.perception.evaluation.corruptions import CORRUPTIONS
from tricast.perception.ros.diagnostics import channel_status, pipeline_status
from tricast.perception.streaming.runtime_result import RuntimeStatus
from tricast.perception.training.config import TrainingConfig, TrainingRunConfig
from tricast.perception.training.variants import variants_of
from tricast.sensors.faults.fault_config import FaultsConfig, MessageFault, Miscalibration
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.rig_file import RigFile
from tricast.tools.cli import COMMANDS
from tricast.tools.demo import demo_log_path
from tricast.tools.replay import WRITTEN

ROOT = Path(__file__).parents[1]
GUIDES = (ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md")))
ALL = (*GUIDES, ROOT / "CHANGELOG.md", ROOT / "EXPERIMENTS.md")
USAGE = re.compile(r"(?:\btricast|-m tricast\.tools\.cli|-m tricast\.tools)[ .](\w+)(.*)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def code_of(text: str) -> list[str]:
    """Indented lines with what they go on to, lines of fenced blocks, and what stands in backticks."""
    lines = re.sub(r"\\\n\s*|\n {17,}(?=\[)", " ", text).splitlines()
    return [line for line in lines if line.startswith("    ")] + re.findall(r"`([^`]+)`", text)


def options_of(tool: str) -> set[str]:
    """Options that a file of `tools/` declares, those of shared parts included."""
    source = (ROOT / "tools" / f"{tool}.py").read_text()
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    added = [c for c in calls if isinstance(c.func, ast.Attribute) and c.func.attr == "add_argument"]
    names = [a.value for c in added for a in c.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    shared = {"--calibration"} if "add_calibration(parser)" in source else set[str]()
    return {name for name in names if name.startswith("--")} | shared


def first_column(document: str, heading: str) -> set[str]:
    """Names in backticks in the first cells of the table whose head begins so."""
    table = (ROOT / "docs" / document).read_text().split(f"\n| {heading}", 1)[1].split("\n\n")[0]
    cells = [row.split("|")[1] for row in table.splitlines()[1:] if row.startswith("|")]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


@pytest.mark.parametrize("document", ALL, ids=lambda path: path.name)
def test_links_lead_to_files_and_quoted_sections_exist(document: Path) -> None:
    text = document.read_text()
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert "://" in target or (document.parent / target).exists(), target
    headings = re.findall(r"^#+ (.*)$", (ROOT / "EXPERIMENTS.md").read_text(), re.MULTILINE)
    for quoted in re.findall(r'EXPERIMENTS\.md\)?,\s"([^"]+)"', text):
        assert any(heading.startswith(quoted) for heading in headings), quoted


@pytest.mark.parametrize("document", GUIDES, ids=lambda path: path.name)
def test_commands_and_options_of_a_document_exist(document: Path) -> None:
    for code in code_of(document.read_text()):
        for tool, rest in (match.groups() for match in USAGE.finditer(code.split("  #")[0])):
            if not (ROOT / "tools" / f"{tool}.py").exists():
                assert "--" not in rest, code  # prose of a picture, not a command
                continue
            ours = rest.split("--ros-args")[0]
            assert set(OPTION.findall(ours)) <= options_of(tool), code


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_is_in_a_section_about_it(command: str) -> None:
    sections = [part for path in GUIDES for part in path.read_text().split("\n## ")]
    told = "\n".join(part for part in sections if re.search(rf"`{command}\b|tricast {command}\b|^{command}\n", part))
    missing = {option for option in options_of(command) if not re.search(rf"{option}(?![\w-])", told)}
    assert not missing, f"tell of them in README.md or docs/: {sorted(missing)}"


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md"])
def test_every_command_is_listed(document: str) -> None:
    text = (ROOT / document).read_text()
    assert [command for command in COMMANDS if f"tricast {command}" not in text] == []


def test_commands_without_json_are_those_that_the_readme_names() -> None:
    told = re.search(r"All commands but (.*) take `--json`", (ROOT / "README.md").read_text())
    assert told
    without = {command for command in COMMANDS if "--json" not in options_of(command)}
    assert set(re.findall(r"`(\w+)`", told.group(1))) == without


@pytest.mark.parametrize("document", GUIDES, ids=lambda path: path.name)
def test_files_of_code_that_a_document_names_exist(document: Path) -> None:
    files = ["/" + str(path.relative_to(ROOT)) for path in ROOT.glob("*/**/*") if path.is_file()]
    named = re.findall(r"`([\w/.]+\.(?:py|sh|msg|xml))`", document.read_text())
    assert [
        name for name in named if name != "tracklet_labels.xml" and not any(f.endswith(f"/{name}") for f in files)
    ] == []


def test_files_of_run_directories_are_named() -> None:
    of_evaluations = (run_directory.SUMMARY_FILE, run_directory.REPORT_FILE, run_directory.TEXT_FILE)
    of_evaluations += (run_directory.README_TABLES_FILE, run_directory.CONFIG_FILE, f"{run_directory.TABLES}/")
    readme, evaluation = (ROOT / "README.md").read_text(), (ROOT / "docs" / "evaluation.md").read_text()
    assert [name for name in WRITTEN if f"`{name}`" not in readme] == []
    assert [name for name in of_evaluations if f"`{name}`" not in evaluation] == []


def test_the_order_of_folders_is_that_of_the_import_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(c["layers"] for c in contracts if c["name"] == "Inside perception")
    modules = [re.findall(r"tricast\.perception\.(\w+)", layer) for layer in layers]
    folders = [[name for name in names if (ROOT / "perception" / name).is_dir()] for names in modules]
    order = " > ".join(", ".join(names) for names in folders if names)
    assert f"`{order}`" in (ROOT / "ARCHITECTURE.md").read_text()


def test_every_program_of_tools_is_named_in_a_document() -> None:
    text = "\n".join(path.read_text() for path in GUIDES)
    programs = [p.stem for p in (ROOT / "tools").glob("*.py") if '__name__ == "__main__"' in p.read_text()]
    assert [name for name in programs if not re.search(rf"\b{name}\b", text)] == []


def test_tables_of_names_are_whole() -> None:
    worlds = {path.stem for path in (ROOT / "configs" / "worlds").glob("*.yaml")}
    assert first_column("worlds.md", "world |") == worlds
    assert first_column("robustness.md", "corruption |") == {corruption.name for corruption in CORRUPTIONS}
    kinds = {get_args(fault.model_fields["kind"].annotation)[0] for fault in (*get_args(MessageFault), Miscalibration)}
    assert first_column("robustness.md", "kind |") == kinds
    assert first_column("latency.md", "name | needs") == set(BACKENDS)
    training = (ROOT / "docs" / "training.md").read_text()
    variants = variants_of(load_config(TrainingRunConfig, "tiny"))
    assert [variant.name for variant in variants if f"`{variant.name}`" not in training] == []


@pytest.mark.parametrize("document", GUIDES, ids=lambda path: path.name)
def test_settings_that_a_document_names_exist(document: Path) -> None:
    for named in re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)(?=[`:])", document.read_text()):
        parts = named.split(".")
        owners = (PipelineConfig, TrainingRunConfig, TrainingConfig)
        models = [
            model for model in owners if parts[0] in model.model_fields and parts[-1] not in ("py", "csv", "yaml")
        ]
        assert not models or any(has_setting(model, parts) for model in models), named


def has_setting(model: object, parts: list[str]) -> bool:
    if not parts or not (isinstance(model, type) and issubclass(model, BaseModel)):
        return True
    field = model.model_fields.get(parts[0])
    return field is not None and has_setting(field.annotation, parts[1:])


@pytest.mark.parametrize(("document", "model"), [("logs.md", RigFile), ("robustness.md", FaultsConfig)])
def test_files_that_a_document_shows_are_taken(document: str, model: type[StrictConfig]) -> None:
    shown = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / document).read_text(), re.DOTALL)
    assert shown
    for text in shown:
        parse_config(model, yaml.safe_load(text), where=document)


def test_configurations_of_training_that_its_document_shows_are_taken() -> None:
    shown = re.findall(
        r"\n((?:    (?:model|data|training):.*\n(?: {5,}.*\n)*)+)", (ROOT / "docs" / "training.md").read_text()
    )
    assert len(shown) == 3
    for text in shown:
        parse_config(TrainingRunConfig, yaml.safe_load(text), where="training.md")


def test_the_example_of_the_runtime_runs() -> None:
    code = (ROOT / "docs" / "runtime.md").read_text().split("```python\n")[1].split("```")[0]
    log = open_log(demo_log_path())
    message = next(iter(log.messages()))
    names = {"rig": log.rig, "message": message, "now_ns": log.start_ns + 10**9}
    exec(compile(code, "runtime.md", "exec"), names)
    assert names["runtime"].status().level in ("ok", "warn", "error")


def test_extras_and_targets_of_make_are_those_that_documents_name() -> None:
    text = "\n".join(path.read_text() for path in GUIDES)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(re.findall(r"tricast\[([\w-]+)\]", text)) == extras.keys() - {"dev"}
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"(?:`|    )make ([\w-]+)", text)) <= set(targets)


def test_values_of_diagnostics_are_told() -> None:
    status = RuntimeStatus(
        level="ok",
        reasons=(),
        ticks=1,
        results=1,
        late=0,
        dropped_ticks=0,
        dropped_messages=0,
        processing_ms=None,
        since_in_time_s=0.0,
    )
    channel = channel_status("C", None, lacks=None, trouble=None, malformed=None, qos="", publishers=0)
    keys = {v.key for s in (channel, pipeline_status(status, state="active", extra={})) for v in s.values}
    text = (ROOT / "docs" / "ros2.md").read_text()
    assert [key for key in sorted(keys) if f"`{key}`" not in text] == []
