"""What every training method keeps to: a step's plan follows from its number alone."""

import numpy as np
import pytest

from search_spaces import SearchSpace
from supernets.methods._base import METHODS, AbstractMethod, Lesson

pytestmark = pytest.mark.parametrize("name", METHODS.names())


def new(name: str, space: SearchSpace, **fields: int) -> AbstractMethod:
    method = METHODS.get(name)(space=space, **fields)
    assert isinstance(method, AbstractMethod)
    return method


def plan(method: AbstractMethod, step: int) -> list[Lesson]:
    return method.plan(step, np.random.default_rng([0, 3, step]))


def test_a_plan_is_a_pure_function_of_the_step(name: str, mini: SearchSpace) -> None:
    forwards, backwards = new(name, mini), new(name, mini)
    expected = [plan(forwards, step) for step in range(12)]
    assert [plan(backwards, step) for step in reversed(range(12))] == expected[::-1]


def test_lessons_are_encodings_of_the_space(name: str, mini: SearchSpace) -> None:
    method = new(name, mini)
    for step in range(12):
        for lesson in plan(method, step):
            assert len(lesson.encoding) == len(mini.choices)
            assert all(0 <= i < n for i, n in zip(lesson.encoding, mini.cardinalities, strict=True))
            assert mini.slots(lesson.encoding)


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


def test_every_operator_of_a_slot_is_teacher_and_student_equally_often(
    name: str, mini: SearchSpace
) -> None:
    operators = [c for c in mini.choices if c.name.endswith(".operator")]
    counts = new(name, mini).operator_counts(10 * len(operators[0].options))
    assert counts.keys() == {choice.name.rpartition(".")[0] for choice in operators}
    for by_role in counts.values():
        for role in ("teacher", "student"):
            assert by_role[role].keys() == set(operators[0].options)
            assert len(set(by_role[role].values())) == 1


def test_reported_counts_are_those_of_the_plans(name: str, mini: SearchSpace) -> None:
    method = new(name, mini)
    column = mini.index("stage1.block1.operator")
    options = mini.choices[column].options
    teachers, students = [], []
    for step in range(10):
        first, *others = (str(options[lesson.encoding[column]]) for lesson in plan(method, step))
        teachers.append(first)
        students += others
    counts = method.operator_counts(10)["stage1.block1"]
    assert counts["teacher"] == {name: teachers.count(name) for name in set(teachers)}
    assert counts["student"] == {name: students.count(name) for name in set(students)}
