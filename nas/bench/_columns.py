"""Which search space the columns of a table are: options, and what makes a choice active."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from nas.system.text import finite
from search_spaces import Choice, Option, SearchSpace

Columns = Mapping[str, Sequence[Option | None]]
"""Cells of choices, None where empty."""


def space_of(name: str, columns: Columns) -> tuple[SearchSpace, Columns]:
    """The choices, with what makes them active, and the columns with no other options than theirs.

    An empty cell is taken for an option of its own where the other choices do not explain it.
    """
    conditions = {}
    explained = dict(columns)
    for choice, cells in columns.items():
        is_filled_N = np.array([cell is not None for cell in cells])
        conditions[choice] = () if is_filled_N.all() else _condition(columns, choice, is_filled_N)
        if conditions[choice] is None:
            explained[choice] = ["" if cell is None else str(cell) for cell in cells]
    plain = SearchSpace(
        name, tuple(Choice(c, _distinct(explained[c]), conditions[c] or ()) for c in columns)
    )
    num_rows = len(next(iter(columns.values())))
    if plain.size == num_rows:
        return plain, explained
    implied = SearchSpace(
        name,
        tuple(
            Choice(c.name, c.options, c.active_if or _of_constant(explained, c.name))
            for c in plain.choices
        ),
    )
    return (implied if implied.size == num_rows else plain), explained


def _distinct(cells: Sequence[Option | None]) -> tuple[Option, ...]:
    """The options of a column in their order."""
    return tuple(sorted({cell for cell in cells if cell is not None}))


def _condition(
    columns: Columns, choice: str, is_active_N: np.ndarray
) -> tuple[tuple[str, tuple[Option, ...]], ...] | None:
    """Options of other choices that together hold exactly in the active rows, as few as can be."""
    allowed: dict[str, tuple[Option, ...]] = {}
    holds: dict[str, np.ndarray] = {}
    for other, cells in columns.items():
        if other == choice:
            continue
        found = _distinct([cell for cell, on in zip(cells, is_active_N, strict=True) if on])
        holds_N = np.array([cell in found for cell in cells])
        if not holds_N.all():
            allowed[other], holds[other] = found, holds_N
    # Those that are empty somewhere go first: two choices must not explain each other.
    for other in sorted(reversed(list(holds)), key=lambda name: None not in columns[name]):
        others = [holds_N for name, holds_N in holds.items() if name != other]
        if others and (np.all(others, axis=0) == is_active_N).all():
            del holds[other]
    if not holds or not (np.all(list(holds.values()), axis=0) == is_active_N).all():
        return None
    return tuple((other, allowed[other]) for other in holds)


def _of_constant(columns: Columns, choice: str) -> tuple[tuple[str, tuple[Option, ...]], ...]:
    """What makes a choice active that has one and the same option in all rows where it is not.

    Only choices before it are looked at: two must not explain each other.
    """
    for other, cells in columns.items():
        if other == choice:
            break
        found: dict[Option | None, set[Option | None]] = {}
        for cell, own in zip(cells, columns[choice], strict=True):
            found.setdefault(cell, set()).add(own)
        constant = {option: own for option, own in found.items() if len(own) == 1}
        is_same = len(set().union(*constant.values())) == 1
        if is_same and len(constant) < len(found):
            return ((other, tuple(o for o in _distinct(cells) if o not in constant)),)
    return ()


def options_of(cells: pd.Series) -> list[Option | None]:
    """The cells as integers, or else as numbers, or else as words; None where empty."""
    texts = [text.strip() for text in cells]
    for kind in (int, _finite):
        try:
            return [kind(text) if text else None for text in texts]
        except ValueError:
            continue
    return [text or None for text in texts]


def _finite(text: str) -> float:
    value = finite(text)
    if value is None:
        raise ValueError
    return value


def indices_of(choice: Choice, column: Sequence[Option | None]) -> np.ndarray:
    """Positions of the cells among the options; 0 for an empty one, where it is inactive."""
    position = {option: index for index, option in enumerate(choice.options)}
    return np.array([0 if cell is None else position[cell] for cell in column], dtype=np.int64)


def known_indices(choice: Choice, cells: pd.Series) -> np.ndarray:
    """Positions of the cells among the options of a given choice; -1 where a cell is none of them.

    Numbers may be written in any way: spreadsheets make 3.0 of 3 in columns with empty cells.
    """
    is_of_words = any(isinstance(option, str) for option in choice.options)
    read: Callable[[str], str | float | None] = str if is_of_words else finite
    position = {read(str(option)): index for index, option in enumerate(choice.options)}
    return np.array([position.get(read(text.strip()), -1) for text in cells], dtype=np.int64)
