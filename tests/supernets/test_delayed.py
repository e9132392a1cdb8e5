"""Delayed shrinking: the largest alone, then a range of sizes that opens, within the limits."""

import numpy as np
import pytest

from search_spaces import SearchSpace, UserError
from supernets.methods._lessons import LARGEST, RANDOM, SMALLEST
from supernets.methods._members import TURNS, Members
from supernets.methods.delayed import Delayed
from supernets.methods.sortednet import SortedNet

SIZES = ("width", "depth", "expand_ratio", "kernel_size", "num_heads")


def members(space: SearchSpace, opened: float, *, is_within=None) -> np.ndarray:
    drawn = Members(space=space, is_within=is_within)
    rngs = [np.random.default_rng([0, turn]) for turn in range(40)]
    return np.array(
        [
            drawn.in_turn(t, rng, is_dense=False, opened=opened).encoding
            for t, rng in enumerate(rngs)
        ]
    )


def test_the_range_of_sizes_opens_from_the_largest_on(mini: SearchSpace) -> None:
    columns = [column for dimension in SIZES for column in mini.columns(dimension)]
    largest = [
        mini.choices[column].options.index(max(mini.choices[column].options)) for column in columns
    ]
    rows = {opened: members(mini, opened) for opened in (0.0, 0.4, 1.0)}
    of_two = {opened: (found[:, columns] == largest).all() for opened, found in rows.items()}
    assert of_two == {0.0: True, 0.4: True, 1.0: False}
    sparsities = {o: set(found[:, mini.columns("sparsity")].flat) for o, found in rows.items()}
    assert sparsities == {0.0: {0}, 0.4: {0, 1}, 1.0: {0, 1, 2}}


def test_opened_it_is_sortednet(mini: SearchSpace) -> None:
    method = SortedNet(space=mini)
    for turn, encoding in enumerate(members(mini, 1.0)):
        [lesson] = method.plan(turn, np.random.default_rng([0, turn]))
        assert lesson.encoding == tuple(encoding)


def test_roles_take_turns_once_there_are_sizes(mini: SearchSpace) -> None:
    drawn = Members(space=mini)
    rng = np.random.default_rng(0)
    alone = [drawn.in_turn(turn, rng, is_dense=True, opened=0.0).role for turn in range(8)]
    later = [drawn.in_turn(turn, rng, is_dense=True, opened=0.1).role for turn in range(8)]
    assert set(alone) == {LARGEST}
    assert later == list(TURNS)
    assert set(later) == {LARGEST, RANDOM, SMALLEST}


@pytest.mark.parametrize("opened", [0.0, 0.5])
def test_before_all_sizes_are_trained_nobody_is_beyond_a_budget(
    mini: SearchSpace, opened: float
) -> None:
    assert mini.costs is not None
    limit = 0.4 * mini.costs.maximum("macs")[0]
    rows = members(mini, opened, is_within=lambda rows: mini.costs.of("macs", rows) <= limit)
    assert mini.costs.of("macs", rows).max() <= limit


def test_the_range_opens_as_the_settings_say(mini: SearchSpace) -> None:
    method = Delayed(space=mini, largest_share=0.4, opening_share=0.2)
    found = [method.opened(share) for share in (0.0, 0.39, 0.4, 0.5, 0.6, 0.9)]
    assert found == pytest.approx([0.0, 0.0, 0.0, 0.5, 1.0, 1.0])
    assert method.phases == pytest.approx((0.0, 0.4, 0.6))
    at_once = Delayed(space=mini, largest_share=0.4, opening_share=0.0)
    assert [at_once.opened(share) for share in (0.39, 0.4)] == [0.0, 1.0]


def test_a_training_that_never_opens_is_refused(mini: SearchSpace) -> None:
    with pytest.raises(UserError, match="'delayed': largest_share is 1.0"):
        Delayed(space=mini, largest_share=1.0)
    with pytest.raises(UserError, match="leaves too little to the smallest members. Lower one"):
        Delayed(space=mini, largest_share=0.7, opening_share=0.3)
