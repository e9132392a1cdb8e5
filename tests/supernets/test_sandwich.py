"""The sandwich rule: extremes, balance, and when sparsity comes."""

from collections import Counter

import numpy as np
import pytest

from search_spaces import SearchSpace, UserError
from supernets.methods._lessons import Lesson
from supernets.methods.sandwich import Sandwich
from tests.strategies import mini_space

FEW = ("basic", "convnext", "mbconv", "window")


def plan(method: Sandwich, step: int) -> list[Lesson]:
    return method.plan(step, np.random.default_rng([0, 3, step]))


def options(space: SearchSpace, lesson: Lesson, ending: str) -> set[object]:
    return {
        choice.options[index]
        for choice, index in zip(space.choices, lesson.encoding, strict=True)
        if choice.name.endswith(ending)
    }


def test_the_first_member_is_the_largest_and_the_second_the_smallest(mini: SearchSpace) -> None:
    method = Sandwich(space=mini)
    for step in range(8):
        largest, smallest, *others = plan(method, step)
        assert len(others) == method.num_random
        for ending, most, least in (
            ("depth", 2, 1),
            ("expand_ratio", 2, 1),
            ("kernel_size", 5, 3),
            ("num_heads", 2, 1),
            ("sparsity", 0, 0.5),
            ("stage1.width", 16, 8),
        ):
            assert options(mini, largest, ending) == {most}, ending
            assert options(mini, smallest, ending) == {least}, ending


def test_the_largest_member_has_the_most_parameters_its_operators_allow(
    mini: SearchSpace,
) -> None:
    method = Sandwich(space=mini)
    # On the smallest maps a reduction's convolution costs more than the attention it saves.
    given = (".operator", ".sr_ratio")
    columns = [i for i, c in enumerate(mini.choices) if c.name.endswith(given)]
    for step in range(4):
        largest, smallest, *_ = (lesson.encoding for lesson in plan(method, step))
        for encoding, extreme in (
            (largest, mini.costs.maximum),
            (smallest, mini.costs.minimum),
        ):
            fixed = {column: encoding[column] for column in columns}
            fixed |= {i: 0 for i, c in enumerate(mini.choices) if c.name.endswith("precision")}
            found = mini.costs.of("macs", np.array([encoding]))[0]
            assert found == extreme("macs", fixed)[0]


def test_members_of_a_step_have_different_operators_in_every_slot(mini: SearchSpace) -> None:
    method = Sandwich(space=mini)
    for column, choice in enumerate(mini.choices):
        if choice.name.endswith(".operator"):
            for step in range(8):
                dealt = [lesson.encoding[column] for lesson in plan(method, step)]
                assert len(set(dealt)) == len(dealt) == 4 <= len(choice.options)


def test_operators_of_slots_are_dealt_independently() -> None:
    space = mini_space(operators=FEW)
    method = Sandwich(space=space)
    columns = [i for i, c in enumerate(space.choices) if c.name.endswith(".operator")][:2]
    num_pairs = len(FEW) ** 2
    pairs = Counter(
        tuple(plan(method, step)[0].encoding[column] for column in columns)
        for step in range(20 * num_pairs)
    )
    assert len(pairs) == num_pairs
    # 20 draws per pair, standard deviation 4.4; the bounds are 4.1 sigma away.
    assert 2 <= min(pairs.values()) <= max(pairs.values()) <= 38


def test_nothing_is_pruned_before_channels_are_ranked(mini: SearchSpace) -> None:
    method = Sandwich(space=mini, sparse_from=6)
    seen = [
        options(mini, lesson, "sparsity") for step in range(12) for lesson in plan(method, step)
    ]
    assert set().union(*seen[: 6 * 4]) == {0}
    assert set().union(*seen[6 * 4 :]) == {0, 0.25, 0.5}


def test_the_largest_member_is_never_pruned(mini: SearchSpace) -> None:
    method = Sandwich(space=mini)
    assert all(options(mini, plan(method, step)[0], "sparsity") == {0} for step in range(20))


def test_another_seed_deals_other_operators(mini: SearchSpace) -> None:
    column = mini.index("stage1.block1.operator")
    dealt = [
        [plan(Sandwich(space=mini, seed=seed), step)[0].encoding[column] for step in range(20)]
        for seed in (0, 1)
    ]
    assert dealt[0] != dealt[1]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_students_learn_from_the_teacher_as_much_as_asked(mini: SearchSpace, share: float) -> None:
    lessons = plan(Sandwich(space=mini, teacher_share=share), 0)
    assert [lesson.teacher_share for lesson in lessons] == [0, share, share, share]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_random": -1}, "num_random is -1. It must be at least 0 and at most 64"),
        ({"teacher_share": 1.5}, "teacher_share is 1.5. It must be at least 0 and at most 1"),
        ({"teacher_share": float("nan")}, "teacher_share is nan"),
    ],
)
def test_what_no_batch_could_be_is_refused(
    mini: SearchSpace, settings: dict[str, float], message: str
) -> None:
    with pytest.raises(UserError, match=f"training method 'sandwich': {message}"):
        Sandwich(space=mini, **settings)


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_beyond_a_budget_nobody_is_trained_and_the_largest_members_come_close(
    mini: SearchSpace, share: float
) -> None:
    limit = share * mini.costs.maximum("macs")[0]
    method = Sandwich(
        space=mini, is_within=lambda rows: mini.costs.of("macs", rows) <= limit, sparse_from=8
    )
    macs = {"largest": [], "others": []}
    for step in range(24):
        largest, smallest, *others = (lesson.encoding for lesson in plan(method, step))
        macs["largest"].append(mini.costs.of("macs", np.array([largest]))[0])
        macs["others"] += mini.costs.of("macs", np.array([smallest, *others])).tolist()
    assert max(macs["largest"]) <= limit
    assert max(macs["others"]) <= limit
    assert np.mean(macs["largest"]) > 0.75 * limit
    assert np.mean(macs["others"]) < np.mean(macs["largest"])
    assert len(set(macs["largest"])) > 12, "which sizes are given up is drawn for every step"


def test_a_budget_that_allows_everything_changes_nothing(mini: SearchSpace) -> None:
    free = Sandwich(space=mini)
    limited = Sandwich(space=mini, is_within=lambda rows: np.ones(len(rows), dtype=bool))
    for step in range(6):
        assert plan(limited, step)[0] == plan(free, step)[0]


def test_where_nothing_is_within_members_are_as_small_as_they_get(mini: SearchSpace) -> None:
    method = Sandwich(space=mini, is_within=lambda rows: np.zeros(len(rows), dtype=bool))
    for lesson in plan(method, 0):
        assert options(mini, lesson, "depth") == {1}
