"""Operators' signatures drawn at random: any options, at any place, dense or pruned.

What draws is an argument, so that property tests draw from the same as seeded checks.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from search_spaces import (
    FULL_PRECISION,
    CandidateError,
    Option,
    Options,
    Shape,
    Signature,
    declaration,
)
from search_spaces._sides import Sides
from search_spaces.channel_attentions._base import CHANNEL_ATTENTION
from search_spaces.channel_parts._base import CHANNEL_PART
from search_spaces.norms._base import NORM
from search_spaces.operators._repeated import REPEATS

DIMENSIONS: dict[str, tuple[Option, ...]] = {
    "kernel_size": (3, 5, 7, 9),
    "expand_ratio": (1, 2, 3, 4),
    "num_heads": (1, 2, 3, 4),
    "sr_ratio": (1, 2, 3, 4),
    "eca": (0, 1),
    "order": (2, 3, 4, 5),
    "num_elements": (2, 4, 8, 12),
    "num_bands": (1, 2, 3, 4),
    "attention": (0, 1),
    "depthwise": (0, 1),
    "growth": (8, 16),
    "group_size": (4, 8),
    "num_modes": (1, 2, 4, 8),
    "num_latents": (2, 3, 4, 6),
    "num_groups": (1, 2, 4, 8),
    "token_share": (1, 0.75, 0.5, 0.25),
}
"""What our operators read."""

OTHER_DIMENSION: tuple[Option, ...] = (1, 2, 3, 4)
"""Options of any other dimension of numbers. A plug-in refuses with `CandidateError` what it cannot
do."""

NOT_SQUARE: tuple[Sides, ...] = ((11, 6), (8, 11), (12, 16))
SIZES = (*((side, side) for side in (4, 5, 7, 8, 9, 12, 16)), *NOT_SQUARE)
WIDTHS = (4, 6, 8, 12, 16, 24)
HEAD_DIMS = (4, 8)
SPARSITIES = (0.0, 0.25, 0.5, 0.9)
TRIES = 20
"""Draws per wanted one: more refusals than that are the operator's mistake."""

Choose = Callable[[Sequence[Any]], Any]
"""Draws one of several."""


def signature(operator: str, pick: Options, shape: Shape, sparsity: float = 0.0) -> Signature:
    """The signature of a pick, in fp32."""
    rule = declaration(operator)
    normal = rule.normalise(Options({**rule.defaults, **pick}), shape)
    groups = rule.groups(normal, shape)
    kept = Options({name: group.kept(sparsity) for name, group in groups.items()})
    return Signature(operator, shape, normal, kept, FULL_PRECISION)


def options_of(operator: str, dim: str) -> tuple[Option, ...]:
    """What may be drawn for a dimension that an operator reads.

    Of channel parts, channel attentions and passes the default alone: these have their own checks.
    """
    rule = declaration(operator)
    if dim in (CHANNEL_PART, CHANNEL_ATTENTION, REPEATS):
        return (rule.defaults[dim],)
    return tuple(rule.words.get(dim, ())) or DIMENSIONS.get(dim, OTHER_DIMENSION)


def draw_signature(operator: str, choose: Choose, **fixed: Option) -> Signature:
    """A block with any options, but for those that are fixed, at any place."""
    place = _place(choose)
    return signature(operator, _pick(operator, choose, fixed), place, choose(SPARSITIES))


def draw_not_square(operator: str, choose: Choose) -> Signature:
    """A block with any options at a map that is not square."""
    place = _place(choose, NOT_SQUARE)
    return signature(operator, _pick(operator, choose, {}), place, choose(SPARSITIES))


def draw_family(operator: str, choose: Choose, **fixed: Option) -> tuple[Signature, Signature]:
    """The largest member of a family at one place, and a smaller or equal one."""
    place = _place(choose)
    small, other = _pick(operator, choose, fixed), _pick(operator, choose, fixed)
    if NORM in small:  # each has weights of its own
        other = Options({**other, NORM: small[NORM]})
    large = Options({name: _larger(other[name], option) for name, option in small.items()})
    width = choose([width for width in WIDTHS if width <= place.width])
    narrow = replace(place, in_width=width, width=width)
    return signature(operator, large, place), signature(operator, small, narrow, choose(SPARSITIES))


def seeded(operator: str, draw: Callable[[str, Choose], Any], number: int) -> Iterator[Any]:
    """`number` seeded draws, without those that the operator refuses.

    Raises:
        AssertionError: If it refuses nearly all.
    """
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(TRIES * number):
        try:
            drawn = draw(operator, lambda options: options[int(rng.integers(len(options)))])
        except CandidateError as error:
            refusal = str(error)
            continue
        yield drawn
        found += 1
        if found == number:
            return
    raise AssertionError(f"nearly all options and places are refused, the last one so: {refusal}")


def _place(choose: Choose, sizes: Sequence[Sides] = SIZES) -> Shape:
    """Where a block may sit."""
    size, width = choose(sizes), choose(WIDTHS)
    return Shape(size, size, width, width, choose((0, 1)), choose(HEAD_DIMS))


def _pick(operator: str, choose: Choose, fixed: Mapping[str, Option]) -> Options:
    """One option for every dimension that the operator reads."""
    dims = declaration(operator).dims
    return Options({**{dim: choose(options_of(operator, dim)) for dim in dims}, **fixed})


def _larger(one: Option, other: Option) -> Option:
    """The larger number; of words the first."""
    return one if isinstance(one, str) or isinstance(other, str) else max(one, other)
