"""Hypothesis strategies and small examples: shapes, picks, signatures, spaces, candidates, policies."""

import math
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from nas.testing._drawn import DIMENSIONS, SPARSITIES, draw_family, draw_signature
from nas.testing._drawn import signature as signature
from nas.testing._tensors import noise as noise
from nas.testing._tensors import randomise_ as randomise_
from search_spaces import (
    FORMATS,
    Candidate,
    Option,
    SearchSpace,
    Signature,
    Slot,
    Stage,
    Staged,
    declaration,
)
from search_spaces.operators._base import OPERATORS


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
        operators = draw(_subset(tuple(OPERATORS.names()), most=2))
        dims = {dim for name in operators for dim in declaration(name).dims}
        options = tuple((dim, draw(_subset(DIMENSIONS[dim], most=2))) for dim in sorted(dims))
        stages.append(
            Stage(
                widths=draw(_subset((8, 12, 16), most=2)),
                depths=depths,
                operators=operators,
                options=options,
                head_dim=4,
            )
        )
    space = _small_network(
        "drawn", 16, tuple(stages), draw(st.sampled_from(((), (2, 1))))
    ).with_policy(*draw(policies()))
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


def covering(space: SearchSpace, *, seed: int = 0, samples: int = 500) -> list[Candidate]:
    """Few candidates in which every option of every choice is active at least once."""
    rng = np.random.default_rng(seed)
    found = [space.candidate(row) for row in space.sample(rng, samples).tolist()]
    options = {
        candidate: {*candidate.arch.items(), *candidate.policy.items()} for candidate in found
    }
    missing = set().union(*options.values())
    chosen = []
    while missing:
        best = max(found, key=lambda candidate: len(options[candidate] & missing))
        chosen.append(best)
        missing -= options[best]
    return chosen


def mini_space(
    *, resolution: int = 16, operators: tuple[str, ...] | None = None, classes: int = 10
) -> SearchSpace:
    """All operators in narrow stages: trains in seconds."""
    names = tuple(OPERATORS.names()) if operators is None else operators
    dims = {dim for name in names for dim in declaration(name).dims}
    stage = Stage(
        widths=(8, 16),
        depths=(1, 2),
        operators=names,
        options=tuple((dim, DIMENSIONS[dim][:2]) for dim in DIMENSIONS if dim in dims),
        head_dim=8,
    )
    second = replace(stage, widths=(16, 32))
    return _small_network("mini", resolution, (stage, second, second), classes=classes)


def uniform(space: SearchSpace, **options: Option) -> tuple[int, ...]:
    """The canonical encoding in which every choice ending in a given name has that option.

    Choices that are not named have their last option.
    """
    row = []
    for choice in space.choices:
        wanted = options.get(choice.name.rpartition(".")[2])
        row.append(len(choice.options) - 1 if wanted is None else choice.options.index(wanted))
    return space.canonical(row)


def slots_of(space: SearchSpace, **options: Option) -> tuple[Slot, ...]:
    """The slots of `uniform`."""
    return space.slots(uniform(space, **options))


def _small_network(
    name: str,
    resolution: int,
    stages: tuple[Stage, ...],
    strides: tuple[int, ...] = (),
    *,
    classes: int = 10,
) -> SearchSpace:
    network = Staged(
        resolution=resolution,
        channels=1,
        num_classes=classes,
        stages=stages[: 2 if resolution < 32 else 3],
        stem_strides=strides,
    )
    return SearchSpace.of_network(name, network)


def _subset(options: tuple, *, most: int | None = None) -> st.SearchStrategy[tuple]:
    """Some of the options, at least one, in their order."""
    return st.lists(
        st.sampled_from(options), min_size=1, max_size=most or len(options), unique=True
    ).map(lambda chosen: tuple(option for option in options if option in chosen))
