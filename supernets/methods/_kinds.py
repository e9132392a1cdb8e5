"""Members of two kinds: convolutions alone, and blocks that mix positions otherwise.

Where no slot offers both, there is one kind, and two members of a batch differ in the operators
that they are dealt.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from search_spaces import SearchSpace, declaration
from supernets.methods._members import Members

Columns = Mapping[int, tuple[int, ...]]
"""Options by the column of a choice."""

CONVOLUTION, OTHERS = "convolution", "others"
FIRST, SECOND = "first", "second"


@final
@dataclass(frozen=True, kw_only=True)
class Kinds:
    """Draws members of both kinds.

    Attributes:
        space: What members there are.
        seed: Of the operators' decks.
        is_within: Which rows of encodings (N, C) the limits allow; None if they allow all.
    """

    space: SearchSpace
    seed: int
    is_within: Callable[[np.ndarray], np.ndarray] | None

    @property
    def names(self) -> tuple[str, str]:
        """Of the kinds; of two members where there is one kind."""
        return (CONVOLUTION, OTHERS) if self._options[0] else (FIRST, SECOND)

    def draw(
        self,
        kind: int,
        role: str,
        card: int,
        rng: np.random.Generator,
        *,
        place: int,
        is_dense: bool,
    ) -> tuple[int, ...]:
        """A member of a kind, 0 or 1; else as `Members.draw`.

        Equal generators draw equal sizes for both kinds, unless limits reduce those of one.
        """
        members = self._members[kind]
        return members.draw(role, card, rng, place=place + kind, is_dense=is_dense)

    @cached_property
    def _members(self) -> tuple[Members, Members]:
        first, second = (
            Members(space=self.space, seed=self.seed, is_within=self.is_within, options=options)
            for options in self._options
        )
        return first, second

    @cached_property
    def _options(self) -> tuple[Columns, Columns]:
        """Operators of both kinds, of the choices that offer both."""
        convolutions: dict[int, tuple[int, ...]] = {}
        others: dict[int, tuple[int, ...]] = {}
        for column in self.space.columns("operator"):
            offered = [str(option) for option in self.space.choices[column].options]
            own = tuple(i for i, name in enumerate(offered) if is_convolution(name))
            rest = tuple(i for i in range(len(offered)) if i not in own)
            if own and rest and set(offered) <= set(self.space.operators):
                convolutions[column], others[column] = own, rest
        return convolutions, others


def is_convolution(operator: str) -> bool:
    """Whether an operator mixes positions by convolutions alone."""
    return declaration(operator).mixing == ("convolution",)
