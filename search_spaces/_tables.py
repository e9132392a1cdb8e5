"""Sums over slots as tables, so that many candidates are costed by numpy gathers.

A slot's signature depends on few choices, so all its signatures fit one small table; any function
of signatures that adds up over slots becomes one gather per slot. Exact extremes and counts over
the whole space come from eliminating one choice after another (Dechter, Bucket Elimination, 1999).
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from search_spaces._choice import Choice, Option
from search_spaces._errors import CandidateError, UserError
from search_spaces._network import SlotRule, Staged
from search_spaces._slot import Signature

MACHINE_INTEGER = 2**62
"""Counts beyond it are Python's integers: exact, and slow."""

Factor = tuple[tuple[int, ...], np.ndarray]
"""Indices of choices, and an array with one axis for each of them."""


@dataclass(frozen=True)
class SlotTable:
    """All signatures of one slot.

    Attributes:
        name: The slot's.
        columns: Indices of the choices it depends on, shared ones first.
        num_shared: How many of them are shared with other slots.
        ids: Signature number for every combination of options; 0 where the slot is left out.
    """

    name: str
    columns: tuple[int, ...]
    num_shared: int
    ids: np.ndarray

    @cached_property
    def canonical(self) -> np.ndarray:
        """For every combination, the first combination of own options with the same signature.

        Shape of `ids`; values are flat indices over the own axes.
        """
        shared = int(np.prod(self.ids.shape[: self.num_shared], dtype=int))
        rows = self.ids.reshape(shared, -1)
        first = np.empty_like(rows)
        for row, out in zip(rows, first, strict=True):
            _, index, inverse = np.unique(row, return_index=True, return_inverse=True)
            out[:] = index[inverse]
        return first.reshape(self.ids.shape)

    @property
    def own_shape(self) -> tuple[int, ...]:
        """Numbers of options of the slot's own choices."""
        return self.ids.shape[self.num_shared :]


