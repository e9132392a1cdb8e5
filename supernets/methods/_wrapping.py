"""Methods that train by another one, on other weights, images or conditions.

All that is not said here is the other method's.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from search_spaces import SearchSpace, UserError
from supernets.methods._base import GIVEN, METHODS, AbstractMethod

if TYPE_CHECKING:
    from supernets.team import State


class AbstractWrapping(AbstractMethod):
    """Wraps a method, with the defaults of that one's settings.

    Attributes:
        method: The other one's name; the further fields are those of every method.
    """

    method: str
    seed: int
    sparse_from: int
    is_within: Callable[[np.ndarray], np.ndarray] | None

    @cached_property
    def base(self) -> AbstractMethod:
        """The other method.

        Raises:
            UserError: If there is none of that name.
        """
        found = METHODS.get(self.method)(**{name: getattr(self, name) for name in GIVEN})
        assert isinstance(found, AbstractMethod)
        return found

    def check_base(self, where: str) -> None:
        """Refuse a name that nothing has, and methods that wrap others themselves.

        Args:
            where: Kind and name of this method, for messages.

        Raises:
            UserError: Naming what is asked for.
        """
        if issubclass(METHODS.get(self.method), AbstractWrapping):
            raise UserError(
                f"{where}: method is '{self.method}', which takes the steps of another one "
                "itself. Name one that trains by itself, such as --set method=sortednet."
            )

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
