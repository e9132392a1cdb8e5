"""Noise of one quantization step on the weights, so that few bits take little away later.

A batch trains one member, as in `sortednet`, whose weights have uniform noise of as many bits as
are drawn for the batch: it has the variance of the error of rounding, step^2 / 12, and is as smooth
as the loss itself (Shvetsov et al., QuantNAS for super resolution: searching for efficient
quantization-friendly architectures against quantization noise, 2022). Departures: activations have
no noise; the bits of all layers of a batch are the same, so that any format may follow. Their
operators are mixed by weights whose entropy is punished; a slot of ours computes one operator, so
their search is not here: `fliqs` with `joint` learns likelihoods of operators instead, likewise
with an entropy that is punished.

`supernets/methods/_rounding.py` says which weights have noise.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, final

import numpy as np

from search_spaces import SearchSpace, UserError, check_ranges
from supernets.methods._base import METHODS
from supernets.methods._in_turn import AbstractInTurn
from supernets.methods._lessons import teach

if TYPE_CHECKING:
    from supernets.context import Context
    from supernets.team import Losses

FEWEST, MOST = 2, 16
"""Bits that noise can stand for."""


@final
@METHODS.register
@dataclass(frozen=True, kw_only=True)
class QuantizationNoise(AbstractInTurn):
    """Largest, random, smallest members in turn, with noise on their weights.

    Attributes:
        space: What members there are.
        seed: Of the operators' decks.
        sparse_from: First batch in which members other than the largest are pruned.
        least_bits: Fewest bits that a batch's noise stands for.
        most_bits: Most of them.
        noisy_from: Share of the training after which there is noise.
        is_within: Which rows of encodings (N, C) the limits allow; None if they allow all.
    """

    space: SearchSpace
    seed: int = 0
    sparse_from: int = 0
    least_bits: int = 4
    most_bits: int = 8
    noisy_from: float = 0.25
    is_within: Callable[[np.ndarray], np.ndarray] | None = None

    def __post_init__(self) -> None:
        where = "training method 'quantization-noise'"
        bits = (FEWEST, MOST)
        check_ranges(self, where, least_bits=bits, most_bits=bits, noisy_from=(0.0, 1.0))
        if self.least_bits > self.most_bits:
            raise UserError(
                f"{where}: least_bits {self.least_bits} is more than most_bits {self.most_bits}. "
                "Lower the one or raise the other."
            )

    @property
    def phases(self) -> tuple[float, ...]:
        """Without noise, and with it."""
        return (0.0, self.noisy_from) if 0.0 < self.noisy_from < 1.0 else (0.0,)

    def step(self, context: "Context") -> "Losses":
        """One member, on labels, with the weights of this batch."""
        from supernets.methods._rounding import offsets, uniform_noise

        lesson = self._in_turn(context)
        if context.share_done < self.noisy_from:
            return teach(context, [lesson])
        bits = int(context.rng.integers(self.least_bits, self.most_bits + 1))
        noise = partial(uniform_noise, rng=context.rng)
        with context.moved(offsets(context, lesson.encoding, lambda slot, layer: bits, noise)):
            return teach(context, [lesson])
