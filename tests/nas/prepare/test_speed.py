"""Speed tests of training: a method's phases, and the batch that suits a time."""

import pytest

from nas.prepare.speed import MANY_STEPS, time_steps, with_batch
from nas.testing.methods import small_images, small_space
from supernets.methods.delayed import Delayed
from supernets.plan import TrainPlan
from supernets.steps import SupernetBatches
from supernets.supernet import Supernet

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
