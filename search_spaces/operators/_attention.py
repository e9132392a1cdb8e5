"""Mixers that are multi-head attention.

The number of heads is elastic at a fixed head size, as in AutoFormer (Chen et al., 2021), so
queries, keys and values may be narrower than the residual stream.
"""

from typing import ClassVar

from search_spaces._choice import Option, Options
from search_spaces._slot import Cost, Group, Shape
from search_spaces.operators._base import AbstractMixer, Mixing


class AbstractAttention(AbstractMixer):
    """A mixer of which whole heads can be pruned."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("attention",)
    mixer_dims: ClassVar[tuple[str, ...]] = ("num_heads",)

    def mixer_groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """Whole heads."""
        return {"heads": Group(pick.number("num_heads"), 1)}


def heads_of(pick: Options, shape: Shape) -> dict[str, Option]:
    """What a normalised pick says of heads: how many, and the channels of each."""
    return {"num_heads": pick["num_heads"], "head_dim": shape.head_dim}


def attended(tokens: int, keys: int, heads: int, inner: int) -> Cost:
    """Products of queries and keys, softmax, and products with values.

    Args:
        tokens: That ask.
        keys: That each of them sees.
        heads: How many.
        inner: Channels of all heads.
    """
    return Cost(attention=2 * tokens * keys * inner, elements=2 * tokens * keys * heads, calls=3)
