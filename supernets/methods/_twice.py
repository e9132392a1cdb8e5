"""Methods that take the step of another method twice: what the first finds disturbs the second.

Both passes train the same members on the same images, because the second draws what the first
drew. Gradients that count are those of the second, at disturbed weights or images. Losses and the
report are those of the first, so that logs, and methods that judge options, have those of weights
and images as they are. All else is the other method's.
"""

import copy
from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, final

from supernets.methods._wrapping import AbstractWrapping

if TYPE_CHECKING:
    from torch import Tensor

    from supernets.context import Context
    from supernets.team import Losses


class AbstractTwice(AbstractWrapping):
    """Takes the other method's step twice."""

    @property
    @abstractmethod
    def is_disturbing(self) -> bool:
        """Whether there is a second pass; without one this is the other method, bit by bit."""

    @abstractmethod
    def both_passes(self, context: "Context", again: "Context") -> "Losses":
        """The first step of `base` and then the second, whose gradients are left.

        Args:
            context: For the first; there are no gradients yet.
            again: The same batch for the second, which draws what the first draws.

        Returns:
            The losses of the first.
        """

    @final
    def step(self, context: "Context") -> "Losses":
        """Gradients of weights or images that are disturbed; losses of those that are there."""
        if not self.is_disturbing:
            return self.base.step(context)
        again = replace(context, rng=copy.deepcopy(context.rng), report={})
        return self.both_passes(context, again)


def taken_gradients(context: "Context") -> "list[Tensor | None]":
    """What a step has left in the parameters, which have none from then on."""
    found = [parameter.grad for parameter in context.parameters]
    context.set_gradients([None] * len(found))
    return found
