"""Values of files and of the command line against the types of dataclass fields."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from nas.system.text import setting
from search_spaces import UserError, did_you_mean

Record = TypeVar("Record")

TYPE_NAMES = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def is_a(value: Any, kind: type) -> bool:
    """Whether a value from a file or the command line is of this type; 3 is a number, true is not.

    Args:
        value: As TOML or JSON gave it.
        kind: int, float, str or bool.
    """
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    return isinstance(value, int | float if kind is float else kind)


def from_document(cls: type[Record], document: Mapping[str, Any]) -> Record:
    """The record in a document; fields that its version did not have get their default.

    Raises:
        KeyError: If a field is missing that has no default.
        ValueError: If a field is of the wrong type.
    """
    values = {}
    for known in dataclasses.fields(cls):  # type: ignore[arg-type]
        if known.name in document or known.default is dataclasses.MISSING:
            values[known.name] = value = document[known.name]
            kind: Any = known.type
            if kind in TYPE_NAMES and not is_a(value, kind):
                raise ValueError(f"{known.name} is {value!r:.40}. It must be {TYPE_NAMES[kind]}")
    return cls(**values)


def settings_among(known: Mapping[str, type], texts: Sequence[str]) -> dict[str, Any]:
    """Settings by their names.

    Args:
        known: Names and types of those that there are.
        texts: "name=value" each.

    Raises:
        UserError: If one is no setting, or its value is of another type.
    """
    found: dict[str, Any] = {}
    for name, value in map(setting, texts):
        if name not in known:
            raise UserError(f"unknown setting '{name}'. {did_you_mean(name, known)}")
        if not is_a(value, known[name]):
            raise UserError(f"setting '{name}' is {value!r}. It must be {TYPE_NAMES[known[name]]}.")
        found[name] = known[name](value)
    return found
