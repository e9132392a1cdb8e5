"""Several sets of weights share the configurations among them: who answers one best trains it.

Where maps are halved decides what weights have to do, so that configurations which share all of
their weights disturb each other. A matrix E has for every configuration and set of weights a moving
average of the accuracy. A batch takes a configuration, draws a set by softmax(sharpness * E) over
the sets, and trains that; the rows are balanced first, divided by how likely each set is over all
configurations and normalised anew, again and again, until the Kullback-Leibler divergence of that
from an even one is below a threshold: else one set would take everything.

Configurations are the options of `downsampling` and sets those of `weight_set`
(search_spaces/networks/downsampled.py); a space without one of them has one of it.

Source: Javan et al., Balanced Mixture of SuperNets for Learning the CNN Pooling Architecture
(2023). Departures: accuracies are of the batch before it is learnt from, and no images are held out
for them; a pair that was never trained has the mean accuracy of its configuration's others, so that
every set is tried; configurations are dealt, each equally often, instead of being drawn.

Shapes: A configurations, M sets of weights.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, final

import numpy as np

from search_spaces import SearchSpace, check_ranges
from search_spaces.networks.downsampled import DOWNSAMPLING, WEIGHT_SET
from supernets.methods._base import METHODS, AbstractMethod
from supernets.methods._lessons import RANDOM, read_losses
from supernets.methods._members import Members

ACCURACY = "accuracy"
"""What is kept of pairs, and reported."""

if TYPE_CHECKING:
    from torch import Tensor

    from supernets.augmentations import MixedLabels
    from supernets.context import Context
    from supernets.team import Losses, State

ROUNDS = 10_000
"""Of balancing, at most; accuracies between 0 and 1 take far fewer."""

LEAST = 1e-12
"""Of a set's weight in a row, whose largest is 1."""


