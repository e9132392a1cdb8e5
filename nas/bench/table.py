"""A table of evaluated networks as a search space: a score is a look-up, so a search costs nothing.

Each row is a network, some columns are its choices and others its metrics. A choice of integers or
of other numbers is one of numbers, anything else one of words. A metric that is empty is a failed
evaluation. A choice is inactive where its cell is empty, or where it has the same option throughout
while the others tell the rows apart: what makes it active is found from the rows.

A table need not hold every combination of options. What it lacks is known not to be there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from nas.problem.problem import Limit
from nas.system.text import finite
from search_spaces import Candidate, Choice, Option, SearchSpace, UserError, did_you_mean

Columns = Mapping[str, Sequence[Option | None]]
"""Cells of choices, None where empty."""

MISSING = "not in the table"
"""The metric that is 1 for networks without a row: known beforehand, limited to 0."""


@dataclass(frozen=True)
class Table:
    """Evaluated networks.

    Attributes:
        path: Where it was read.
        space: The choices.
        rows_NC: Canonical encodings, one per row and all different.
        values: The other columns of numbers, shape (N,) each; NaN where a cell is empty.
    """

    path: str
    space: SearchSpace
    rows_NC: np.ndarray
    values: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.rows_NC)

    @property
    def is_complete(self) -> bool:
        """Whether every network of the space has a row."""
        return len(self) == self.space.size

    def positions(self, encodings_NC: np.ndarray) -> np.ndarray:
        """The row of every encoding, shape (N,); -1 where there is none."""
        canonical_NC = self.space.canonical_many(encodings_NC)
        return np.array([self._position.get(tuple(row), -1) for row in canonical_NC.tolist()], int)

    def column(self, name: str) -> np.ndarray:
        """The metric of every row.

        Raises:
            UserError: If there is no such column of numbers.
        """
        if name not in self.values:
            raise UserError(
                f"table '{self.path}' has no column of numbers '{name}' besides its choices. "
                f"{did_you_mean(name, self.values)}"
            )
        return self.values[name]

    def check_finite(self, name: str) -> None:
        """Refuse a column with an infinite cell.

        Raises:
            UserError: Naming its line.
        """
        (infinite,) = np.nonzero(np.isinf(self.column(name)))
        if len(infinite):
            raise UserError(
                f"table '{self.path}', line {infinite[0] + 2}: '{name}' is infinite. Give numbers, "
                "and leave the cell of a failed evaluation empty."
            )

    def metrics(self, candidate: Candidate, names: Sequence[str]) -> dict[str, float]:
        """Metrics of a network that has a row."""
        row = self._position[candidate.encoding]
        return {name: float(self.column(name)[row]) for name in names}

    @cached_property
    def _position(self) -> dict[tuple[int, ...], int]:
        return {tuple(row): i for i, row in enumerate(self.rows_NC.tolist())}


@dataclass(frozen=True)
class TableCosts:
    """Columns of a table as what is known beforehand, and which networks it lacks.

    Attributes:
        table: Has the columns.
        known: Their names.
    """

    table: Table
    known: tuple[str, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names that `of` answers."""
        return self.known if self.table.is_complete else (*self.known, MISSING)

    @property
    def limits(self) -> tuple[Limit, ...]:
        """Keeps controllers within the table."""
        return () if self.table.is_complete else (Limit(MISSING, 0.0),)

    def of(self, metric: str, encodings_NC: np.ndarray) -> np.ndarray:
        """The metric of every encoding, shape (N,); NaN without a row."""
        position_N = self.table.positions(encodings_NC)
        if metric == MISSING:
            return (position_N < 0).astype(float)
        return np.where(position_N < 0, np.nan, self.table.column(metric)[position_N])


def read_table(path: Path, choices: Sequence[str]) -> Table:
    """Reads a CSV file.

    Args:
        path: Has one header line.
        choices: Names of the choice columns, or patterns such as "layer*".

    Raises:
        UserError: If it cannot be read, a pattern names no column, or two rows are one network.
    """
    try:
        cells = pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True)
    except FileNotFoundError as error:
        raise UserError(f"table '{path}' does not exist. Give the path of a CSV file.") from error
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        reason = str(error).splitlines()[0]
        raise UserError(
            f"table '{path}' cannot be read: {reason}. "
            "It must be a CSV file with one header line and one row per network."
        ) from error
    if cells.empty:
        raise UserError(f"table '{path}' has no rows. It needs one row per network.")
    names = _matching(path, list(cells.columns), choices)
    columns: Columns = {name: _options(cells[name]) for name in names}
    for name, column in columns.items():
        if all(option is None for option in column):
            raise UserError(
                f"table '{path}': choice '{name}' is empty in every row. Leave it out of --choices."
            )
    space, columns = _space(path.stem, columns)
    rows_NC = space.canonical_many(
        np.stack([_indices(choice, columns[choice.name]) for choice in space.choices], axis=1)
    )
    _check_distinct(path, rows_NC)
    values = {name: _numbers(cells[name]) for name in cells.columns if name not in names}
    return Table(str(path), space, rows_NC, {n: v for n, v in values.items() if v is not None})


def _matching(path: Path, columns: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """The columns that some pattern names, in the order of the table."""
    for pattern in patterns:
        if not any(fnmatchcase(column, pattern) for column in columns):
            raise UserError(
                f"table '{path}' has no column '{pattern}'. {did_you_mean(pattern, columns)}"
            )
    return [c for c in columns if any(fnmatchcase(c, pattern) for pattern in patterns)]


def _options(cells: pd.Series) -> list[Option | None]:
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


def _numbers(cells: pd.Series) -> np.ndarray | None:
    """The cells as numbers, NaN where empty; None if some are words."""
    try:
        return np.array([float(text) if text.strip() else np.nan for text in cells])
    except ValueError:
        return None


def _indices(choice: Choice, column: Sequence[Option | None]) -> np.ndarray:
    """Positions of the cells among the options; 0 for an empty one, where it is inactive."""
    position = {option: index for index, option in enumerate(choice.options)}
    return np.array([0 if cell is None else position[cell] for cell in column], dtype=np.int64)


def _space(name: str, columns: Columns) -> tuple[SearchSpace, Columns]:
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


def _check_distinct(path: Path, rows_NC: np.ndarray) -> None:
    first: dict[tuple[int, ...], int] = {}
    for number, row in enumerate(map(tuple, rows_NC.tolist())):
        if row in first:
            raise UserError(
                f"table '{path}': lines {first[row] + 2} and {number + 2} are the same network. "
                "Keep one line per network, or name the missing choice in --choices."
            )
        first[row] = number
