"""Norms as a choice: the default leaves no trace, others are words of the registry."""

from dataclasses import replace

import pytest

from nas.testing.norms import OPERATORS, space_with
from search_spaces import Options, SearchSpace, Shape, Staged, UserError, declaration
from search_spaces.norms._base import DEFAULT_NORM, NORM
from search_spaces.norms.evonorm_s0 import group_size
from tests.strategies import signature

PLACE = Shape.square(8, 8, 16, 16, 0, 4)
PICK = {"kernel_size": 3, "expand_ratio": 2, "num_heads": 2}


def without_norm(space: SearchSpace) -> SearchSpace:
    """The same stages, which do not offer the choice."""
    network = space.network
    assert isinstance(network, Staged)
    stages = tuple(
        replace(stage, options=tuple(row for row in stage.options if row[0] != NORM))
        for stage in network.stages
    )
    return SearchSpace.of_network("norms", replace(network, stages=stages))


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_default_is_left_out_of_signatures(operator: str) -> None:
    silent = signature(operator, Options(PICK), PLACE)
    said = signature(operator, Options({**PICK, NORM: DEFAULT_NORM}), PLACE)
    other = signature(operator, Options({**PICK, NORM: "evonorm-s0"}), PLACE)
    assert silent == said
    assert NORM not in silent.pick
    assert other.pick[NORM] == "evonorm-s0"
    assert NORM in declaration(operator).dims


def test_a_stage_that_offers_none_is_as_if_there_were_no_choice() -> None:
    plain, chosen = (without_norm(space_with((DEFAULT_NORM,))), space_with((DEFAULT_NORM,)))
    assert not plain.columns(NORM)
    assert chosen.columns(NORM)
    assert plain.tables is not None
    assert chosen.tables is not None
    assert plain.tables.signatures == chosen.tables.signatures


def test_a_norm_that_is_none_is_refused_with_those_that_are() -> None:
    for wrong in ("evonorm", 3):
        has = rf"norm '?{wrong}'?, which it does not have. It has bn-.*, or load the plug-in with"
        with pytest.raises(UserError, match=has):
            space_with((DEFAULT_NORM, wrong))  # type: ignore[arg-type]


@pytest.mark.parametrize(("width", "size"), [(64, 8), (24, 8), (12, 4), (18, 2), (9, 1)])
def test_groups_of_evonorm_are_whole(width: int, size: int) -> None:
    assert group_size(width) == size
    assert width % size == 0
