"""Reading JSON and TOML that others wrote: what is missing is empty, what is broken is named.

A document that cannot be read at all is an error. A field that is absent, null or of another type
is missing, so that half a card still makes half a row.
"""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.system.files import unsealed
from reports.records import Interval
from search_spaces import Option, UserError

BEYOND_MEASURE = 1e18  # no count, size or time of ours comes near; larger ones break axes
Json = Mapping[str, Any]


def read_toml(path: Path) -> Json:
    """The document in a file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise unreadable(path, error) from error


def read_json(path: Path) -> Json:
    """The object in a file; empty when there is no such file."""
    if not path.exists():
        return {}
    try:
        return unsealed(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, OSError, RecursionError) as error:
        raise unreadable(path, error) from error


def read_lines(path: Path) -> list[Json]:
    """The objects of a .jsonl file, without a torn last line."""
    if not path.exists():
        return []
    try:
        lines = path.read_bytes().split(b"\n")
        return [unsealed(json.loads(line)) for line in lines[:-1] if line.strip()]
    except (ValueError, OSError, RecursionError) as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> UserError:
    """What is raised for a file that cannot be used."""
    fact = f"{getattr(error, 'strerror', None) or error}".rstrip(".")
    return UserError(f"'{path}' cannot be read: {fact}. Restore the file, or search again.")


def as_text(value: object) -> str:
    """Any value as text; missing is empty."""
    return "" if value is None else str(value)


def as_number(value: object) -> float | None:
    """A number that can be a measurement, or None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < BEYOND_MEASURE else None


def as_whole(value: object) -> int | None:
    """A number rounded to an integer, or None."""
    number = as_number(value)
    return None if number is None else round(number)


def as_interval(value: object) -> Interval | None:
    """Two numbers, low and high, or None."""
    if not isinstance(value, list) or len(value) != 2:
        return None
    low, high = as_number(value[0]), as_number(value[1])
    return None if low is None or high is None else (low, high)


def table_at(row: Json, name: str) -> Json:
    """The table in a field; empty if there is none."""
    value = row.get(name)
    return value if isinstance(value, dict) else {}


def options_at(row: Json, name: str) -> Mapping[str, Option]:
    """What was decided, by choice; anything that is no option is shown as text."""
    options = table_at(row, name).items()
    return {k: v if isinstance(v, int | float | str) else as_text(v) for k, v in options}


def list_at(row: Json, name: str) -> list[Any]:
    """The list in a field; empty if there is none."""
    value = row.get(name)
    return value if isinstance(value, list) else []


def tables_at(row: Json, name: str) -> list[Json]:
    """The tables in the list of a field."""
    return [value for value in list_at(row, name) if isinstance(value, dict)]
