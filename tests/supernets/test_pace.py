"""Which of two ways of training is faster, on a machine where others work, too."""

from typing import cast

import pytest
import torch
from torch import nn

from supernets import pace
from supernets.images import Images
from supernets.pace import fastest, paces
from supernets.plan import TrainPlan
from supernets.team import AbstractBatches, Losses, State

PLAN = TrainPlan(steps=1, shards=1, optimizer="sgd")


@pytest.mark.parametrize(
    ("other", "number"),
    [
        ([6.0, 6.0, 60.0], 1),  # others worked during a step of it
        ([11.0, 21.0, 2.0], 0),  # and during all but one of both
        ([10.0, 10.0, 10.0], 1),
    ],
)
def test_a_slow_moment_does_not_decide(other: list[float], number: int) -> None:
    assert fastest([[10.0, 20.0, 10.0], other]) == number
    assert fastest([other]) == 0


@pytest.mark.parametrize(
    ("first", "number"),
    [
        ([9.9, 9.9, 9.9], 2),  # by less than what is noise
        ([9.0, 12.0, 7.0], 2),  # by less than what differences differ by
        ([9.0, 9.5, 8.5], 0),
        ([9.6, 9.6, 9.6], 1),  # the second one by more
    ],
)
def test_what_is_not_faster_beyond_noise_is_left_for_the_plain_way(
    first: list[float], number: int
) -> None:
    second = [9.5, 9.5, 9.5] if number == 1 else [10.1, 10.1, 10.1]
    assert fastest([first, second, [10.0, 10.0, 10.0]]) == number


class Logged(AbstractBatches):
    """Batches that say whose they are."""

    def __init__(self, name: str, log: list[tuple[str, int]]) -> None:
        self.name, self.log = name, log

    def __call__(
        self, network: nn.Module, images: Images, turn: int, state: State
    ) -> tuple[Losses, State]:
        self.log.append((self.name, turn))
        network(torch.ones(1, 1)).sum().backward()
        return [(self.name, 0.0)], {}


def test_ways_take_their_steps_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[tuple[str, int]] = []
    ways = [(PLAN, Logged("a", log)), (PLAN, Logged("b", log))]
    images = cast(Images, None)
    found = paces(nn.Linear(1, 1), images, ways, steps=2, threads=1)
    assert log == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    assert [len(of_way) for of_way in found] == [2, 2]
    monkeypatch.setattr(pace.time, "process_time", lambda: 5.0)
    ((one,),) = paces(nn.Linear(1, 1), images, ways[:1], steps=1, threads=1)
    assert one.seconds > one.cost_s == 0.0, "one thread costs what the processor computes for it"
    ((two,),) = paces(nn.Linear(1, 1), images, ways[:1], steps=1, threads=2)
    assert two.cost_s > 0.0
