"""Lists, durations and settings that a user writes as text."""

import json

UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


def words(text: str | None) -> tuple[str, ...] | None:
    """The words of a list with commas; None for no list."""
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def fractions(text: str | None) -> tuple[float, ...] | None:
    """The numbers of a list with commas; None for no list.

    Raises:
        UserError: If one of them is no number.
    """
    from search_spaces import UserError

    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise UserError(
            f"sparsity '{text}' is not a list of fractions. Write them with commas: 0,0.25,0.5"
        ) from error


def parse_time(text: str) -> float:
    """Seconds of a duration such as "90s", "20m" or "1.5h".

    Raises:
        UserError: If it is not one.
    """
    from search_spaces import UserError

    unit = UNITS_S.get(text[-1:])
    try:
        value = float(text[:-1])
    except ValueError:
        value = -1.0
    if unit is None or not 0 < value < 1e6:
        raise UserError(
            f"time '{text}' is not a duration. "
            "Write a number and s, m or h, such as 90s, 20m or 1.5h."
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
    except ValueError:
        parsed = value
    return name, parsed
