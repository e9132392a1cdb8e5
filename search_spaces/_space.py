"""A search space: ordered choices, canonical form, size and costs.

A point is a tuple of option indices, architecture choices first, policy choices after them.
Two encodings that describe the same computation have the same canonical form:

1. an inactive choice has index 0;
2. a slot's own options are the first ones that give its signature (a kernel larger than the map
   reaches is the largest kernel that matters; options that its operator does not read are 0);
3. a shared option that changes no slot is the first such option (a sparsity that removes nothing,
   a format that differs from another one in linear layers alone, where there are none).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from search_spaces._candidate import Candidate
from search_spaces._canonical import canonicalise_own, shared_that_may_change_nothing
from search_spaces._choice import Choice, Option, Options
from search_spaces._elimination import Factor, count
from search_spaces._errors import UserError, did_you_mean
from search_spaces._metrics import COST_METRICS, MODELLED_MACS, costs_of, modelled_costs_of
from search_spaces._slot import DENSE, FULL_RANK, Slot
from search_spaces._tables import Additive, SlotTables, check_all_are_read, is_policy
from search_spaces._treatment import PATTERN, PRECISION, RANK, with_treatments
from search_spaces.networks._base import (
    AbstractNetwork,
    SlotRule,
    network_from_json,
    network_to_json,
)
from search_spaces.trunk._base import TRUNK

SCHEMA = 1
ENUMERABLE = 200_000


@dataclass(frozen=True)
class SearchSpace:
    """Everything that may be decided.

    Attributes:
        name: As on the command line.
        choices: Architecture choices, then policy choices.
        network: What the choices build; None for a space that is only a table of numbers.
    """

    name: str
    choices: tuple[Choice, ...]
    network: AbstractNetwork | None = None

    @staticmethod
    def of_network(name: str, network: AbstractNetwork) -> "SearchSpace":
        """The space of a network's architecture choices."""
        return SearchSpace(name, network.arch_choices(), network)

    def with_policy(
        self,
        precisions: Sequence[str],
        sparsities: Sequence[float],
        *,
        patterns: Sequence[str] = (DENSE,),
        ranks: Sequence[str] = (FULL_RANK,),
    ) -> "SearchSpace":
        """This space with further choices: one precision and one sparsity per stage.

        And one pattern and one rank, where there are others than those of trained weights.
        """
        assert self.network is not None
        own = self.network.policy_choices(tuple(precisions), tuple(sorted(sparsities)))
        policy = with_treatments(own, {PATTERN: patterns, RANK: ranks})
        arch = tuple(choice for choice in self.choices if not is_policy(choice.name))
        return replace(self, choices=arch + policy)

    def restricted(self, options: Mapping[str, Iterable[Option]]) -> "SearchSpace":
        """This space with only the given options of the named choices.

        Choices that can then never be active are dropped.
        """
        kept: list[Choice] = []
        offered: dict[str, tuple[Option, ...]] = {}
        for choice in self.choices:
            reachable = all(
                name in offered and any(option in allowed for option in offered[name])
                for name, allowed in choice.active_if
            )
            if not reachable:
                continue
            wanted = set(options.get(choice.name, choice.options))
            kept.append(replace(choice, options=tuple(o for o in choice.options if o in wanted)))
            offered[choice.name] = kept[-1].options
        return replace(self, choices=tuple(kept))

    @cached_property
    def cardinalities(self) -> tuple[int, ...]:
        """Number of options of every choice."""
        return tuple(len(choice.options) for choice in self.choices)

    @cached_property
    def tables(self) -> SlotTables | None:
        """All signatures of all slots; None for a space without a network."""
        return SlotTables(self.choices, self.network) if self.network else None

    @cached_property
    def costs(self) -> Additive | None:
        """Costs of any candidate that are known exactly; None without a network.

        Where patterns are offered also `modelled_macs`, those of kernels that have them.
        """
        if self.tables is None:
            return None
        if not self.columns(PATTERN):
            return Additive(self.tables, costs_of, COST_METRICS)
        return Additive(self.tables, modelled_costs_of, (*COST_METRICS, MODELLED_MACS))

    @cached_property
    def size(self) -> int:
        """Number of distinct candidates, exact.

        Except that shared options which change nothing (rule 3) are counted as distinct in spaces
        of more than 200,000 encodings.
        """
        encodings = math.prod(self.cardinalities)
        if self._shared_that_may_change_nothing and encodings <= ENUMERABLE:
            everything = np.indices(self.cardinalities).reshape(len(self.choices), -1).T
            return len(np.unique(self.canonical_many(everything), axis=0))
        return count(self._canonical_factors())

    def index(self, name: str) -> int:
        """Position of the choice called `name`.

        Raises:
            UserError: If there is none.
        """
        if name not in self._positions:
            raise UserError(
                f"space '{self.name}' has no choice '{name}'. {did_you_mean(name, self._positions)}"
            )
        return self._positions[name]

    def choice(self, name: str) -> Choice:
        """The choice called `name`."""
        return self.choices[self.index(name)]

    def columns(self, dimension: str) -> list[int]:
        """Positions of the choices of one dimension, such as "precision", over all stages."""
        return [i for i, c in enumerate(self.choices) if c.name.rpartition(".")[2] == dimension]

    @cached_property
    def policy_columns(self) -> list[int]:
        """Positions of the choices about compression."""
        return [i for i, choice in enumerate(self.choices) if is_policy(choice.name)]

    @cached_property
    def precisions(self) -> tuple[str, ...]:
        """The formats that some stage may have, in order."""
        return self._offered("precision")

    @cached_property
    def patterns(self) -> tuple[str, ...]:
        """The sparsity patterns that some stage may have, in order; dense if none is offered."""
        return self._offered(PATTERN) or (DENSE,)

    @cached_property
    def is_brought(self) -> bool:
        """Whether the largest member is a network that has learnt already."""
        return self.network is not None and self.network.is_brought

    @cached_property
    def operators(self) -> tuple[str, ...]:
        """The operators that some block may have, in order."""
        trunk = TRUNK.names()
        return tuple(name for name in self._offered("operator") if name not in trunk)

    def with_operator(self, name: str) -> dict[int, int]:
        """By position of every choice that offers an operator, the option that is it."""
        offering = ((i, self.choices[i].options) for i in self.columns("operator"))
        return {i: options.index(name) for i, options in offering if name in options}

    def _offered(self, dimension: str) -> tuple[str, ...]:
        options = (str(o) for i in self.columns(dimension) for o in self.choices[i].options)
        return tuple(dict.fromkeys(options))

    def in_precision(self, encodings_NC: np.ndarray, precision: str) -> np.ndarray:
        """Copies of encodings with one format in every stage that offers it.

        Trimming may have left a stage fewer formats; without this one it gets its first.
        """
        return self._throughout(encodings_NC, PRECISION, precision)

    def in_pattern(self, encodings_NC: np.ndarray, pattern: str) -> np.ndarray:
        """Copies of encodings with one sparsity pattern in every stage that offers it."""
        return self._throughout(encodings_NC, PATTERN, pattern)

    def _throughout(self, encodings_NC: np.ndarray, dimension: str, option: str) -> np.ndarray:
        encodings_NC = np.array(encodings_NC)
        for column in self.columns(dimension):
            options = self.choices[column].options
            encodings_NC[:, column] = options.index(option) if option in options else 0
        return encodings_NC

    def sample(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """`n` encodings, uniform over the options of every choice, not canonicalised: (n, C)."""
        return rng.integers(0, self.cardinalities, size=(n, len(self.choices)))

    def canonical(self, encoding: Sequence[int]) -> tuple[int, ...]:
        """The canonical form of one encoding."""
        return tuple(int(i) for i in self.canonical_many(np.array([encoding]))[0])

    def canonical_many(self, encodings_NC: np.ndarray) -> np.ndarray:
        """The canonical form of every row."""
        encodings_NC = np.array(encodings_NC)
        self._zero_inactive(encodings_NC)
        if self.tables:
            for slot in self.tables.slots:
                canonicalise_own(slot, encodings_NC)
            for choice in self._shared_that_may_change_nothing:
                self._lower_shared(choice, encodings_NC)
        return encodings_NC

    def is_active(self, encodings_NC: np.ndarray) -> np.ndarray:
        """Which choices matter in every row: booleans, shape (N, C)."""
        active_NC = np.ones(encodings_NC.shape, bool)
        for column, conditions in enumerate(self._conditions):
            for other, allowed in conditions:
                active_NC[:, column] &= allowed[encodings_NC[:, other]]
        return active_NC

    def candidate(self, encoding: Sequence[int]) -> Candidate:
        """The canonical candidate of an encoding.

        Raises:
            UserError: If the encoding does not fit the space.
        """
        if len(encoding) != len(self.choices) or any(
            not 0 <= i < n for i, n in zip(encoding, self.cardinalities, strict=True)
        ):
            raise UserError(
                f"encoding {tuple(encoding)} does not fit space '{self.name}'. "
                f"It has {len(self.choices)} choices with {self.cardinalities} options."
            )
        canonical = self.canonical(encoding)
        active = self.is_active(np.array([canonical]))[0]
        arch: dict[str, Option] = {}
        policy: dict[str, Option] = {}
        for choice, index, is_active in zip(self.choices, canonical, active, strict=True):
            if is_active:
                face = policy if is_policy(choice.name) else arch
                face[choice.name] = choice.options[index]
        return Candidate(canonical, Options(arch), Options(policy))

    def encode(self, options: Mapping[str, Option]) -> tuple[int, ...]:
        """The canonical encoding of readable options; missing choices are inactive."""
        indices = [
            choice.options.index(options[choice.name]) if choice.name in options else 0
            for choice in self.choices
        ]
        return self.canonical(indices)

    def slots(self, encoding: Sequence[int]) -> tuple[Slot, ...]:
        """What fills every slot of the encoded network, in the order data flows."""
        assert self.tables is not None
        filled: list[Slot] = []
        row = np.array([encoding], int)
        handed_on: dict[str, tuple[str, ...]] = {}
        previous: tuple[str, ...] = ("",)
        for rule, table in self.tables.rules:
            number = 0 if table is None else self.tables.ids(table, row)[0]
            signature = self.tables.signatures[number]
            inputs, named = previous, rule.inputs
            if callable(named):
                named = None if signature is None else named(self._taken(rule, encoding))
            if named is not None:
                inputs = tuple(x for name in named for x in handed_on.get(name, (name,)))
            if signature is None:
                handed_on[rule.name] = previous = inputs
            else:
                before = filled[-1].name if filled else ""
                own = None if inputs == (before,) else inputs
                filled.append(Slot(rule.name, signature, own, rule.join))
                previous = (rule.name,)
        return tuple(filled)

    def _taken(self, rule: SlotRule, encoding: Sequence[int]) -> dict[str, Option]:
        """What a rule's choices say, of those that are left."""
        names = (n for n in (*rule.shared, *rule.own, *rule.routes) if n in self._positions)
        columns = {name: self._positions[name] for name in names}
        return {name: self.choices[i].options[encoding[i]] for name, i in columns.items()}

    def to_json(self) -> dict[str, Any]:
        """Everything `from_json` needs: choices, and the network's numbers."""
        choices = [
            {"name": c.name, "options": c.options, "active_if": c.active_if} for c in self.choices
        ]
        network = network_to_json(self.network) if self.network else None
        return {"schema": SCHEMA, "name": self.name, "choices": choices, "network": network}

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> "SearchSpace":
        """The inverse of `to_json`.

        Raises:
            ValueError: If no slot of its network reads one of the choices.
        """
        choices = tuple(
            Choice(
                c["name"],
                tuple(c["options"]),
                tuple((name, tuple(allowed)) for name, allowed in c["active_if"]),
            )
            for c in document["choices"]
        )
        network = network_from_json(document["network"]) if document["network"] else None
        if network is not None:
            check_all_are_read(choices, network)
        return SearchSpace(document["name"], choices, network)

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {choice.name: i for i, choice in enumerate(self.choices)}

    @cached_property
    def _conditions(self) -> tuple[tuple[tuple[int, np.ndarray], ...], ...]:
        """For every choice: index of another one, and which of its options make this one active.

        The conditions of a choice that is named in a condition are among them.
        """
        found: dict[str, dict[int, np.ndarray]] = {}

        def collect(choice: Choice) -> dict[int, np.ndarray]:
            if choice.name not in found:
                allowed_by_index: dict[int, np.ndarray] = {}
                for name, options in choice.active_if:
                    other = self.choice(name)
                    own = (self.index(name), np.isin(other.options, options))
                    for index, allowed in (own, *collect(other).items()):
                        allowed_by_index[index] = allowed_by_index.get(index, True) & allowed
                found[choice.name] = allowed_by_index
            return found[choice.name]

        return tuple(tuple(collect(choice).items()) for choice in self.choices)

    @cached_property
    def _shared_that_may_change_nothing(self) -> tuple[int, ...]:
        return shared_that_may_change_nothing(self.choices, self.tables) if self.tables else ()

    def _zero_inactive(self, encodings_NC: np.ndarray) -> None:
        encodings_NC[~self.is_active(encodings_NC)] = 0

    def _lower_shared(self, choice: int, encodings_NC: np.ndarray) -> None:
        """Applies rule 3 to one choice, in place."""
        assert self.tables is not None
        slots = [slot for slot in self.tables.slots if choice in slot.columns]
        now = [self.tables.ids(slot, encodings_NC) for slot in slots]
        for option in reversed(range(self.cardinalities[choice])):
            trial = encodings_NC.copy()
            trial[:, choice] = option
            same = np.all(
                [self.tables.ids(s, trial) == ids for s, ids in zip(slots, now, strict=True)],
                axis=0,
            )
            encodings_NC[same & (encodings_NC[:, choice] > option), choice] = option

    def _canonical_factors(self) -> list[Factor]:
        """Arrays that say in how many ways a part of an encoding is canonical."""
        slots = self.tables.slots if self.tables else ()
        factors: list[Factor] = [(slot.shared, slot.num_distinct) for slot in slots]
        of_slots = {column for slot in slots for column in slot.own}
        for column, conditions in enumerate(self._conditions):
            if column in of_slots:
                continue
            others = tuple(other for other, _ in conditions)
            active = np.ones((), int)
            for _, allowed in conditions:
                active = np.multiply.outer(active, allowed.astype(int))
            first = np.zeros(self.cardinalities[column], int)
            first[0] = 1
            factors.append(((*others, column), np.maximum(active[..., None], first)))
        return factors
