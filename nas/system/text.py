"""Lists and settings that a user writes as text."""

import json


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
