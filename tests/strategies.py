"""Hypothesis strategies and small examples: shapes, picks, signatures, spaces, candidates, policies."""

import math

import numpy as np
from hypothesis import strategies as st

from nas.testing._drawn import SPARSITIES, draw_family, draw_signature
from nas.testing._drawn import options_of as options_of
from nas.testing._drawn import signature as signature
from nas.testing._spaces import covering as covering
from nas.testing._spaces import mini_space as space_of
from nas.testing._spaces import slots_of as slots_of
from nas.testing._spaces import small_space
from nas.testing._spaces import uniform as uniform
from nas.testing._tensors import noise as noise
from nas.testing._tensors import randomise_ as randomise_
from search_spaces import (
    FORMATS,
    Candidate,
    Resolution,
    SearchSpace,
    Signature,
    Stage,
    declaration,
)
from search_spaces.channel_attentions._base import CHANNEL_ATTENTION, CHANNEL_ATTENTIONS
from search_spaces.channel_parts._base import CHANNEL_PART, CHANNEL_PARTS
from search_spaces.operators._base import OPERATORS

EIGHT = ("basic", "convnext", "inception", "mbconv", "moat", "raft", "sra", "window")
"""Operators of all kinds, for tests that are not about each: another operator changes nothing."""


def policies() -> st.SearchStrategy[tuple[tuple[str, ...], tuple[float, ...]]]:
    """Precisions and sparsities that a space may offer."""
    return st.tuples(_subset(tuple(FORMATS.names())), _subset(SPARSITIES))


@st.composite
def signatures(draw: st.DrawFn, operator: str) -> Signature:
    """A block with any options at any place."""
    return draw_signature(operator, lambda options: draw(st.sampled_from(options)))


@st.composite
def families(draw: st.DrawFn, operator: str) -> tuple[Signature, Signature]:
    """The largest member of a family at one place, and a smaller or equal one."""
    return draw_family(operator, lambda options: draw(st.sampled_from(options)))


@st.composite
def spaces(draw: st.DrawFn, *, max_encodings: int = 20_000) -> SearchSpace:
    """Two stages with any operators, and a policy; few enough encodings to enumerate."""
    stages = []
    for depths in (draw(st.sampled_from(((1,), (1, 2)))), (1,)):
        clusters = draw(st.sampled_from(((1,), (1, 2, 4)))) if max(depths) > 1 else (1,)
        operators = draw(_subset(tuple(OPERATORS.names()), most=2))
        read = {dim: options_of(name, dim) for name in operators for dim in declaration(name).dims}
        for dim, parts in ((CHANNEL_PART, CHANNEL_PARTS), (CHANNEL_ATTENTION, CHANNEL_ATTENTIONS)):
            if dim in read:
                read[dim] = tuple(parts.names())
        options = tuple((dim, draw(_subset(read[dim], most=2))) for dim in sorted(read))
        stages.append(
            Stage(
                widths=draw(_subset((8, 12, 16), most=2)),
                depths=depths,
                operators=operators,
                options=options,
                head_dim=4,
                tokens_per_cluster=clusters,
            )
        )
    strides = draw(st.sampled_from(((), (2, 1))))
    space = small_space("drawn", 16, stages, strides).with_policy(*draw(policies()))
    for choice in reversed(space.choices):
        if math.prod(space.cardinalities) <= max_encodings:
            break
        space = space.restricted({choice.name: choice.options[:1]})
    return space


@st.composite
def encodings(draw: st.DrawFn, space: SearchSpace) -> tuple[int, ...]:
    """Any encoding, canonical or not."""
    return tuple(draw(st.integers(0, number - 1)) for number in space.cardinalities)


def candidates(space: SearchSpace) -> st.SearchStrategy[Candidate]:
    """Any candidate of a space."""
    return encodings(space).map(space.candidate)


def everything(space: SearchSpace) -> np.ndarray:
    """All encodings of a small space, canonical or not: (N, C)."""
    return np.indices(space.cardinalities).reshape(len(space.choices), -1).T


def mini_space(
    *,
    resolution: Resolution = 16,
    operators: tuple[str, ...] = EIGHT,
    classes: int = 10,
    channel_parts: tuple[str, ...] = (),
) -> SearchSpace:
    """These operators in narrow stages."""
    return space_of(operators, resolution=resolution, classes=classes, channel_parts=channel_parts)


def _subset(options: tuple, *, most: int | None = None) -> st.SearchStrategy[tuple]:
    """Some of the options, at least one, in their order."""
    return st.lists(
        st.sampled_from(options), min_size=1, max_size=most or len(options), unique=True
    ).map(lambda chosen: tuple(option for option in options if option in chosen))
