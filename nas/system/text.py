"""Lists, durations and settings that a user writes as text; and text that a terminal is shown."""

import json
import math
import re

UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""All control characters but tab and newline."""


def printable(text: str) -> str:
    """The text with "?" for each character that would steer a terminal instead of being shown."""
    return CONTROLS.sub("?", text)


def words(text: str | None) -> tuple[str, ...] | None:
    """The words of a list with commas; None for no list."""
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def finite(text: str) -> float | None:
    """The number in a text; None if it is none, or not finite."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def fractions(text: str | None, name: str = "sparsity") -> tuple[float, ...] | None:
    """The numbers of a list with commas; None for no list.

    Args:
        text: As the user wrote it.
        name: Of the flag.

    Raises:
        UserError: If one of them is no number.
    """
    from search_spaces import UserError

    if text is None:
        return None
    found = [finite(part) for part in text.split(",")]
    if None in found:
        raise UserError(
            f"{name} '{text}' is not a list of numbers. Write them with commas: 0,0.25,0.5"
        )
    return tuple(value for value in found if value is not None)


def parse_time(text: str) -> float:
    """Seconds of a duration such as "90s", "20m" or "1.5h".

    Raises:
        UserError: If it is not one.
    """
    from search_spaces import UserError

    unit = UNITS_S.get(text[-1:])
    value = finite(text[:-1])
    if unit is None or value is None or not 0 < value < 1e6:
        raise UserError(
            f"time '{text}' is not a duration. "
            "Write a number above 0 and below 1,000,000, and s, m or h, such as 90s, 20m or 1.5h."
        )
    return value * unit


def setting(text: str) -> tuple[str, float | int | str]:
    """Name and value of "name=value".

    Raises:
        UserError: If it is something else.
    """
    from search_spaces import UserError

    name, separator, value = text.partition("=")
    if not separator or not name or not value:
        raise UserError(f"setting '{text}' has no value. Write --set name=value.")
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        parsed = value
    return name, parsed
