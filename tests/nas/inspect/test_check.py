"""`nas space check`: every option that cannot matter is found, and nothing else."""

import json
from dataclasses import replace

import numpy as np
import pytest

from nas.inspect.check import check
from nas.inspect.describe import describe
from search_spaces import (
    SPACES,
    Option,
    OptionTable,
    SearchSpace,
    Stage,
    Staged,
    UserError,
    load_space,
)

STAGE = Stage(
    widths=(8, 16),
    depths=(1, 2),
    operators=("mbconv", "raft"),
    options=(("kernel_size", (3, 5)), ("expand_ratio", (2, 3))),
)


def space_of(stage: Stage) -> SearchSpace:
    """Two stages, on maps of 8 and 4 px."""
    network = Staged(resolution=16, channels=1, num_classes=2, stages=(stage, stage))
    return SearchSpace.of_network("drawn", network)


def problems(stage: Stage) -> set[tuple[str, str]]:
    return {(f.choice, f.problem) for f in check(space_of(stage)).findings}


def with_options(**options: tuple[Option, ...]) -> Stage:
    table: OptionTable = tuple((dict(STAGE.options) | options).items())
    return replace(STAGE, options=table)


@pytest.mark.parametrize("name", SPACES.names())
@pytest.mark.parametrize("resolution", [32, 224])
def test_our_own_spaces_have_nothing_to_mend(name: str, resolution: int) -> None:
    space = load_space(name, resolution=resolution, channels=3, num_classes=10)
    assert check(space).findings == ()


def test_channel_parts_all_matter() -> None:
    assert problems(with_options(channel_part=("mlp", "convglu"))) == set()


def test_a_clean_space_is_called_clean() -> None:
    found = check(space_of(STAGE))
    assert found.findings == ()
    assert "no problems found" in str(found)


def test_kernels_that_the_map_does_not_reach_are_named() -> None:
    same = "9 always gives the same network as an earlier option"
    assert problems(with_options(kernel_size=(3, 7, 9))) == {
        ("stage2.block1.kernel_size", same),
        ("stage2.block2.kernel_size", same),
    }


def test_widths_that_vector_units_do_not_like_are_named() -> None:
    found = problems(replace(STAGE, widths=(12, 16)))
    assert {choice for choice, _ in found} == {"stage1.width", "stage2.width"}


def test_a_dimension_that_no_operator_reads_is_never_active() -> None:
    found = problems(with_options(num_heads=(1, 2)))
    assert {problem for _, problem in found} == {"it is never active"}
    assert len(found) == 4


def test_sizes_and_the_histogram_are_those_of_the_space() -> None:
    space = space_of(STAGE)
    found = check(space)
    everything = np.indices(space.cardinalities).reshape(len(space.choices), -1).T
    assert found.num_encodings == len(everything)
    assert found.num_networks == len(np.unique(space.canonical_many(everything), axis=0))
    assert sum(share for _, share in found.histogram) == pytest.approx(1.0)
    assert json.loads(json.dumps(found.to_json()))["name"] == "drawn"


def test_a_space_that_offers_norms_is_described_and_has_nothing_to_mend() -> None:
    plain, chosen = STAGE, with_options(norm=("bn-relu6", "evonorm-s0"))
    assert not problems(chosen)
    few, many = (describe(space, space, ("5MMACs",)) for space in map(space_of, (plain, chosen)))
    assert many.num_networks > few.num_networks
    assert many.costs[1].maximum > few.costs[1].maximum, "vectors of parameters"


def test_a_width_that_an_operator_cannot_have_is_the_users_mistake() -> None:
    with pytest.raises(UserError, match=r"stage1\.block1 cannot be made: .*Offer even widths"):
        check(space_of(replace(STAGE, widths=(8, 15))))


def test_counts_beyond_what_a_float_holds_are_shown() -> None:
    found = replace(check(space_of(STAGE)), num_encodings=6 * 10**400, num_networks=2 * 10**400)
    assert "6.00e+400 encodings describe 2.00e+400 distinct networks: 1 in 3," in str(found)
