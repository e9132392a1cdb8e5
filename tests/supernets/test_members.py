"""Members that are drawn for training: every option, all roles in balance, within the limits."""

from dataclasses import replace

import numpy as np
import pytest

from nas.testing.norms import space_with
from search_spaces import SearchSpace
from search_spaces.norms import NORMS
from supernets.methods._base import METHODS
from supernets.methods._lessons import LARGEST, RANDOM, SMALLEST, AbstractLessons, Lesson
from supernets.methods._members import TURNS

pytestmark = pytest.mark.parametrize("name", ["sandwich", "sortednet"])


def new(name: str, space: SearchSpace, **fields: int) -> AbstractLessons:
    method = METHODS.get(name)(space=space, **fields)
    assert isinstance(method, AbstractLessons)
    return method


def plan(method: AbstractLessons, turn: int) -> list[Lesson]:
    return method.plan(turn, np.random.default_rng([0, 3, turn]))


def test_a_plan_is_a_pure_function_of_the_batchs_number(name: str, mini: SearchSpace) -> None:
    forwards, backwards = new(name, mini), new(name, mini)
    expected = [plan(forwards, step) for step in range(12)]
    assert [plan(backwards, step) for step in reversed(range(12))] == expected[::-1]


def test_the_first_lesson_has_no_teacher(name: str, mini: SearchSpace) -> None:
    method = new(name, mini)
    for step in range(12):
        lessons = plan(method, step)
        assert lessons[0].teacher_share == 0
        assert all(0 <= lesson.teacher_share <= 1 and lesson.weight > 0 for lesson in lessons)


def test_every_option_of_every_choice_is_trained(name: str, mini: SearchSpace) -> None:
    method = new(name, mini)
    rows = np.array([lesson.encoding for step in range(200) for lesson in plan(method, step)])
    for column, (choice, number) in enumerate(zip(mini.choices, mini.cardinalities, strict=True)):
        assert set(rows[:, column]) == set(range(number)), choice.name


def test_every_operator_of_a_slot_is_trained_equally_often(name: str, mini: SearchSpace) -> None:
    column = mini.index("stage1.block1.operator")
    num_operators = len(mini.choices[column].options)
    method, rounds = new(name, mini), len(TURNS)
    dealt = [
        [lesson.encoding[column] for lesson in plan(method, turn)]
        for turn in range(rounds * num_operators)
    ]
    for place in range(len(dealt[0])):
        counts = np.bincount([members[place] for members in dealt], minlength=num_operators)
        assert counts.tolist() == [rounds] * num_operators


def test_every_norm_of_a_slot_is_trained_equally_often_in_every_role(name: str) -> None:
    space = space_with(tuple(NORMS.names()))
    column, method = space.index("stage1.block1.norm"), new(name, space)
    rows = [lesson for turn in range(144) for lesson in plan(method, turn)]
    for role in (LARGEST, SMALLEST):
        counts = np.bincount([lesson.encoding[column] for lesson in rows if lesson.role == role])
        assert counts.max() - counts.min() <= 3, (role, counts)


def test_every_operator_of_a_slot_has_every_role_about_equally_often(
    name: str, mini: SearchSpace
) -> None:
    column = mini.index("stage1.block1.operator")
    num_operators = len(mini.choices[column].options)
    method = new(name, mini)
    by_role: dict[str, list[int]] = {}
    for turn in range(200 * num_operators):
        for lesson in plan(method, turn):
            by_role.setdefault(lesson.role, []).append(lesson.encoding[column])
    assert by_role.keys() == {LARGEST, SMALLEST, RANDOM}
    for role, dealt in by_role.items():
        counts = np.bincount(dealt, minlength=num_operators)
        expected = len(dealt) / num_operators
        # At most binomial: 5 sigma, of some 30 counts, fail once in 60,000; the seed is fixed.
        assert np.abs(counts - expected).max() <= 5 * expected**0.5, role


def test_every_stem_is_trained_equally_often_however_few_networks_of_it_a_budget_leaves(
    name: str, mini: SearchSpace
) -> None:
    assert mini.network is not None
    network = replace(mini.network, stem_strides=(2, 1))
    space = SearchSpace.of_network("own", network).with_policy(("fp32",), (0,))
    assert space.costs is not None
    column = space.index("stem.stride")
    limit = 1.2 * space.costs.minimum("macs", {column: 1})[0]
    method = METHODS.get(name)(
        space=space, is_within=lambda rows: space.costs.of("macs", rows) <= limit
    )
    rows = [lesson.encoding for turn in range(80) for lesson in plan(method, turn)]
    assert np.bincount([row[column] for row in rows]).tolist() == [len(rows) // 2] * 2


def test_nothing_is_pruned_before_channels_are_ranked(name: str, mini: SearchSpace) -> None:
    method = new(name, mini, sparse_from=8)
    columns = mini.columns("sparsity")
    rows = [[lesson.encoding for lesson in plan(method, turn)] for turn in range(24)]
    assert not np.concatenate(rows[:8])[:, columns].any()
    assert np.concatenate(rows[8:])[:, columns].any()


def test_nobody_but_the_smallest_is_trained_beyond_a_budget(name: str, mini: SearchSpace) -> None:
    assert mini.costs is not None
    limit = 0.4 * mini.costs.maximum("macs")[0]
    within = METHODS.get(name)(
        space=mini, is_within=lambda rows: mini.costs.of("macs", rows) <= limit
    )
    roles = {
        lesson.role: mini.costs.of("macs", np.array([lesson.encoding]))[0]
        for turn in range(40)
        for lesson in plan(within, turn)
        if mini.costs.of("macs", np.array([lesson.encoding]))[0] > limit
    }
    assert roles.keys() <= {SMALLEST}
