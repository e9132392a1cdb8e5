"""Larger networks of a space: with some options changed, or the next ones in depth and width."""

import re
from collections.abc import Iterator, Mapping

import numpy as np

from nas.problem.problem import Problem
from search_spaces import Candidate, Option, SearchSpace

GROWING = ("depth", "width")
"""Dimensions in which a network expands."""

OF_BLOCK = re.compile(r"(.*\.block)(\d+)(\..*)", re.ASCII)


def with_options(
    space: SearchSpace, candidate: Candidate, options: Mapping[str, Option]
) -> dict[str, Option]:
    """A candidate's options with some changed; a further block has those of the block before it.

    Args:
        space: The candidate's.
        candidate: Which.
        options: By the names of choices. They are not checked.
    """
    known = {**candidate.arch, **candidate.policy, **options}
    for choice in space.choices:
        found = OF_BLOCK.fullmatch(choice.name)
        if choice.name not in known and found:
            stage, number, dimension = found.groups()
            before = f"{stage}{int(number) - 1}{dimension}"
            if before in known:
                is_offered = known[before] in choice.options
                known[choice.name] = known[before] if is_offered else choice.options[0]
    return known


def expansions(problem: Problem, candidate: Candidate) -> Iterator[tuple[str, list[Candidate]]]:
    """What a network may expand to: by choice those with more of it, within the known limits.

    The least expansion first. A choice with none is left out.
    """
    space = problem.space
    for choice in space.choices:
        now = candidate.arch.get(choice.name)
        if choice.name.rpartition(".")[2] not in GROWING or not isinstance(now, int):
            continue
        more = sorted(o for o in choice.options if isinstance(o, int) and o > now)
        found = [
            space.candidate(space.encode(with_options(space, candidate, {choice.name: option})))
            for option in more
        ]
        within = [x for x in found if problem.is_feasible(np.array([x.encoding]))[0]]
        if within:
            yield choice.name, within