class SlotTables:
    """The tables of all slots of a space, over one numbering of signatures."""

    def __init__(self, choices: Sequence[Choice], network: Staged) -> None:
        self.signatures: list[Signature | None] = [None]
        self._numbers: dict[Signature | None, int] = {None: 0}
        self._positions = {choice.name: i for i, choice in enumerate(choices)}
        self._choices = choices
        rules = [rule for rule in network.slot_rules() if self._exists(rule)]
        self.slots = tuple(self._table(rule, network) for rule in rules)

    def gather(self, encodings_NC: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Sum over slots of `values[signature number]` for every encoding."""
        total = np.zeros((len(encodings_NC), *values.shape[1:]), values.dtype)
        for slot in self.slots:
            total += values[self.ids(slot, encodings_NC)]
        return total

    def ids(self, slot: SlotTable, encodings_NC: np.ndarray) -> np.ndarray:
        """Signature number of one slot for every encoding."""
        return slot.ids[tuple(encodings_NC[:, column] for column in slot.columns)]

    def _exists(self, rule: SlotRule) -> bool:
        """A slot whose operator was trimmed away never exists; policy choices may be missing."""
        needed = (*(n for n in rule.shared if not is_policy(n)), *rule.own[:1])
        return all(name in self._positions for name in needed)

    def _table(self, rule: SlotRule, network: Staged) -> SlotTable:
        shared = [name for name in rule.shared if name in self._positions]
        # Dimensions that no operator of the slot reads any more may have been trimmed away.
        names = [*shared, *(name for name in rule.own if name in self._positions)]
        columns = tuple(self._positions[name] for name in names)
        options = [self._choices[column].options for column in columns]
        ids = np.zeros([len(values) for values in options], int)
        for index in self._distinct(rule, network, names, options):
            taken = {
                name: values[i]
                for name, values, i in zip(names, options, index, strict=True)
                if isinstance(i, int)
            }
            try:
                ids[index] = self._number(network.signature(rule.name, taken))
            except CandidateError as error:
                raise UserError(f"{rule.name} cannot be made: {error}") from error
        return SlotTable(rule.name, columns, len(shared), ids)

    def _distinct(
        self,
        rule: SlotRule,
        network: Staged,
        names: Sequence[str],
        options: Sequence[tuple[Option, ...]],
    ) -> Iterator[tuple[int | slice, ...]]:
        """Indices that together cover a slot's table: all options where a dimension is not read."""
        if not rule.own:
            yield from itertools.product(*(range(len(values)) for values in options))
            return
        operator = names.index(rule.own[0])
        for number, name in enumerate(options[operator]):
            read = {
                rule.own[0],
                *rule.shared,
                *(f"{rule.name}.{d}" for d in network.reads(str(name))),
            }
            axes: list[list[int | slice]] = [
                list(range(len(values))) if own in read else [slice(None)]
                for own, values in zip(names, options, strict=True)
            ]
            axes[operator] = [number]
            yield from itertools.product(*axes)

    def _number(self, signature: Signature | None) -> int:
        number = self._numbers.setdefault(signature, len(self.signatures))
        if number == len(self.signatures):
            self.signatures.append(signature)
        return number


class Additive:
    """Named quantities that add up over slots, for any number of candidates at once."""

    def __init__(
        self,
        tables: SlotTables,
        function: Callable[[Signature], Mapping[str, float]],
        metrics: tuple[str, ...],
    ) -> None:
        self.metrics = metrics
        self._tables = tables
        rows = [
            function(s) if s is not None else dict.fromkeys(metrics, 0.0) for s in tables.signatures
        ]
        self._values = np.array([[row[m] for m in metrics] for row in rows], dtype=float)
        self._own: dict[tuple[str, int], list[tuple[np.ndarray, np.ndarray]]] = {}

    def of(self, metric: str, encodings_NC: np.ndarray) -> np.ndarray:
        """The metric of every encoding, shape (N,). Canonical form does not matter."""
        return self._tables.gather(np.asarray(encodings_NC), self._column(metric))

    def minimum(
        self, metric: str, fixed: Mapping[int, int] | None = None
    ) -> tuple[float, tuple[int, ...]]:
        """The smallest value over the whole space, exactly, and an encoding that has it.

        Args:
            metric: One of `metrics`.
            fixed: Option indices that are given, by index of the choice.
        """
        return self._extreme(metric, 1, fixed or {})

    def maximum(
        self, metric: str, fixed: Mapping[int, int] | None = None
    ) -> tuple[float, tuple[int, ...]]:
        """The largest value over the whole space, exactly, and an encoding that has it."""
        value, encoding = self._extreme(metric, -1, fixed or {})
        return -value, encoding

    def _column(self, metric: str) -> np.ndarray:
        return self._values[:, self.metrics.index(metric)]

    def _extreme(
        self, metric: str, sign: int, fixed: Mapping[int, int]
    ) -> tuple[float, tuple[int, ...]]:
        slots, values = self._tables.slots, sign * self._column(metric)
        num_choices = 1 + max(column for slot in slots for column in slot.columns)
        decided: list[tuple[int, tuple[int, ...], np.ndarray]] = []
        factors: list[Factor] = []
        free: list[tuple[SlotTable, np.ndarray]] = []
        for slot, (least, best) in zip(slots, self._best_own(metric, sign), strict=True):
            if fixed.keys() & set(slot.columns[slot.num_shared :]):
                factors.append((slot.columns, values[slot.ids]))
            else:
                factors.append((slot.columns[: slot.num_shared], least))
                free.append((slot, best))
        for choice, option in fixed.items():
            only = np.full(self._cardinality(choice), np.inf)
            only[option] = 0.0
            factors.append(((choice,), only))
        for choice in elimination_order(factors):
            columns, table = combine(factors, choice, np.add)
            decided.append((choice, columns[:-1], table.argmin(axis=-1)))
            factors = [f for f in factors if choice not in f[0]]
            factors.append((columns[:-1], table.min(axis=-1)))
        encoding = [0] * num_choices
        for choice, columns, best in reversed(decided):
            encoding[choice] = int(best[tuple(encoding[column] for column in columns)])
        for slot, best in free:
            flat = best[tuple(encoding[column] for column in slot.columns[: slot.num_shared])]
            own = np.unravel_index(int(flat), slot.own_shape) if slot.own_shape else ()
            for column, index in zip(slot.columns[slot.num_shared :], own, strict=True):
                encoding[column] = int(index)
        return float(sum(float(table) for _, table in factors)), tuple(encoding)

    def _best_own(self, metric: str, sign: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Per slot and shared options: the least value its own options reach, and which do.

        Own options concern no other slot, so they need not take part in the elimination.
        """
        if (metric, sign) not in self._own:
            values = sign * self._column(metric)
            self._own[metric, sign] = [
                (table.min(axis=-1), table.argmin(axis=-1))
                for slot in self._tables.slots
                for table in [values[slot.ids].reshape(*slot.ids.shape[: slot.num_shared], -1)]
            ]
        return self._own[metric, sign]

    def _cardinality(self, choice: int) -> int:
        return len(self._tables._choices[choice].options)


def elimination_order(factors: Sequence[Factor]) -> list[int]:
    """Choices in an order that keeps intermediate tables small: fewest neighbours first."""
    scopes = [set(columns) for columns, _ in factors]
    remaining = set().union(*scopes)
    order: list[int] = []
    while remaining:
        choice = min(remaining, key=lambda c: (len(set().union(*(s for s in scopes if c in s))), c))
        joined = set().union(*(s for s in scopes if choice in s)) - {choice}
        scopes = [s for s in scopes if choice not in s] + [joined]
        order.append(choice)
        remaining.remove(choice)
    return order


def combine(factors: Sequence[Factor], choice: int, operation: np.ufunc) -> Factor:
    """All factors that mention `choice` as one, with `choice` as the last axis."""
    involved = [(columns, table) for columns, table in factors if choice in columns]
    union = sorted({column for columns, _ in involved for column in columns} - {choice})
    union.append(choice)
    total: np.ndarray | None = None
    for columns, table in involved:
        order = sorted(range(len(columns)), key=lambda axis: union.index(columns[axis]))
        sizes = dict(zip(columns, table.shape, strict=True))
        spread = table.transpose(order).reshape([sizes.get(column, 1) for column in union])
        total = spread if total is None else operation(total, spread)
    assert total is not None
    return tuple(union), total


def count(factors: Sequence[Factor]) -> int:
    """How many assignments all factors (arrays of 0 and 1) allow."""
    remaining = list(factors)
    for choice in elimination_order(remaining):
        involved = [f for f in remaining if choice in f[0]]
        most = math.prod(int(table.max()) for _, table in involved) * involved[0][1].size
        if most >= MACHINE_INTEGER:
            involved = [(columns, table.astype(object)) for columns, table in involved]
        columns, table = combine(involved, choice, np.multiply)
        remaining = [f for f in remaining if choice not in f[0]]
        remaining.append((columns[:-1], np.asarray(table.sum(axis=-1))))
    total = 1
    for _, table in remaining:
        total *= int(table.item())
    return total


def is_policy(name: str) -> bool:
    """Whether a choice is about compression rather than architecture."""
    return name.rpartition(".")[2] in ("precision", "sparsity")
