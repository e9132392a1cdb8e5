"""Methods that train by another one, on other weights, images or conditions.

All that is not said here is the other method's.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from search_spaces import SearchSpace, UserError
from search_spaces._given import given_options
from supernets.methods._base import GIVEN, METHODS, AbstractMethod

if TYPE_CHECKING:
    from supernets.team import State


class AbstractWrapping(AbstractMethod):
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
    def base_name(self) -> str:
        """Of the other method, without its settings."""
        return self.method.partition(":")[0]

    @cached_property
    def base(self) -> AbstractMethod:
        """The other method.

        Raises:
            UserError: If there is none of that name, or it has no such setting.
        """
        _, colon, rest = self.method.partition(":")
        name = self.base_name
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
        if issubclass(METHODS.get(self.base_name), AbstractWrapping):
            raise UserError(
                f"{where}: method is '{self.method}', which takes the steps of another one "
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

    def augment_at(self, augment: str, share_done: float) -> str:
        """The other method's."""
        return self.base.augment_at(augment, share_done)

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
