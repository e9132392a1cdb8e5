"""A training method: one uniformly drawn member per batch, on labels.

Source: Guo et al., Single Path One-Shot Neural Architecture Search with Uniform Sampling (2020),
section 3.2. Departure: it is the first of 64 draws that is within the budgets, if one is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np

from search_spaces import SearchSpace
from supernets.methods import METHODS, RANDOM, AbstractLessons, Lesson

DRAWS = 64


@final
@METHODS.register
@dataclass(frozen=True, kw_only=True)
class SinglePath(AbstractLessons):
    """Uniform over encodings; `seed` is not needed, because every batch has its own generator."""

    space: SearchSpace
    seed: int = 0
    sparse_from: int = 0
    is_within: Callable[[np.ndarray], np.ndarray] | None = None

    def plan(self, turn: int, rng: np.random.Generator) -> list[Lesson]:
        rows_NC = self.space.sample(rng, DRAWS)
        if turn < self.sparse_from:
            rows_NC[:, self.space.columns("sparsity")] = 0
        place = 0 if self.is_within is None else int(self.is_within(rows_NC).argmax())
        return [Lesson(RANDOM, tuple(rows_NC[place].tolist()))]
