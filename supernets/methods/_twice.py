"""Methods that take the step of another method twice: what the first finds disturbs the second.

Both passes train the same members on the same images, because the second draws what the first
drew. Gradients that count are those of the second, at disturbed weights or images. Losses and the
report are those of the first, so that logs, and methods that judge options, have those of weights
and images as they are. All else is the other method's.
"""

import copy
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, final

import numpy as np

from search_spaces import SearchSpace, UserError
from supernets._given import given_options
from supernets.methods._base import GIVEN, METHODS, AbstractMethod

if TYPE_CHECKING:
    from torch import Tensor

    from supernets.context import Context
    from supernets.team import Losses, State


class AbstractTwice(AbstractMethod):
    """Wraps a method.

    Attributes:
        method: The other one's name, and perhaps its settings: "delayed:largest_share=0.3". The
            further fields are those of every method.
    """

    method: str
    seed: int
    sparse_from: int
    is_within: Callable[[np.ndarray], np.ndarray] | None

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

    @cached_property
    def base(self) -> AbstractMethod:
        """The other method.

        Raises:
            UserError: If there is none of that name, or it has no such setting.
        """
        name, colon, rest = self.method.partition(":")
        cls = METHODS.get(name)
        kinds = {f.name: f.type for f in fields(cls) if f.name not in GIVEN}
        settings = given_options(rest, f"training method '{name}'", kinds) if colon else {}
        found = cls(**{name: getattr(self, name) for name in GIVEN}, **settings)
        assert isinstance(found, AbstractMethod)
        return found

    def check_base(self, where: str) -> None:
        """Refuse what is no method with such settings, and methods that wrap others themselves.

        Args:
            where: Kind and name of this method, for messages.

        Raises:
            UserError: Naming what is asked for.
        """
        if issubclass(METHODS.get(self.method.partition(":")[0]), AbstractTwice):
            raise UserError(
                f"{where}: method is '{self.method}', which takes the steps of another one twice "
                "itself. Name one that trains by itself, such as --set method=sortednet."
            )
        try:
            assert self.base
        except UserError as error:
            raise UserError(f"{where}: method is '{self.method}': {error}") from error

    @property
    def phases(self) -> tuple[float, ...]:
        """The other method's."""
        return self.base.phases

    @property
    def needs_average(self) -> bool:
        """The other method's."""
        return self.base.needs_average

    @property
    def needs_classes(self) -> bool:
        """The other method's."""
        return self.base.needs_classes

    def initial_state(self) -> "State":
        """The other method's."""
        return self.base.initial_state()

    def fold(self, state: "State", reports: "Sequence[State]") -> "State":
        """The other method's."""
        return self.base.fold(state, reports)

    def remaining(self, state: "State") -> SearchSpace:
        """The other method's."""
        return self.base.remaining(state)

    def summary(self, state: "State") -> str:
        """The other method's."""
        return self.base.summary(state)


def taken_gradients(context: "Context") -> "list[Tensor | None]":
    """What a step has left in the parameters, which have none from then on."""
    found = [parameter.grad for parameter in context.parameters]
    context.set_gradients([None] * len(found))
    return found
