"""How long steps of training take here, by a few of them.

Other work on the machine comes and goes, and must not decide which of two ways of training is the
faster one. So their steps are taken in turn, each is compared with the other way's step beside it,
and the median of the differences decides.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import NamedTuple

import torch
from torch import nn

from supernets.device import at_work, computing, is_cpu, wait
from supernets.images import Images
from supernets.loss_scale import has_overflowed
from supernets.plan import TrainPlan
from supernets.ranks import Ranks, Training, team_of
from supernets.state import TrainState
from supernets.team import AbstractBatches, Team
from supernets.train import fresh_state, lay_out, learning_rate, turns_of

NOISE = 0.02
"""Of a step's cost: what two ways that are the same may differ by."""

Way = tuple[TrainPlan, AbstractBatches]
"""How to train, and what batches teach."""


class Pace(NamedTuple):
    """How long a step took.

    Attributes:
        seconds: By the clock, which plans count on.
        cost_s: What ways of training compare by. On one thread seconds of the processor, which
            other work hardly changes; with several by the clock, because they wait for each other,
            as the processor does for an accelerator.
    """

    seconds: float
    cost_s: float


def paces(
    network: nn.Module,
    images: Images,
    ways: Sequence[Way],
    *,
    steps: int,
    processes: int = 1,
    threads: int = 0,
) -> list[list[Pace]]:
    """A few steps of each way of training, after one warm-up; the network is changed a little.

    Args:
        network: Trained in all ways, which lay it out alike.
        images: To train on.
        ways: One, or several whose steps are taken in turn, by this process alone; on one device.
        steps: Of each.
        processes: That share a step; the first step waits until all of them have begun.
        threads: Of each process; 0 for as many as this one has.
    """
    assert processes == 1 or len(ways) == 1, "a network is in the memory of one team"
    (device,) = {plan.device for plan, _ in ways}
    threads = threads or torch.get_num_threads()
    is_one_thread = threads == 1 and is_cpu(device)
    clock = time.process_time if is_one_thread else time.perf_counter
    takes: list[Callable[[int], Pace]] = []
    with ExitStack() as stack:
        others = [other for _, batches in ways for other in batches.networks]
        stack.enter_context(at_work(device, network, *others))
        for plan, batches in ways:
            lay_out(network, plan)
            batches = batches.averaging(network)
            state = fresh_state(network, plan, batches.initial_state(), batches.average)
            number = min(processes, plan.shards)
            way = Training(network, images, batches, plan.device, plan.precision, threads)
            team = team_of(way, processes=number)
            stack.enter_context(team)
            takes.append(partial(_step, team, state, plan, clock))
        rounds = [[take(step) for take in takes] for step in range(steps + 1)]
    return [list(of_way) for of_way in zip(*rounds[1:], strict=True)]


def fastest(costs_WS: Sequence[Sequence[float]]) -> int:
    """The number of the way whose steps cost least; one that costs as much as the last is not it.

    The last way is the plain one, which is left only for what is faster beyond noise: by more than
    `NOISE` of its cost, and more than such differences differ among themselves (their median
    absolute deviation). Of those the one that is faster by most is taken.

    Args:
        costs_WS: Of every way its steps, those taken beside each other in the same place.
    """
    *others, plain_S = costs_WS
    best, most = len(others), NOISE * statistics.median(plain_S)
    for way, own_S in enumerate(others):
        gains_S = [plain - own for plain, own in zip(plain_S, own_S, strict=True)]
        gain = statistics.median(gains_S)
        spread = statistics.median(abs(one - gain) for one in gains_S)
        if gain > max(most, spread):
            best, most = way, gain
    return best


def seconds_per_step(
    network: nn.Module,
    images: Images,
    plan: TrainPlan,
    batches: AbstractBatches,
    *,
    steps: int,
    processes: int = 1,
    threads: int = 0,
) -> float:
    """The mean of a few steps of one way of training, by the clock; else as `paces`."""
    (found,) = paces(
        network, images, [(plan, batches)], steps=steps, processes=processes, threads=threads
    )
    return statistics.fmean(pace.seconds for pace in found)


def _step(
    team: Team | Ranks, state: TrainState, plan: TrainPlan, clock: Callable[[], float], step: int
) -> Pace:
    began, began_cost = time.perf_counter(), clock()
    with computing(plan.device, plan.precision):
        _, kept = team.add_gradients(turns_of(step, plan), state.kept)
        state.keep(kept)
        if has_overflowed(kept):
            state.pass_over()
        else:
            state.advance(learning_rate(0, plan))
        wait(plan.device)
    return Pace(time.perf_counter() - began, clock() - began_cost)
