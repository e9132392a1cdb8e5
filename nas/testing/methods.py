"""What every training method keeps to: a batch's plan follows from its number alone."""

from collections.abc import Callable, Sequence
from functools import cache, partial, update_wrapper
from typing import Any

import numpy as np

from nas.testing._expect import require
from search_spaces import SearchSpace, load_space
from supernets._worker import Worker
from supernets.methods._base import METHODS, AbstractMethod, Lesson

BATCHES = 12


def check_a_plan_is_a_pure_function_of_the_batchs_number(name: str, space: SearchSpace) -> None:
    """A plan is a pure function of the batch's number."""
    turns = range(BATCHES)
    forwards = plans(_method(name, space), turns)
    backwards = plans(_method(name, space), turns[::-1])[::-1]
    wrong = [turn for turn in turns if forwards[turn] != backwards[turn]]
    require(not wrong, f"batches {wrong} are planned otherwise when later ones are planned first")


def check_lessons_are_members_of_the_space(name: str, space: SearchSpace) -> None:
    """Lessons are members of the space."""
    for turn, lessons in enumerate(plans(_method(name, space), range(BATCHES))):
        require(lessons, f"batch {turn} has no lesson")
        for lesson in lessons:
            sizes = space.cardinalities
            is_member = len(lesson.encoding) == len(sizes) and all(
                0 <= i < n for i, n in zip(lesson.encoding, sizes, strict=True)
            )
            require(is_member, f"batch {turn} trains {lesson.encoding}, which is no encoding")
            require(space.slots(lesson.encoding), f"batch {turn}: {lesson.encoding} has no slots")


def check_the_first_lesson_has_no_teacher(name: str, space: SearchSpace) -> None:
    """The first lesson of a batch has no teacher; shares and weights are in their ranges."""
    for turn, lessons in enumerate(plans(_method(name, space), range(BATCHES))):
        share = lessons[0].teacher_share
        require(share == 0, f"batch {turn}: its first lesson has the teacher_share {share}")
        for lesson in lessons:
            is_right = 0 <= lesson.teacher_share <= 1 and lesson.weight > 0
            require(is_right, f"batch {turn}: {lesson} has a share beyond 0 to 1, or no weight")


def check_nothing_is_pruned_before_channels_are_ranked(name: str, space: SearchSpace) -> None:
    """Nothing is pruned before channels are ranked."""
    method = _method(name, space, sparse_from=8)
    rows = [[lesson.encoding for lesson in batch] for batch in plans(method, range(8))]
    pruned = np.concatenate(rows)[:, space.columns("sparsity")]
    require(not pruned.any(), "members of a batch before `sparse_from` are pruned")


def check_it_goes_to_other_processes(name: str, space: SearchSpace) -> None:
    """It goes to other processes, where it plans the same."""
    method, turns = _method(name, space, seed=3), range(8)
    worker = Worker(partial(plans, method))
    try:
        worker.send(turns)
        there = worker.receive()
    finally:
        worker.close()
    require(there == plans(method, turns), "in another process batches are planned otherwise")


OF_SPACE: tuple[Callable[[str, SearchSpace], None], ...] = (
    check_a_plan_is_a_pure_function_of_the_batchs_number,
    check_lessons_are_members_of_the_space,
    check_the_first_lesson_has_no_teacher,
    check_nothing_is_pruned_before_channels_are_ranked,
    check_it_goes_to_other_processes,
)


def _on_the_toy_space(check: Callable[[str, SearchSpace], None], name: str) -> None:
    check(name, _toy())


def _by_name(check: Callable[[str, SearchSpace], None]) -> Callable[[str], None]:
    found: Any = update_wrapper(partial(_on_the_toy_space, check), check)
    return found


CHECKS: tuple[Callable[[str], None], ...] = tuple(map(_by_name, OF_SPACE))


def plans(method: AbstractMethod, turns: Sequence[int]) -> list[list[Lesson]]:
    """What these batches train, each drawn from a generator of its own."""
    return [method.plan(turn, np.random.default_rng([0, 3, turn])) for turn in turns]


@cache
def _toy() -> SearchSpace:
    space = load_space("toy", resolution=16, channels=1, num_classes=10)
    return space.with_policy(("fp32", "int8"), (0.0, 0.25, 0.5))


def _method(name: str, space: SearchSpace, **fields: int) -> AbstractMethod:
    method = METHODS.get(name)(space=space, **fields)
    assert isinstance(method, AbstractMethod)
    return method
