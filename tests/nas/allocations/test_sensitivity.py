"""What was not measured is between what was."""

import math
from collections.abc import Mapping

import numpy as np
import pytest

from nas.allocations._sensitivity import FAILED, Change, Sensitivity
from search_spaces import Choice, Option, SearchSpace

SPACE = SearchSpace(
    "two",
    (
        Choice("a.sparsity", (0.0, 0.2, 0.4, 0.8)),
        Choice("b.sparsity", (0.0, 0.2, 0.4, 0.8)),
        Choice("a.precision", ("fp32", "int8")),
    ),
)


def sensitivity(*rows: tuple[Mapping[str, Option], float]) -> Sensitivity:
    changes = [Change(options, distortion, 0.0, 0.1) for options, distortion in rows]
    return Sensitivity(SPACE, (0, 0, 0), changes)


def test_what_was_measured_is_as_measured() -> None:
    rows = [({"a.sparsity": s}, d) for s, d in ((0.8, 9.0), (0.2, 0.0), (0.4, 3.0))]
    found = sensitivity(*rows).distortions([0])[0]
    assert found.tolist() == [0.0, 0.0, 3.0, 9.0]


def test_powers_of_the_sparsity_are_found_again() -> None:
    cubes = sensitivity(({"a.sparsity": 0.8}, 0.8**3), ({"a.sparsity": 0.2}, 0.2**3))
    assert cubes.distortions([0])[0] == pytest.approx([0, 0.2**3, 0.4**3, 0.8**3])
    squares = sensitivity(({"a.sparsity": 0.8}, 0.64))
    assert squares.distortions([0])[0] == pytest.approx([0, 0.04, 0.16, 0.64])


def test_a_choice_of_which_nothing_was_measured_is_like_others() -> None:
    found = sensitivity(({"a.sparsity": 0.8}, 0.64)).distortions([0, 1, 2])
    assert found[1] == pytest.approx([0, 0.04, 0.16, 0.64])
    nothing = sensitivity().distortions([0, 1, 2])
    assert nothing[0].tolist() == nothing[1].tolist() == sorted(nothing[0])
    assert nothing[2].tolist() == [0.0, 1.0]


def test_what_cannot_be_carried_out_is_worse_than_all_that_can() -> None:
    found = sensitivity(({"a.sparsity": 0.8}, 2.0), ({"a.precision": "int8"}, math.nan))
    assert found.distortions([2])[2].tolist() == [0.0, FAILED * 2.0]


def test_a_record_is_read_as_it_was_written() -> None:
    change = Change({"a.sparsity": 0.8}, 2.0, 0.5, 0.1)
    assert Change.from_json(change.to_json()) == change
    failed = Change({"a.sparsity": 0.8}, math.nan, math.nan, 0.1)
    assert math.isnan(Change.from_json(failed.to_json()).distortion)


def test_sums_stand_beside_what_changes_do_together() -> None:
    found = sensitivity(
        ({"a.sparsity": 0.4}, 1.0),
        ({"b.sparsity": 0.4}, 2.0),
        ({"a.sparsity": 0.4, "b.sparsity": 0.4}, 4.0),
    )
    ((change, total),) = found.joint()
    assert (change.distortion, total) == (4.0, 3.0)
    assert np.isfinite(total)


def test_what_policies_are_expected_to_lose_grows_with_the_sum_of_what_parts_do() -> None:
    found = sensitivity(({"a.sparsity": 0.4}, 1.0), ({"b.sparsity": 0.4}, 2.0)).summed([0, 1])
    rows = np.array([[0, 0, 0], [2, 0, 0], [0, 2, 1], [2, 2, 0]])
    losses = np.exp(found(rows)) - found.least
    assert losses == pytest.approx([0.0, 1.0, 2.0, 3.0])
    assert 0.0 < found.least < 1.0
    assert np.isfinite(sensitivity().summed([2])(rows)).all()
