"""Drawing members of a supernet for training: extremes of the elastic dimensions, dealt operators.

"Largest" and "smallest" are extremes of the elastic dimensions only. Operators have no order, so
every slot deals its operators from a shuffled deck, which gives each operator each role equally
often; so it does its channel parts, channel attentions and norms, which have weights of their own,
cells deal their operations and what feeds them, a stitched network its paths, and a row of blocks
where maps are halved, and its sets of weights.
The stem deals its strides: networks that keep the resolution are few within a budget, and would
hardly be trained.
Where a budget leaves out the largest members, nobody trains them: a member beyond it is reduced,
one random size at a time, until it is within, so that the largest of a batch is one of the many
largest that the budget allows. The smallest sizes are trained with whatever operators they are
dealt. Sparsity is sampled once channels have been ranked.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import final

import numpy as np

from search_spaces import Choice, SearchSpace
from search_spaces.channel_attentions._base import CHANNEL_ATTENTION
from search_spaces.channel_parts._base import CHANNEL_PART
from search_spaces.networks.downsampled import DOWNSAMPLING, WEIGHT_SET
from search_spaces.networks.stitched import PATH
from search_spaces.norms._base import NORM
from supernets.methods._lessons import LARGEST, RANDOM, SMALLEST, Lesson

MORE_IS_SMALLER = (".sparsity", ".sr_ratio", ".num_groups", ".tokens_per_cluster")
"""Choices of which more leaves less to compute."""

NEAR, PAIRS = 0.05, 64
"""How far multiply-adds may be from those that are wanted, as a share; of how many pairs of changes
they are looked up at a time."""

NAMED = ("operator", "operation", "inputs", "edges")
"""Choices of what fills slots, and of what feeds what in a cell."""

TURNS = (LARGEST, LARGEST, RANDOM, RANDOM, SMALLEST, SMALLEST, RANDOM, RANDOM)
"""In pairs, so that two processes which share a step have about equally long work."""


@final
@dataclass(frozen=True, kw_only=True)
class Members:
    """Draws the members that training methods train.

    Attributes:
        space: What members there are.
        seed: Of the operators' decks.
        is_within: Which rows of encodings (N, C) the limits allow; None if they allow all.
        options: Those that members have, by column and in order; all of columns that are not there.
    """

    space: SearchSpace
    seed: int = 0
    is_within: Callable[[np.ndarray], np.ndarray] | None = None
    options: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

    def in_turn(
        self, turn: int, rng: np.random.Generator, *, is_dense: bool, opened: float = 1.0
    ) -> Lesson:
        """One member, on labels: roles and operators take turns over batches.

        Args:
            turn: Number of the batch.
            rng: Draws sizes.
            is_dense: Whether nothing of it may be pruned.
            opened: As in `draw`; at 0 all are largest ones.
        """
        card, place = divmod(turn, len(TURNS))
        role = TURNS[place] if opened else LARGEST
        encoding = self.draw(role, card, rng, place=place, is_dense=is_dense, opened=opened)
        return Lesson(role, encoding)

    def draw(
        self,
        role: str,
        card: int,
        rng: np.random.Generator,
        *,
        place: int = 0,
        is_dense: bool = False,
        opened: float = 1.0,
    ) -> tuple[int, ...]:
        """One member, by option indices.

        Args:
            role: "largest", "smallest", or "random" for random sizes.
            card: Number of the card that every slot deals; successive ones are other operators.
            rng: Draws sizes.
            place: Among members that are dealt at the same time, which have other operators each.
            is_dense: Whether nothing of it may be pruned.
            opened: Share of the range of sizes, from the largest on, that they are drawn from.
        """
        encoding = self._sizes(role, rng)
        if opened < 1.0:
            self._raise(encoding, opened)
        self._deal(encoding, card, place, is_dense=is_dense)
        if role != SMALLEST or opened < 1.0:
            encoding = self._fitted(encoding, rng)
        return tuple(encoding.tolist())

    def draw_near(
        self,
        macs: float,
        card: int,
        rng: np.random.Generator,
        *,
        place: int = 0,
        is_dense: bool = False,
    ) -> tuple[int, ...]:
        """One member within the limits that has about so many multiply-adds.

        Random sizes are changed until it has; where no sizes do with the operators that are dealt,
        these are changed, too. It ends where it is `NEAR`, or where two changes bring it no nearer.

        Args:
            macs: How many.
            card: As in `draw`.
            rng: Draws sizes, and which of them are changed.
            place: As in `draw`.
            is_dense: As in `draw`.
        """
        sizes = {c: up for c, up in self._sized.items() if c not in self._dealt_options}
        if is_dense:
            sizes = {c: up for c, up in sizes.items() if c not in self._sparsity}
        encoding = self._sizes(RANDOM, rng)
        self._deal(encoding, card, place, is_dense=is_dense)
        is_small = self._macs(encoding[None])[0] < macs
        chain_NC = _chain(encoding, sizes, rng, by=1 if is_small else -1)
        encoding = chain_NC[np.abs(self._macs(chain_NC) - macs).argmin()]
        encoding = self._nearer(encoding, sizes, macs)
        encoding = self._nearer(encoding, {**sizes, **self._dealt_options}, macs)
        return tuple(self._fitted(encoding, rng).tolist())

    def _nearer(
        self, encoding: np.ndarray, options: Mapping[int, Sequence[int]], macs: float
    ) -> np.ndarray:
        """The encoding after changes, two options at a time, the best ones, until it is near.

        What two changes do together is looked up for the `PAIRS` whose sum is nearest.

        Args:
            encoding: To begin with.
            options: That may be taken, by column.
            macs: Multiply-adds that it is to have.
        """
        changes = [(column, option) for column, own in options.items() for option in own]
        columns_N, options_N = np.array(changes, dtype=int).reshape(-1, 2).T
        now = self._macs(encoding[None])[0]
        while changes and abs(now / macs - 1.0) > NEAR:
            rows_NC = np.repeat(encoding[None], len(changes), axis=0)
            rows_NC[np.arange(len(changes)), columns_N] = options_N
            gains_N = self._macs(rows_NC) - now
            far_P = np.abs(now + gains_N[:, None] + gains_N - macs).ravel()  # with no change, too
            nearest_P = far_P.argpartition(min(PAIRS, len(far_P) - 1))[:PAIRS]
            first_P, second_P = np.divmod(nearest_P, len(changes))
            rows_PC = rows_NC[first_P]
            rows_PC[np.arange(len(rows_PC)), columns_N[second_P]] = options_N[second_P]
            found_P = self._macs(rows_PC)
            best = np.abs(found_P - macs).argmin()
            if abs(found_P[best] - macs) >= abs(now - macs):
                break
            encoding, now = rows_PC[best], found_P[best]
        return encoding

    def _macs(self, encodings_NC: np.ndarray) -> np.ndarray:
        assert self.space.costs is not None
        return self.space.costs.of("macs", encodings_NC)

    def _deal(self, encoding: np.ndarray, card: int, place: int, *, is_dense: bool) -> None:
        """Gives every slot its operator and what else is dealt, in place."""
        if is_dense:
            encoding[self._sparsity] = 0
        for column in self._dealt:
            offered = self._offered(column)
            deck = len(offered)
            order = _shuffled(self.seed, column, deck, card // deck)
            encoding[column] = offered[order[(card + place) % deck]]

    def part_of(self, whole: Sequence[int], drawn: Sequence[int]) -> tuple[int, ...]:
        """A member whose weights are slices of another one's, as far as sizes decide about that.

        Args:
            whole: The other one.
            drawn: The same, but for sizes: those that are larger than the other one's become its.
        """
        found = list(drawn)
        for column, upwards in self._sized.items():
            found[column] = min(whole[column], drawn[column], key=upwards.index)
        return tuple(found)

    @cached_property
    def _dealt(self) -> list[int]:
        of_networks = (PATH, DOWNSAMPLING, WEIGHT_SET)
        dims = (*NAMED, "stride", CHANNEL_PART, CHANNEL_ATTENTION, NORM, *of_networks)
        return [column for dim in dims for column in self.space.columns(dim)]

    @cached_property
    def _dealt_options(self) -> dict[int, tuple[int, ...]]:
        return {column: self._offered(column) for column in self._dealt}

    def _offered(self, column: int) -> tuple[int, ...]:
        """Options of a column that members have."""
        return self.options.get(column) or tuple(range(self.space.cardinalities[column]))

    @cached_property
    def _sparsity(self) -> list[int]:
        return self.space.columns("sparsity")

    def _sizes(self, role: str, rng: np.random.Generator) -> np.ndarray:
        if role in (LARGEST, SMALLEST):
            extremes = [self._offered(column)[0] for column in range(len(self.space.choices))]
            for column, upwards in self._sized.items():
                extremes[column] = upwards[-1 if role == LARGEST else 0]
            return np.array(extremes)
        encoding = self.space.sample(rng, 1)[0]
        for column, offered in self.options.items():
            number = encoding[column] * len(offered) // self.space.cardinalities[column]
            encoding[column] = offered[number]
        return encoding

    def _raise(self, encoding: np.ndarray, opened: float) -> None:
        """Moves all sizes into the upper part of their range, in place."""
        for column, upwards in self._sized.items():
            lowest = round((1.0 - opened) * (len(upwards) - 1))
            rank = upwards.index(encoding[column])
            encoding[column] = upwards[lowest + rank * (len(upwards) - lowest) // len(upwards)]

    def _fitted(self, encoding: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The encoding, with random sizes reduced one by one until it is within the limits."""
        if self.is_within is None:
            return encoding
        chain_NC = _chain(encoding, self._sizes_upwards, rng, by=-1)
        within_N = self.is_within(chain_NC)
        return chain_NC[int(within_N.argmax()) if within_N.any() else -1]

    @cached_property
    def _sizes_upwards(self) -> dict[int, list[int]]:
        """Of every column of sizes but sparsity: its options, from the smallest network's."""
        fixed = {*self._sparsity, *self._dealt}
        return {c: upwards for c, upwards in self._sized.items() if c not in fixed}

    @cached_property
    def _sized(self) -> dict[int, list[int]]:
        """Of every column whose options have an order: they, from the smallest network's."""
        return {
            column: [option for option in _upwards(choice) if option in self._offered(column)]
            for column, choice in enumerate(self.space.choices)
            if not _is_named(choice)
        }


