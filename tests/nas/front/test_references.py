"""Networks beside the front: the largest that training taught, and random ones."""

from dataclasses import replace

import numpy as np
import pytest

from nas.front.references import references
from nas.problem.feasible import largest_member
from nas.problem.problem import KnownMetrics, Limit, Objective, Problem
from search_spaces import SearchSpace, load_space


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    toy = load_space("toy", resolution=16, channels=1, num_classes=10)
    return toy.with_policy(("fp32", "int8"), (0, 0.5))


def problem(space: SearchSpace, *limits: Limit) -> Problem:
    model = KnownMetrics((space.costs,))
    return Problem(
        space=space, objectives=(Objective("log_loss", "minimize"),), limits=limits, model=model
    )


def of(space: SearchSpace, metric: str, encoding: tuple[int, ...]) -> float:
    assert space.costs is not None
    return float(space.costs.of(metric, np.array([encoding]))[0])


def test_without_limits_the_largest_is_that_of_the_space(space: SearchSpace) -> None:
    assert space.costs is not None
    encoding = largest_member(problem(space)).encoding
    assert of(space, "macs", encoding) == space.costs.maximum("macs")[0]


def test_within_limits_it_comes_close_to_them_unpruned(space: SearchSpace) -> None:
    assert space.costs is not None
    limit = 0.5 * space.costs.maximum("macs")[0]
    found = largest_member(problem(space, Limit("macs", limit)))
    assert 0.9 * limit < of(space, "macs", found.encoding) <= limit
    assert {v for name, v in found.policy.items() if name.endswith("sparsity")} == {0.0}


def test_a_limit_that_only_int8_meets_still_has_a_largest(space: SearchSpace) -> None:
    assert space.costs is not None
    fp32 = {column: 0 for column in space.columns("precision")}
    smallest_fp32, smallest = (space.costs.minimum("size_bytes", f)[0] for f in (fp32, {}))
    assert smallest < smallest_fp32
    limit = 0.5 * (smallest + smallest_fp32)
    found = references(problem(space, Limit("size_bytes", limit)), 0, seed=0)
    in_fp32, in_int8 = (entry.candidate.encoding for entry in found)
    assert of(space, "size_bytes", in_int8) <= limit < of(space, "size_bytes", in_fp32)


def test_stages_that_have_lost_a_format_keep_what_they_have(space: SearchSpace) -> None:
    first, second = (space.choices[i].name for i in space.columns("precision"))
    for options in ({second: ("int8",)}, {first: ("int8",)}, {first: ("fp32",)}):
        trimmed = space.restricted(options)
        found = references(problem(trimmed, Limit("size_bytes", 1e9)), 2, seed=0)
        names = {entry.name for entry in found}
        assert {"random 1", "random 2"} < names
        for entry in found:
            for name, offered in options.items():
                assert entry.candidate.policy[name] == offered[0]


def test_an_impossible_limit_leaves_the_smallest(space: SearchSpace) -> None:
    assert space.costs is not None
    found = largest_member(problem(space, Limit("macs", 1.0)))
    assert of(space, "macs", found.encoding) == space.costs.minimum("macs")[0]


def test_random_ones_are_within_the_limits_and_named(space: SearchSpace) -> None:
    assert space.costs is not None
    limit = 0.4 * space.costs.maximum("macs")[0]
    limited = problem(space, Limit("macs", limit))
    found = references(limited, 3, seed=0)
    random = [entry for entry in found if entry.name.startswith("random")]
    assert [entry.name for entry in random] == ["random 1", "random 2", "random 3"]
    assert all(of(space, "macs", e.candidate.encoding) <= limit for e in random)
    assert all(entry.is_reference for entry in found)
    assert references(limited, 3, seed=0) == found
    names = [entry.name for entry in found]
    assert names[:2] == ["largest fp32", "largest int8"]


def test_with_one_format_there_is_one_largest(space: SearchSpace) -> None:
    only = replace(space).with_policy(("fp32",), (0,))
    assert [entry.name for entry in references(problem(only), 0, seed=0)] == ["largest fp32"]


def test_its_name_says_what_its_weights_have_got(space: SearchSpace) -> None:
    sparse = space.with_policy(("fp32",), (0,), patterns=("dense", "two-of-four"))
    assert [entry.name for entry in references(problem(sparse), 0, seed=0)] == ["largest fp32"]
    names = [sparse.choices[column].name for column in sparse.columns("pattern")]
    for left, called in (
        (names, "largest fp32 two-of-four"),
        (names[:1], "largest fp32 two-of-four"),
    ):
        part = sparse.restricted({name: ("two-of-four",) for name in left})
        assert [entry.name for entry in references(problem(part), 0, seed=0)] == [called]
