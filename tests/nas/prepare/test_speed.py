"""The batch that suits a time: it grows while many steps remain."""

import pytest

from nas.prepare.speed import MANY_STEPS, with_batch
from supernets.train import TrainPlan

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
