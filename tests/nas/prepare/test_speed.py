"""Speed tests of training: a method's phases, and the batch that suits a time."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from nas.prepare.speed import MANY_STEPS, in_parts, time_steps, with_batch
from nas.testing.methods import small_images, small_space
from search_spaces import UserError
from supernets.images import Images
from supernets.methods.delayed import Delayed
from supernets.plan import TrainPlan
from supernets.steps import SupernetBatches
from supernets.supernet import Supernet
from supernets.train import turns_of

STEP_S = 0.01


def step_s(plan: TrainPlan) -> float:
    """Twice as many images take half as long again."""
    return STEP_S * 1.5 ** ([32, 64, 128, 256, 512].index(plan.batch_size))


@pytest.mark.parametrize(
    ("steps_of_32", "num_images", "batch_size"),
    [
        (100, 10_000, 32),
        (599, 10_000, 32),
        (601, 10_000, 64),
        (899, 10_000, 64),
        (901, 10_000, 128),
        (1351, 10_000, 256),
        (1e6, 10_000, 256),
        (1e6, 1280, 128),
        (1e6, 1279, 64),
        (1e6, 40, 32),
    ],
)
def test_the_batch_is_doubled_while_many_steps_remain(
    steps_of_32: float, num_images: int, batch_size: int
) -> None:
    plan, taken_s = with_batch(
        TrainPlan(steps=1),
        steps_of_32 * STEP_S,
        step_s,
        num_images=num_images,
        is_fixed=False,
        many_steps=400,
    )
    assert plan == TrainPlan(steps=1, batch_size=batch_size)
    assert taken_s == step_s(plan)


def test_a_batch_that_the_user_set_stays() -> None:
    plan, _ = with_batch(TrainPlan(steps=1), 1e6, step_s, num_images=10_000, is_fixed=True)
    assert plan.batch_size == 32


def test_a_batch_is_timed_only_if_it_could_be_taken() -> None:
    timed: list[int] = []

    def timing(plan: TrainPlan) -> float:
        timed.append(plan.batch_size)
        return step_s(plan)

    with_batch(
        TrainPlan(steps=1), (MANY_STEPS - 1) * STEP_S, timing, num_images=10_000, is_fixed=False
    )
    assert timed == [32]


def test_batches_that_surely_leave_many_steps_are_not_timed() -> None:
    timed: list[int] = []

    def timing(plan: TrainPlan) -> float:
        timed.append(plan.batch_size)
        return step_s(plan)

    for seconds, expected in ((4.0 * MANY_STEPS * STEP_S, [32, 128, 256]), (1e6, [32, 256])):
        timed.clear()
        with_batch(TrainPlan(steps=1), seconds, timing, num_images=10_000, is_fixed=False)
        assert timed == expected


def fitting(most: int) -> Callable[[TrainPlan], float]:
    """Says how long steps take that have enough memory: parts of a batch one after the other."""

    def timing(plan: TrainPlan) -> float:
        if plan.batch_size > most:
            raise torch.OutOfMemoryError(f"{plan.batch_size} images")
        return step_s(replace(plan, batch_size=plan.images_per_step // 2))

    return timing


@pytest.mark.parametrize(
    ("most", "parts", "batch_size", "shards"),
    [(256, 1, 256, 2), (255, 2, 128, 4), (40, 8, 32, 16), (32, 8, 32, 16), (7, 64, 4, 128)],
)
def test_a_batch_that_memory_is_too_small_for_is_divided(
    most: int, parts: int, batch_size: int, shards: int
) -> None:
    """A step has the same images, and takes their mean gradient."""
    plan = TrainPlan(steps=1, batch_size=256)
    found, taken_s = with_batch(plan, 1e6, fitting(most), num_images=10_000, is_fixed=True)
    assert found == in_parts(plan, parts)
    assert (found.batch_size, found.shards, found.images_per_step) == (batch_size, shards, 512)
    assert taken_s == step_s(plan)


def test_batches_grow_in_parts_where_memory_is_small() -> None:
    found, _ = with_batch(TrainPlan(steps=1), 1e6, fitting(64), num_images=10_000, is_fixed=False)
    assert (found.batch_size, found.images_per_step) == (64, 512)


def test_a_step_in_parts_has_the_images_of_the_whole_one(digit_images: Images) -> None:
    whole, seen = TrainPlan(steps=3, batch_size=16), []
    for plan in (whole, in_parts(whole, 4)):
        turns = turns_of(2, plan)
        labels = [digit_images.batch(turn, plan.batch_size, plan.seed)[1] for turn in turns]
        seen.append(torch.cat(labels))
    assert torch.equal(*seen)


def test_what_no_part_fits_into_is_refused_and_other_failures_are_raised() -> None:
    with pytest.raises(UserError, match=r"32 images .* memory of 'cpu', .* in 8 parts.*Lower"):
        with_batch(TrainPlan(steps=1), 1.0, fitting(3), num_images=10_000, is_fixed=True)

    def fails(plan: TrainPlan) -> float:
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        with_batch(TrainPlan(steps=1), 1.0, fails, num_images=10_000, is_fixed=True)


def test_every_phase_of_a_method_is_timed_in_its_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a plan of one step, as in all speed tests."""

    def seconds_per_step(
        _: object, __: object, ___: object, batches: SupernetBatches, **____: object
    ) -> float:
        assert batches.share_done is not None
        return {0.25: 1.0, 0.55: 3.0, 0.8: 5.0, 0.75: 7.0}[round(batches.share_done, 9)]

    monkeypatch.setattr("nas.prepare.speed.seconds_per_step", seconds_per_step)
    space = small_space()
    for opening, expected in (
        (0.1, 0.5 * 1.0 + 0.1 * 3.0 + 0.4 * 5.0),
        (0.0, 0.5 * 1.0 + 0.5 * 7.0),
    ):
        method = Delayed(space=space, largest_share=0.5, opening_share=opening)
        found = time_steps(Supernet(space), small_images(), TrainPlan(steps=1), method)
        assert found == pytest.approx(expected)
