"""Sums over slots as tables, so that many candidates are costed by numpy gathers.

A slot's signature depends on few choices, so all its signatures fit one small table; any function
of signatures and of how many maps they join that adds up over slots becomes one gather per slot.
Exact extremes over the whole space come from eliminating one choice after another
(`_elimination.py`).
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from search_spaces._choice import Choice, Option
from search_spaces._declarations import signature_cost
from search_spaces._elimination import Factor, combine, elimination_order
from search_spaces._errors import CandidateError, UserError
from search_spaces._precision import precision_here
from search_spaces._slot import Signature, Slot
from search_spaces._treatment import PRECISION, UNTREATED, treated, treatments_beside
from search_spaces.networks._base import AbstractNetwork, SlotRule


@dataclass(frozen=True)
class SlotTable:
    """All signatures of one slot: for each of its operators those of the options that it reads.

    So the table is as large as the sum of what operators read, not as their product.

    Attributes:
        name: The slot's.
        shared: Indices of the choices that it shares with other slots.
        own: Indices of its own choices, the operator's first; () if nothing is its own.
        shared_shape: Numbers of options of the shared ones.
        ids: Number of what fills it, of every combination; 0 where it is left out. Operators follow
            each other; each has a row per combination of shared options.
        options_KO: Own options of every combination; 0 for what its operator does not read.
        starts: Where the combinations of each operator begin.
        strides_PC: By operator and choice (shared ones, then own ones), how far neighbouring
            options are apart in `ids`; 0 for what is not read.
    """

    name: str
    shared: tuple[int, ...]
    own: tuple[int, ...]
    shared_shape: tuple[int, ...]
    ids: np.ndarray
    options_KO: np.ndarray
    starts: np.ndarray
    strides_PC: np.ndarray

    @property
    def columns(self) -> tuple[int, ...]:
        """Indices of all choices that the slot depends on."""
        return self.shared + self.own

    def places(self, encodings_NC: np.ndarray) -> np.ndarray:
        """Where in `ids` the combination of every encoding is: shape (N,)."""
        options_NC = encodings_NC[:, self.columns]
        first = len(self.shared)
        operator_N = options_NC[:, first] if self.own else np.zeros(len(options_NC), int)
        apart_NC = self.strides_PC[operator_N]
        return self.starts[operator_N] + np.einsum("nc,nc->n", apart_NC, options_NC)

    def rows(self) -> list[np.ndarray]:
        """For every operator its places, a row per combination of shared options: (S, K) each."""
        ends = [*self.starts[1:], len(self.ids)]
        num_shared = int(np.prod(self.shared_shape, dtype=int))
        return [
            np.arange(start, end).reshape(num_shared, -1)
            for start, end in zip(self.starts, ends, strict=True)
        ]

    @cached_property
    def canonical(self) -> np.ndarray:
        """For every place, that of the first combination of own options with its signature.

        Where the slot is left out, all own options are the first ones.
        """
        found = np.empty_like(self.ids)
        places = self.rows()
        for rows in places:
            for row, nothing in zip(rows, places[0][:, 0], strict=True):
                ids, index, inverse = np.unique(
                    self.ids[row], return_index=True, return_inverse=True
                )
                first = np.where(ids > 0, row[index], nothing)
                found[row] = first[inverse]
        return found

    @cached_property
    def num_distinct(self) -> np.ndarray:
        """How many signatures own options make of each combination of shared ones, at least 1."""
        is_first = (self.canonical == np.arange(len(self.ids))) & (self.ids > 0)
        number_S = sum(is_first[rows].sum(axis=1) for rows in self.rows())
        return np.maximum(number_S, 1).reshape(self.shared_shape)


class SlotTables:
    """The tables of all slots of a space, over one numbering of what fills them.

    Equal signatures have one number, unless they join different numbers of maps.

    Attributes:
        filled: By number a slot without names, of itself and of its inputs; None for 0.
        slots: Of the slots that can exist.
        rules: Of all slots, each with its table or None if trimming has left it out for good.
    """

    def __init__(self, choices: Sequence[Choice], network: AbstractNetwork) -> None:
        self.filled: list[Slot | None] = [None]
        self._numbers: dict[object, int] = {}
        self._kept: dict[object, tuple[Signature, int]] = {}  # by id, as comparing fields is slow
        self._positions = {choice.name: i for i, choice in enumerate(choices)}
        self._choices = choices
        self._is_treated = any(c.name.rpartition(".")[2] in UNTREATED for c in choices)
        rules = network.slot_rules()
        self.rules = tuple((r, self._table(r, network) if self._exists(r) else None) for r in rules)
        self._kept.clear()
        self.slots = tuple(table for _, table in self.rules if table is not None)

    @cached_property
    def signatures(self) -> list[Signature | None]:
        """Of what fills slots, by number; None for 0."""
        return [None if slot is None else slot.signature for slot in self.filled]

    def gather(self, encodings_NC: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Sum over slots of `values[number]` for every encoding."""
        total = np.zeros((len(encodings_NC), *values.shape[1:]), values.dtype)
        for slot in self.slots:
            total += values[self.ids(slot, encodings_NC)]
        return total

    def ids(self, slot: SlotTable, encodings_NC: np.ndarray) -> np.ndarray:
        """Number of what fills one slot for every encoding."""
        return slot.ids[slot.places(encodings_NC)]

    def _exists(self, rule: SlotRule) -> bool:
        """A slot whose operator was trimmed away never exists; policy choices may be missing."""
        needed = (*(n for n in rule.shared if not is_policy(n)), *rule.own[:1])
        return all(name in self._positions for name in needed)

    def _table(self, rule: SlotRule, network: AbstractNetwork) -> SlotTable:
        shared = [n for n in treatments_beside(rule.shared) if n in self._positions]
        # Dimensions that no operator of the slot reads any more may have been trimmed away.
        own = [name for name in rule.own if name in self._positions]
        ids: list[int] = []
        starts, strides, options = [], [], []
        routed = {n: self._options(n)[0] for n in rule.routes if n in self._positions}
        for place, operator in enumerate(self._options(own[0]) if own else (None,)):
            dims = {f"{rule.name}.{dim}" for dim in network.reads(str(operator))} if own else set()
            read = [*shared, *(name for name in own[1:] if name in dims)]
            starts.append(len(ids))
            strides.append(self._strides(read, [*shared, *own]))
            options.append(self._own_options(own, read, place))
            filled: dict[str, Option] = {own[0]: operator} if operator is not None else {}
            try:
                for values in itertools.product(*map(self._options, read)):
                    taken = filled | dict(zip(read, values, strict=True))
                    found = network.signature(rule.name, taken)
                    if found is not None and self._is_treated:
                        found = treated(found, taken)
                    ids.append(self._number(rule, found, routed | taken if routed else taken))
            except CandidateError as error:
                raise UserError(f"{rule.name} cannot be made: {error}") from error
        return SlotTable(
            name=rule.name,
            shared=tuple(self._positions[name] for name in shared),
            own=tuple(self._positions[name] for name in own),
            shared_shape=tuple(len(self._options(name)) for name in shared),
            ids=np.array(ids),
            options_KO=np.concatenate(options),
            starts=np.array(starts),
            strides_PC=np.array(strides, int).reshape(len(starts), len(shared) + len(own)),
        )

    def _own_options(self, own: Sequence[str], read: Sequence[str], operator: int) -> np.ndarray:
        """Own options of all combinations of what one operator reads, in order: shape (K, O).

        Args:
            own: Names of the slot's choices, the operator's first.
            read: Names of those that are read, shared ones among them.
            operator: Its index.
        """
        sizes = (len(self._options(name)) for name in read)
        index_KR = np.array(list(itertools.product(*map(range, sizes))), np.int16)
        options_KO = np.zeros((len(index_KR), len(own)), np.int16)
        options_KO[:, :1] = operator
        for column, name in enumerate(own):
            if name in read:
                options_KO[:, column] = index_KR[:, read.index(name)]
        return options_KO

    def _options(self, name: str) -> tuple[Option, ...]:
        return self._choices[self._positions[name]].options

    def _strides(self, read: Sequence[str], columns: Sequence[str]) -> list[int]:
        """How far apart neighbouring options are if all of what is read is gone through in order.

        Args:
            read: Names of choices, the slowest first.
            columns: Those whose strides are wanted; 0 where one is not read.
        """
        found, stride = dict.fromkeys(columns, 0), 1
        for name in reversed(read):
            found[name] = stride
            stride *= len(self._options(name))
        return [found[name] for name in columns]

    def _number(
        self, rule: SlotRule, signature: Signature | None, options: Mapping[str, Option]
    ) -> int:
        """The number of what fills a slot; what is left out upstream leaves it as many inputs."""
        inputs = rule.inputs
        if callable(inputs):
            inputs = inputs(options) if signature is not None else None
        num_inputs = max(1, len(inputs or ()))
        if signature is None:
            if num_inputs > 1:
                raise UserError(
                    f"a network leaves out slot '{rule.name}', which joins {num_inputs} others. "
                    "What feeds a slot stands in its place, so one that is left out reads a single "
                    "slot. Give it one input, or always fill it."
                )
            return 0
        seen = id(signature), num_inputs, rule.join
        if seen in self._kept:
            return self._kept[seen][1]
        computed = _as_computed(signature)
        key = computed if num_inputs == 1 else (computed, num_inputs, rule.join)
        number = self._numbers.setdefault(key, len(self.filled))
        if number == len(self.filled):
            nameless = ("",) * num_inputs if num_inputs > 1 else None
            self.filled.append(Slot("", computed, nameless, rule.join))
        if not self._is_treated:
            self._kept[seen] = signature, number
        return number


