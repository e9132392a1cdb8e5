"""Small spaces with random weights, and members that have every option of theirs."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nas.testing._drawn import DIMENSIONS
from nas.testing._tensors import randomise_
from search_spaces import (
    Candidate,
    Option,
    Resolution,
    SearchSpace,
    Slot,
    Stage,
    Staged,
    declaration,
    pyramid,
)
from search_spaces.channel_parts._base import CHANNEL_PART
from supernets.supernet import Supernet


def mini_space(
    operators: Sequence[str],
    *,
    resolution: Resolution = 16,
    classes: int = 10,
    channel_parts: tuple[str, ...] = (),
    widest: int = 32,
) -> SearchSpace:
    """These operators in narrow stages, for images of one channel: trains in seconds."""
    dims = {dim for name in operators for dim in declaration(name).dims}
    options = {dim: DIMENSIONS[dim][:2] for dim in DIMENSIONS if dim in dims}
    if channel_parts:
        options[CHANNEL_PART] = channel_parts
    stage = Stage(
        widths=(8, 16),
        depths=(1, 2),
        operators=tuple(operators),
        options=tuple(options.items()),
        head_dim=8,
    )
    second = replace(stage, widths=(16, widest))
    return small_space("mini", resolution, (stage, second, second), classes=classes)


def small_space(
    name: str,
    resolution: Resolution,
    stages: Sequence[Stage],
    strides: tuple[int, ...] = (),
    *,
    classes: int = 10,
) -> SearchSpace:
    """The first of these stages, as many as this resolution has."""
    network = Staged(
        resolution=resolution,
        channels=1,
        num_classes=classes,
        stages=tuple(stages[: len(pyramid(resolution).sizes)]),
        stem_strides=strides,
    )
    return SearchSpace.of_network(name, network)


def random_supernet(space: SearchSpace) -> Supernet:
    """Every number random, so that nothing is zero or equal by luck; ranked, in evaluation mode."""
    supernet = Supernet(space)
    randomise_(supernet, seed=1)
    supernet.rank()
    return supernet.eval()


def covering(space: SearchSpace, *, seed: int = 0, samples: int = 500) -> list[Candidate]:
    """Few candidates in which every option of every choice is active at least once.

    The one candidate of a space in which nothing is to be decided.
    """
    if not space.choices:
        return [space.candidate(())]
    rows_NC = space.canonical_many(space.sample(np.random.default_rng(seed), samples))
    rows, columns = np.nonzero(space.is_active(rows_NC))
    firsts = np.cumsum((0, *space.cardinalities[:-1]))
    has_NO = np.zeros((len(rows_NC), sum(space.cardinalities)), bool)
    has_NO[rows, firsts[columns] + rows_NC[rows, columns]] = True
    missing_O = has_NO.any(axis=0)
    chosen = []
    while missing_O.any():
        best = int((has_NO & missing_O).sum(axis=1).argmax())
        chosen.append(space.candidate(rows_NC[best].tolist()))
        missing_O &= ~has_NO[best]
    return chosen


def uniform(space: SearchSpace, end: int = -1, /, **options: Option) -> tuple[int, ...]:
    """The canonical encoding in which every choice ending in a given name has that option.

    Args:
        space: Whose.
        end: Of choices that are not named: 0 for their first options, -1 for their last ones.
        options: By the last part of choices' names.
    """
    row = []
    for choice in space.choices:
        wanted = options.get(choice.name.rpartition(".")[2])
        offered = range(len(choice.options))
        row.append(offered[end] if wanted is None else choice.options.index(wanted))
    return space.canonical(row)


def slots_of(space: SearchSpace, **options: Option) -> tuple[Slot, ...]:
    """The slots of `uniform`."""
    return space.slots(uniform(space, **options))