def _chain(
    encoding: np.ndarray, upwards: Mapping[int, list[int]], rng: np.random.Generator, *, by: int
) -> np.ndarray:
    """What an encoding becomes as random sizes change one by one: rows (N, C), the first is itself.

    Args:
        encoding: To begin with.
        upwards: Options of the sizes that change, from the smallest on, by column.
        rng: Draws the order.
        by: 1 until all are the largest, -1 until all are the smallest.
    """
    rank = {column: order.index(encoding[column]) for column, order in upwards.items()}
    left = {c: r if by < 0 else len(upwards[c]) - 1 - r for c, r in rank.items()}
    changes = rng.permutation([column for column, number in left.items() for _ in range(number)])
    chain_NC = np.repeat(encoding[None], len(changes) + 1, axis=0)
    for n, column in enumerate(changes, start=1):
        rank[column] += by
        chain_NC[n:, column] = upwards[column][rank[column]]
    return chain_NC


@lru_cache(maxsize=4096)
def _shuffled(seed: int, column: int, deck: int, round_number: int) -> tuple[int, ...]:
    rng = np.random.default_rng([seed, column, round_number])
    return tuple(rng.permutation(deck).tolist())


def _is_named(choice: Choice) -> bool:
    """Whether its options are names, which have no order."""
    return any(isinstance(option, str) for option in choice.options)


def _upwards(choice: Choice) -> list[int]:
    """Options from the one that makes the network smallest: less of it, or more is removed."""
    more_is_smaller = choice.name.endswith(MORE_IS_SMALLER)
    return sorted(
        range(len(choice.options)), key=lambda i: float(choice.options[i]), reverse=more_is_smaller
    )