def _as_computed(signature: Signature) -> Signature:
    """With the one of the formats that do the same here."""
    precision = precision_here(signature.precision, partial(signature_cost, signature))
    if precision == signature.precision:
        return signature
    return replace(signature, precision=precision)


class Additive:
    """Named quantities that add up over slots, for any number of candidates at once."""

    def __init__(
        self,
        tables: SlotTables,
        function: Callable[[Slot], Mapping[str, float]],
        metrics: tuple[str, ...],
    ) -> None:
        self.metrics = metrics
        self._tables = tables
        rows = [
            function(s) if s is not None else dict.fromkeys(metrics, 0.0) for s in tables.filled
        ]
        self._values = np.array([[row[m] for m in metrics] for row in rows], dtype=float)
        self._own: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = {}

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
        return self._least(self._column(metric), fixed or {}, name=metric)

    def maximum(
        self, metric: str, fixed: Mapping[int, int] | None = None
    ) -> tuple[float, tuple[int, ...]]:
        """The largest value over the whole space, exactly, and an encoding that has it."""
        value, encoding = self._least(-self._column(metric), fixed or {}, name=f"-{metric}")
        return -value, encoding

    def minimum_of(self, weights: Mapping[str, float]) -> tuple[float, tuple[int, ...]]:
        """The smallest sum of weighted metrics over the whole space, and an encoding that has it.

        Args:
            weights: By name of the metric.
        """
        parts = [weight * self._column(metric) for metric, weight in weights.items()]
        return self._least(np.sum(parts, axis=0), {})

    def _column(self, metric: str) -> np.ndarray:
        return self._values[:, self.metrics.index(metric)]

    def _least(
        self, values_S: np.ndarray, fixed: Mapping[int, int], *, name: str = ""
    ) -> tuple[float, tuple[int, ...]]:
        """The smallest sum of values over slots, and an encoding that has it.

        Args:
            values_S: By number of what fills a slot.
            fixed: Option indices that are given, by index of the choice.
            name: Of values that are asked for again and again; "" for others.
        """
        slots = self._tables.slots
        num_choices = 1 + max(column for slot in slots for column in slot.columns)
        of_slots = {column for slot in slots for column in slot.own}
        chosen = [self._best_own(slot, values_S, fixed, name) for slot in slots]
        factors: list[Factor] = [
            (slot.shared, least) for slot, (least, _) in zip(slots, chosen, strict=True)
        ]
        for choice in fixed.keys() - of_slots:
            only = np.full(self._cardinality(choice), np.inf)
            only[fixed[choice]] = 0.0
            factors.append(((choice,), only))
        decided: list[tuple[int, tuple[int, ...], np.ndarray]] = []
        for choice in elimination_order(factors):
            columns, table = combine(factors, choice, np.add)
            decided.append((choice, columns[:-1], table.argmin(axis=-1)))
            factors = [f for f in factors if choice not in f[0]]
            factors.append((columns[:-1], table.min(axis=-1)))
        encoding = [0] * num_choices
        for choice, columns, best in reversed(decided):
            encoding[choice] = int(best[tuple(encoding[column] for column in columns)])
        for slot, (_, best) in zip(slots, chosen, strict=True):
            place = best[tuple(encoding[column] for column in slot.shared)]
            for column, option in zip(slot.own, slot.options_KO[place], strict=True):
                encoding[column] = fixed.get(column, int(option))
        return float(sum(float(table) for _, table in factors)), tuple(encoding)

    def _best_own(
        self, slot: SlotTable, values_S: np.ndarray, fixed: Mapping[int, int], name: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """By shared options the least value that own options reach, and the place where they do.

        Own options concern no other slot, so they need not take part in the elimination.

        Args:
            slot: Whose.
            values_S: By number of what fills a slot.
            fixed: Options that are given; one that an operator does not read restricts nothing.
            name: Of values whose answer is kept; "" for others.
        """
        given = {place: fixed[c] for place, c in enumerate(slot.own) if c in fixed}
        key = (slot.name, name)
        if not given and key in self._own:
            return self._own[key]
        values_K = values_S[slot.ids]
        leasts, places = [], []
        for operator, rows in enumerate(slot.rows()):
            values = values_K[rows]
            for place, option in given.items():
                is_read = slot.strides_PC[operator, len(slot.shared) + place] > 0
                if place == 0 or is_read:
                    fits_K = slot.options_KO[rows[0], place] == option
                    values = np.where(fits_K, values, np.inf)
            best = values.argmin(axis=1)[:, None]
            leasts.append(np.take_along_axis(values, best, axis=1)[:, 0])
            places.append(np.take_along_axis(rows, best, axis=1)[:, 0])
        operator_S = np.argmin(leasts, axis=0)[None]
        found = tuple(
            np.take_along_axis(np.stack(parts), operator_S, axis=0)[0].reshape(slot.shared_shape)
            for parts in (leasts, places)
        )
        if name and not given:
            self._own[key] = found[0], found[1]
        return found[0], found[1]

    def _cardinality(self, choice: int) -> int:
        return len(self._tables._choices[choice].options)


def check_all_are_read(choices: Sequence[Choice], network: AbstractNetwork) -> None:
    """Refuse choices that decide about no slot.

    Raises:
        ValueError: If there is one.
    """
    rules = network.slot_rules()
    read = {
        name
        for rule in rules
        for name in (*treatments_beside(rule.shared), *rule.own, *rule.routes)
    }
    read.update(name for choice in choices for name, _ in choice.active_if)
    unread = [choice.name for choice in choices if choice.name not in read]
    if unread:
        raise ValueError(f"nothing reads choice '{unread[0]}'")


def is_policy(name: str) -> bool:
    """Whether a choice is about compression rather than architecture."""
    return name.rpartition(".")[2] in (PRECISION, "sparsity", *UNTREATED)