@final
@METHODS.register
@dataclass(frozen=True, kw_only=True)
class Mixture(AbstractMethod):
    """One member a batch, on labels, of that set of weights which answers its like best.

    Attributes:
        space: What members there are.
        seed: Of decks.
        sparse_from: First batch in which members are pruned.
        sharpness: By how much an accuracy that is 1 higher raises the logarithm of a set's chances.
        threshold: Divergence from even use of all sets at which balancing ends, nats.
        forgets: Share of a moving average that a new accuracy replaces.
        is_within: Which rows of encodings (N, C) the limits allow; None if they allow all.
    """

    space: SearchSpace
    seed: int = 0
    sparse_from: int = 0
    sharpness: float = 30.0
    threshold: float = 0.001
    forgets: float = 0.1
    is_within: Callable[[np.ndarray], np.ndarray] | None = None

    def __post_init__(self) -> None:
        check_ranges(
            self,
            "training method 'mixture'",
            sharpness=(0.0, 1000.0),
            threshold=(1e-6, 1.0),
            forgets=(0.001, 1.0),
        )

    @property
    def needs_classes(self) -> bool:
        """Accuracy is of classes."""
        return True

    def initial_state(self) -> "State":
        """No pair has been trained."""
        shape = self._number_of(DOWNSAMPLING), self._number_of(WEIGHT_SET)
        return {ACCURACY: np.zeros(shape), "trained": np.zeros(shape, dtype=np.int64)}

    def step(self, context: "Context") -> "Losses":
        """One member, on labels; reports its configuration, its set and its accuracy."""
        encoding, place, chosen = self.draw(context.state, context.turn, context.rng)
        logits_BK = context.logits(encoding, context.images_BCHW)
        loss = context.label_loss(logits_BK, context.labels_B)
        loss.backward()
        context.report["pair"] = np.array([place, chosen])
        accuracy = _accuracy(logits_BK, context.labels_B)
        [(_, found), trained] = read_losses([(ACCURACY, accuracy), (RANDOM, loss.detach())])
        context.report[ACCURACY] = np.array(found)
        return [trained]

    def fold(self, state: "State", reports: "Sequence[State]") -> "State":
        """Moves the averages of the pairs that were trained, and counts."""
        accuracy_AM, trained_AM = state[ACCURACY].copy(), state["trained"].copy()
        for report in reports:
            pair, found = tuple(map(int, report["pair"])), float(report[ACCURACY])
            level = accuracy_AM[pair] if trained_AM[pair] else found
            accuracy_AM[pair] = level + self.forgets * (found - level)
            trained_AM[pair] += 1
        return {ACCURACY: accuracy_AM, "trained": trained_AM}

    def summary(self, state: "State") -> str:
        """Of how many configurations each set is the likeliest one."""
        best_A = self.chances(state).argmax(1)
        counts_M = np.bincount(best_A, minlength=self._number_of(WEIGHT_SET))
        if len(counts_M) == 1:
            return ""
        of_sets = ", ".join(f"w{number}: {count}" for number, count in enumerate(counts_M, 1))
        return f"configurations by the set of weights that is likeliest for them: {of_sets}"

    def draw(
        self, state: "State", turn: int, rng: np.random.Generator
    ) -> tuple[tuple[int, ...], int, int]:
        """The member of a batch by option indices, its configuration, and its set of weights.

        Args:
            state: As earlier steps have left it.
            turn: Number of the batch.
            rng: Belongs to it.
        """
        is_dense = turn < self.sparse_from
        encoding = list(self._members.draw(RANDOM, turn, rng, is_dense=is_dense))
        place = sum(encoding[column] for column in self.space.columns(DOWNSAMPLING))
        chances_M = self.chances(state)[place]
        chosen = int(rng.choice(len(chances_M), p=chances_M))
        for column in self.space.columns(WEIGHT_SET):
            encoding[column] = chosen
        return tuple(encoding), place, chosen

    def chances(self, state: "State") -> np.ndarray:
        """Of every set, for every configuration: (A, M), rows add up to 1."""
        is_known_AM = state["trained"] > 0
        known_AM = np.where(is_known_AM, state[ACCURACY], 0.0)
        means_A = known_AM.sum(1) / np.maximum(is_known_AM.sum(1), 1)
        accuracy_AM = np.where(is_known_AM, known_AM, means_A[:, None])
        highest_A = accuracy_AM.max(1, keepdims=True)
        weights_AM = np.exp(self.sharpness * (accuracy_AM - highest_A))
        return balanced(np.maximum(weights_AM, LEAST), self.threshold)

    def _number_of(self, dimension: str) -> int:
        """Options of a choice; 1 if the space has none of that name."""
        return max([1, *(self.space.cardinalities[c] for c in self.space.columns(dimension))])

    @cached_property
    def _members(self) -> Members:
        return Members(
            space=self.space, seed=self.seed, is_within=self.is_within, options=self._allowed
        )

    @cached_property
    def _allowed(self) -> dict[int, tuple[int, ...]]:
        """Configurations within the limits, by column; all if there is none."""
        found = {}
        for column in self.space.columns(DOWNSAMPLING):
            rows_NC = np.zeros((self.space.cardinalities[column], len(self.space.choices)), int)
            rows_NC[:, column] = np.arange(len(rows_NC))
            allowed = rows_NC if self.is_within is None else rows_NC[self.is_within(rows_NC)]
            found[column] = tuple(allowed[:, column].tolist())
        return found


def balanced(weights_AM: np.ndarray, threshold: float) -> np.ndarray:
    """Rows of probabilities whose mean is nearly even, from positive weights: (A, M).

    Args:
        weights_AM: Of every column in every row.
        threshold: Divergence (Kullback-Leibler, nats) of the mean row from an even one that is
            small enough.
    """
    for _ in range(ROUNDS):
        rows_AM = weights_AM / weights_AM.sum(1, keepdims=True)
        marginal_M = rows_AM.mean(0)
        if (marginal_M * np.log(marginal_M * len(marginal_M))).sum() < threshold:
            break
        weights_AM = rows_AM / marginal_M
    return rows_AM


def _accuracy(logits_BK: "Tensor", labels_B: "Tensor | MixedLabels") -> "Tensor":
    """Share of the images that are answered rightly; of mixed ones of the larger part."""
    from supernets.augmentations import MixedLabels  # needs torch, which methods load late

    answers_B = logits_BK.detach().argmax(1)
    if isinstance(labels_B, MixedLabels):
        labels_B = labels_B.first_B.where(labels_B.share_B < 0.5, labels_B.second_B)
    return (answers_B == labels_B).float().mean()
