"""Methods whose batch trains one member: largest, random and smallest ones take turns."""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, final

import numpy as np

from supernets.methods._base import AbstractMethod
from supernets.methods._lessons import Lesson
from supernets.methods._members import Members

if TYPE_CHECKING:
    from supernets.context import Context


class AbstractInTurn(AbstractMethod):
    """Draws the member as `sortednet` does; its fields are those of every method."""

    seed: int
    sparse_from: int
    is_within: Callable[[np.ndarray], np.ndarray] | None

    @final
    def _in_turn(self, context: "Context") -> Lesson:
        """The batch's member, on labels."""
        is_dense = context.turn < self.sparse_from
        return self._members.in_turn(context.turn, context.rng, is_dense=is_dense)

    @cached_property
    def _members(self) -> Members:
        return Members(space=self.space, seed=self.seed, is_within=self.is_within)
