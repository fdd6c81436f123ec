"""Strict configuration: typed, frozen models read from YAML that refuse every unknown key."""

from __future__ import annotations

import difflib
import importlib.resources
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from tricast.configs.errors import ConfigError


class StrictConfig(BaseModel):
    """Base of every configuration: frozen, no unknown keys at any depth, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


ConfigT = TypeVar("ConfigT", bound=StrictConfig)


def resolve_config_path(name: str, model: type[StrictConfig], *, folder: str = "") -> Path:
    """Find the YAML file that a user named.

    A bare name (`cluster`) is a packaged configuration in `configs/<folder>`; anything with a
    separator or the ending `.yaml` is the user's own file.

    Args:
        name: A bare name or a path.
        model: What is to be read; an error offers packaged configurations of this kind alone.
        folder: Folder inside `configs/` that bare names are looked up in.

    Raises:
        ConfigError: Neither a packaged configuration nor a file is found.

    """
    if "/" in name or "\\" in name or name.endswith((".yaml", ".yml")):
        path = Path(name)
        if not path.is_file():
            raise ConfigError(
                where=name,
                got="no such file",
                expected="a YAML configuration",
                remedy="check the path; a bare name such as 'cluster' takes a packaged configuration",
            )
        return path
    path = _packaged(folder) / f"{name}.yaml"
    if not path.is_file():
        raise ConfigError(
            where=f"configuration '{name}'",
            got="no packaged configuration of that name",
            expected=f"one of {', '.join(_packaged_names(model, folder))}",
            remedy=f"write ./{name}.yaml to name a file of your own",
        )
    return path


def load_config(model: type[ConfigT], name: str | None, *, folder: str = "") -> ConfigT:
    """Read, check and freeze a configuration; `None` gives the defaults.

    Raises:
        ConfigError: The file is missing, is not YAML, is a configuration of something else, or does not fit the model.

    """
    if name is None:
        return model()
    path = resolve_config_path(name, model, folder=folder)
    values = read_yaml(path)
    if not _is_for(model, values):
        raise ConfigError(
            where=f"configuration '{name}'",
            got=f"settings of something else ({', '.join(map(str, values))})",
            expected=f"some of {', '.join(sorted(model.model_fields))}",
            remedy=f"name another: {', '.join(_packaged_names(model, folder))} or a file of your own",
        )
    return parse_config(model, values, where=str(path))


def _packaged(folder: str) -> Path:
    return Path(str(importlib.resources.files("tricast.configs"))) / folder


def _packaged_names(model: type[StrictConfig], folder: str) -> list[str]:
    """Packaged configurations of a kind: one folder may hold those of several commands."""
    return sorted(path.stem for path in _packaged(folder).glob("*.yaml") if _is_for(model, read_yaml(path)))


def _is_for(model: type[StrictConfig], values: Any) -> bool:
    """Whether a document may be meant for a model: it has a setting of it, or one that is nearly called so."""
    if not isinstance(values, dict) or not values:
        return True
    names = [str(key) for key in cast("dict[Any, Any]", values)]
    return any(difflib.get_close_matches(name, model.model_fields, n=1) for name in names)


def read_yaml(path: Path) -> Any:
    """Read one YAML document.

    Raises:
        ConfigError: The file cannot be read or is not YAML.

    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = getattr(error, "problem_mark", None)
        line = f":{place.line + 1}" if place is not None else ""
        raise ConfigError(
            where=f"{path}{line}",
            got="text that is not YAML",
            expected="a YAML mapping of settings",
            remedy="mend the file at this line",
        ) from error
    except OSError as error:
        raise ConfigError(
            where=str(path),
            got=error.strerror or str(error),
            expected="a readable YAML file",
            remedy="check the path and its permissions",
        ) from error


def parse_config(model: type[ConfigT], values: Any, *, where: str) -> ConfigT:
    """Check plain values against a model.

    Args:
        model: The configuration to build.
        values: What YAML gave: a mapping, or None for an empty file.
        where: File or source that an error names.

    Raises:
        ConfigError: A key is unknown or a value does not fit.

    """
    try:
        return model.model_validate({} if values is None else values)
    except ValidationError as error:
        raise _config_error(model, error, where) from error


def _config_error(model: type[StrictConfig], error: ValidationError, where: str) -> ConfigError:
    first = error.errors()[0]
    dotted = ".".join(str(part) for part in first["loc"]) or "the document"
    if first["type"] == "extra_forbidden":
        known = sorted(_fields_at(model, first["loc"][:-1]))
        near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
        hint = f"did you mean {near[0]}?" if near else "remove it"
        return ConfigError(
            where=f"{where}: {dotted}",
            got="an unknown setting",
            expected=f"one of {', '.join(known)}" if known else "a known setting",
            remedy=hint,
        )
    ours = first.get("ctx", {}).get("error")  # of a validator: its words name the settings, where it checks several
    several = isinstance(ours, ValueError) and isinstance(first.get("input"), (dict, BaseModel))
    return ConfigError(
        where=f"{where}: {dotted}",
        got="values that do not fit" if several else repr(first.get("input"))[:80],
        expected=first["msg"][0].lower() + first["msg"][1:] if not isinstance(ours, ValueError) else str(ours),
        remedy="correct these settings" if several else "correct this setting",
    )


def _fields_at(model: type[StrictConfig], location: tuple[int | str, ...]) -> list[str]:
    """Names of the fields of the model that sits at a location of a validation error."""
    current: Any = model
    for part in location:
        candidates = [current, *get_args(current)]
        models = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        if models and isinstance(part, str) and part in models[0].model_fields:
            current = models[0].model_fields[part].annotation
    for candidate in (current, *get_args(current)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return list(candidate.model_fields)
    return []
