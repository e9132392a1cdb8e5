"""Configurations in files: what is read is checked for names and types."""

import dataclasses
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.run.config import Config, sides_or_own
from nas.system.files import OtherVersionError
from nas.system.typed import TYPE_NAMES, is_a
from search_spaces import UserError, did_you_mean

OF_NUMBERS = ("sparsity", "mean", "std")
"""Fields that are lists of numbers."""


def read_config(path: Path) -> dict[str, Any]:
    """The settings in a TOML file, checked for names and types.

    Raises:
        UserError: If the file is missing or damaged, or a name or type is wrong.
    """
    where = f"configuration '{path}'"
    document = read_toml(path, where)
    return {name: checked_setting(name, value, where) for name, value in document.items()}


def read_toml(path: Path, where: str) -> dict[str, Any]:
    """The document in a TOML file that a person wrote.

    Args:
        path: Of the file.
        where: What it is called in messages.

    Raises:
        UserError: If the file is missing or damaged.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"cannot read {where}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # numbers may be too long, too
        raise UserError(f"{where} is not TOML: {error}.") from error


def with_defaults(document: Mapping[str, Any]) -> dict[str, Any]:
    """What a config.toml says, and defaults for the fields that its version did not have.

    Raises:
        OtherVersionError: If it has a field that this version does not know.
        ValueError: If it is empty, which no version writes.
    """
    if not document:
        raise ValueError("it is empty")
    known = tomllib.loads(Config().to_toml())
    for name in document:
        if name not in known:
            raise OtherVersionError(
                f"has '{name}', which this version does not know. Use the version of pareto-nas "
                "that wrote it, or begin a new run with --out."
            )
    return {**known, **document}


def checked_setting(name: str, value: Any, where: str) -> Any:
    """The value of a field of `Config`, as that has it.

    Args:
        name: Of the field.
        value: As TOML gave it.
        where: What the file is called in messages.

    Raises:
        UserError: If there is no such field, or the value is of another type.
    """
    fields = {f.name: f for f in dataclasses.fields(Config)}
    if name not in fields:
        raise UserError(f"{where}: unknown {name!r}. {did_you_mean(name, fields)}")
    if name == "resolution":
        return sides_or_own(value)
    given, default = value, getattr(Config(), name)
    if name == "set":
        is_right, wanted = isinstance(value, Mapping), "a table"
    elif isinstance(default, tuple):
        kind = float if name in OF_NUMBERS else str
        values = value if isinstance(value, list) else [value]
        is_right, wanted = all(is_a(v, kind) for v in values), f"a list, each {TYPE_NAMES[kind]}"
        value = tuple(float(v) if kind is float and is_right else v for v in values)
    else:
        is_right, wanted = is_a(value, type(default)), TYPE_NAMES[type(default)]
    if not is_right:
        raise UserError(f"{where}: {name} is {given!r}. It must be {wanted}.")
    return value
