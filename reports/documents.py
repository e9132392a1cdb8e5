"""Reading JSON and TOML that others wrote: what is missing is empty, what is broken is named.

A field that is absent, null or of another type is missing, so that half a card still makes half a
row. A document of a run that is not what was written is named as altered and read as empty, because
none of it is known to be true.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nas.system.files import CHECKSUM, OtherVersionError, check_text, digest_of, unsealed
from reports.records import Interval
from search_spaces import Option, UserError

BEYOND_MEASURE = 1e18  # no count, size or time of ours comes near; larger ones break axes
Json = Mapping[str, Any]


class Documents:
    """Those of one run, and what of it is not as it was written.

    Attributes:
        folder: The run's.
        altered: One sentence for each document or file that is not, beginning with its name.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.altered: list[str] = []
        self._are_sealed = self._has_checksum("env.json")  # earlier versions wrote none

    def json(self, name: str, needed: Sequence[str] = ()) -> Json:
        """The object in a file; empty when there is no such file, or not the one that was written.

        Args:
            name: Of the file, within the run.
            needed: Fields that every version writes; what lacks one is named.

        Raises:
            UserError: If another version wrote it, or the file cannot be opened.
        """
        if not (self.folder / name).exists():
            return {}
        content = self._unsealed(name, self._text(name))
        if content is not None:
            self._name_missing(name, content, needed)
        return content or {}

    def lines(self, name: str) -> list[Json]:
        """The objects of a .jsonl file; a torn last line is ignored, another one is named."""
        if not (self.folder / name).exists():
            return []
        lines = self._text(name).split("\n")[:-1]
        numbered = [(n, line) for n, line in enumerate(lines, start=1) if line.strip()]
        found = [self._unsealed(f"{name}, line {number}", line) for number, line in numbered]
        return [content for content in found if content is not None]

    def toml(self, name: str, needed: Sequence[str]) -> Json:
        """The document in a TOML file; arguments as for `json`.

        Raises:
            UserError: If it is no TOML.
        """
        text = self._text(name)
        try:
            content = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            raise unreadable(self.folder / name, error) from error
        try:
            check_text(text)
        except ValueError as error:
            self.altered.append(f"{name}: {error}; what it says now is shown")
        self._name_missing(name, content, needed)
        return content

    def check_file(self, name: str, digest: object) -> None:
        """Name a file that is not the one with this SHA-256; one that is not there is no matter."""
        path = self.folder / name
        if isinstance(digest, str) and path.is_file() and digest_of(path) != digest:
            self.altered.append(
                f"{name}: it is not the file that was measured (SHA-256 differs); the numbers that "
                "are shown are of that one"
            )

    def _text(self, name: str) -> str:
        path = self.folder / name
        try:
            # Letters that are none make the JSON differ from its checksum, or unreadable.
            return path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise unreadable(path, error) from error

    def _unsealed(self, place: str, text: str) -> Json | None:
        """What a document says, if that was written; else None, and it is named."""
        try:
            document = json.loads(text)
            content = unsealed(document)
            if self._are_sealed and CHECKSUM not in document:
                raise ValueError("it has no checksum, and was written with one")
        except OtherVersionError as error:
            raise unreadable(self.folder / place.partition(",")[0], error) from error
        except (ValueError, RecursionError) as error:
            is_json = not isinstance(error, json.JSONDecodeError | RecursionError)
            fact = f"{error}" if is_json else f"it is no JSON ({error})"
            self.altered.append(f"{place}: {fact}; it is left out")
            return None
        return content

    def _name_missing(self, name: str, content: Json, needed: Sequence[str]) -> None:
        missing = [repr(field) for field in needed if field not in content]
        if missing:
            verb = "is" if len(missing) == 1 else "are"
            self.altered.append(f"{name}: {', '.join(missing)} {verb} missing")

    def _has_checksum(self, name: str) -> bool:
        try:
            return CHECKSUM in json.loads((self.folder / name).read_bytes())
        except (OSError, ValueError, TypeError, RecursionError):
            return False


def read_json(path: Path) -> Json:
    """The object in a file of a sweep; empty when there is no such file.

    Raises:
        UserError: If it cannot be read.
    """
    if not path.exists():
        return {}
    try:
        return unsealed(json.loads(path.read_text(encoding="utf-8")))
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
