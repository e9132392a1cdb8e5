"""The gradient where the loss is about largest nearby, for minima that are flat.

Networks of attention and of channel mixing end in sharp minima where images are few or little
varied; a step along the gradient at the worst weights within a radius avoids them (Chen et al.,
When Vision Transformers Outperform ResNets without Pre-training or Strong Data Augmentations, 2021,
with the method of Foret et al., Sharpness-Aware Minimization for Efficiently Improving
Generalization, 2021). The worst weights are about those a radius up the gradient.

Departures: any other training method is wrapped, and the loss is that of all members of its batch;
each batch of a step looks for its own worst weights. A batch costs twice what the other method's
does. Gradients are clipped and weights decay as with all methods.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from search_spaces import SearchSpace, check_ranges
from supernets.methods._base import METHODS
from supernets.methods._twice import AbstractTwice, taken_gradients

if TYPE_CHECKING:
    from supernets.context import Context
    from supernets.team import Losses

TINY = 1e-24
"""Added to the square of a gradient's norm, which may be 0."""


@final
@METHODS.register
@dataclass(frozen=True, kw_only=True)
class SharpnessAware(AbstractTwice):
    """Another method's batch, with the gradients at weights a radius up its gradients.

    Attributes:
        space: What members there are.
        seed: The other method's.
        sparse_from: The other method's.
        method: The other method's name.
        radius: How far weights are moved, by the Euclidean norm over all that have a gradient; 0
            for the other method alone.
        is_within: The other method's.
    """

    space: SearchSpace
    seed: int = 0
    sparse_from: int = 0
    method: str = "sortednet"
    radius: float = 0.05
    is_within: Callable[[np.ndarray], np.ndarray] | None = None

    def __post_init__(self) -> None:
        where = "training method 'sharpness-aware'"
        check_ranges(self, where, radius=(0.0, 10.0))
        self.check_base(where)

    @property
    def is_disturbing(self) -> bool:
        """Whether weights are moved."""
        return self.radius > 0.0

    def both_passes(self, context: "Context", again: "Context") -> "Losses":
        """At the weights, and a radius up the gradients that are found there."""
        losses = self.base.step(context)
        uphill = taken_gradients(context)
        norm = (sum(g.square().sum() for g in uphill if g is not None) + TINY) ** 0.5
        with context.moved([None if g is None else g * (self.radius / norm) for g in uphill]):
            self.base.step(again)
        return losses
