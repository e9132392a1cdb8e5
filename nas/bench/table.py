"""A table of evaluated networks as a search space: a score is a look-up, so a search costs nothing.

Each row is a network, some columns are its choices and others its metrics. A choice of integers or
of other numbers is one of numbers, anything else one of words. A metric that is empty is a failed
evaluation. A choice is inactive where its cell is empty, or where it has the same option throughout
while the others tell the rows apart: what makes it active is found from the rows. Where a space is
given, it says so.

A table need not hold every combination of options. What it lacks is known not to be there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from nas.bench._columns import Columns, indices_of, known_indices, options_of, space_of
from nas.problem.problem import Limit
from search_spaces import Candidate, SearchSpace, UserError, did_you_mean

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
    cells = _read(path)
    names = _matching(path, list(cells.columns), choices)
    columns: Columns = {name: options_of(cells[name]) for name in names}
    for name, column in columns.items():
        if all(option is None for option in column):
            raise UserError(
                f"table '{path}': choice '{name}' is empty in every row. Leave it out of --choices."
            )
    space, columns = space_of(path.stem, columns)
    indices = [indices_of(choice, columns[choice.name]) for choice in space.choices]
    return _table(path, cells, space, np.stack(indices, axis=1))


def read_table_of(path: Path, space: SearchSpace) -> Table:
    """Reads a CSV file that evaluates networks of a space.

    Args:
        path: Has one header line, and a column by the name of every choice. Cells of a choice that
            is inactive in their row are not looked at.
        space: Without a network.

    Raises:
        UserError: If it cannot be read, a choice has no column, a cell is no option of its choice,
            or two rows are one network.
    """
    cells = _read(path)
    for choice in space.choices:
        if choice.name not in cells:
            raise UserError(
                f"table '{path}' has no column '{choice.name}', a choice of space '{space.name}'. "
                f"{did_you_mean(choice.name, cells.columns)} Rename the column."
            )
    columns = [known_indices(choice, cells[choice.name]) for choice in space.choices]
    indices_NC = np.stack(columns, axis=1)
    is_foreign_NC = space.is_active(np.maximum(indices_NC, 0)) & (indices_NC < 0)
    if is_foreign_NC.any():
        row, column = np.argwhere(is_foreign_NC)[0]
        choice = space.choices[column]
        raise UserError(
            f"table '{path}', line {row + 2}: '{choice.name}' is '{cells[choice.name][row]:.40}', "
            f"which space '{space.name}' does not offer. It offers "
            f"{', '.join(map(str, choice.options))}. Remove the line, or change the cell."
        )
    return _table(path, cells, space, np.maximum(indices_NC, 0))


def _read(path: Path) -> pd.DataFrame:
    """The cells as texts."""
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
    return cells


def _table(path: Path, cells: pd.DataFrame, space: SearchSpace, indices_NC: np.ndarray) -> Table:
    """The table whose columns are the space's choices, of these indices, and metrics."""
    rows_NC = space.canonical_many(indices_NC)
    _check_distinct(path, rows_NC)
    names = [choice.name for choice in space.choices]
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


def _numbers(cells: pd.Series) -> np.ndarray | None:
    """The cells as numbers, NaN where empty; None if some are words."""
    try:
        return np.array([float(text) if text.strip() else np.nan for text in cells])
    except ValueError:
        return None


def _check_distinct(path: Path, rows_NC: np.ndarray) -> None:
    first: dict[tuple[int, ...], int] = {}
    for number, row in enumerate(map(tuple, rows_NC.tolist())):
        if row in first:
            raise UserError(
                f"table '{path}': lines {first[row] + 2} and {number + 2} are the same network. "
                "Keep one line per network, or name the missing choice in --choices."
            )
        first[row] = number
