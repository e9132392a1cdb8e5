"""Which way of training teaches a supernet most in equal seconds?

    python benchmarks/methods.py --data digit-pairs --budget 3MFLOPs --time 60 --seeds 3
    python benchmarks/methods.py --methods sortednet,delayed:largest_share=0.3,sandwich:num_random=0

A method is named with its settings. Each is given the steps, batch and precision that a search
would plan for it in `--time` seconds, and is trained from fresh weights, with as many processes as
a search uses; seconds are those that training took. Multiply-adds are those of forward passes of
members, in 1e9. Judged is a fixed sample of unpruned fp32 networks within the budget, the same
for all methods and seeds, by log-loss on `--images` of the search split after batch-norm
recalibration. `remaining` is the mean of a sample of what the method still trains at its end.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, final

import numpy as np
import torch
from torch import nn

from nas.cli.console import print_table
from nas.data import DataSet
from nas.fidelity import chosen
from nas.prepare.inputs import make_problem, prepare
from nas.prepare.plan import make_method, planned_steps, training_images
from nas.prepare.settings import check_settings
from nas.prepare.speed import shared_cores
from nas.prepare.trim import trim
from nas.problem.feasible import trained_within
from nas.problem.problem import Problem
from nas.run.config import Config, make_config
from nas.scoring.scorer import Scorer
from nas.system.text import setting, words
from search_spaces import signature_cost
from supernets.gradients import label_gradients
from supernets.images import Images
from supernets.plan import TrainPlan
from supernets.steps import SupernetBatches
from supernets.supernet import Supernet
from supernets.team import AbstractBatches, Losses, State
from supernets.train import train

METHODS = "sandwich,sandwich:num_random=0,sortednet,delayed,shrinking"
MACS = "benchmark_macs"
HEADER = ["method", "steps x batch", "seconds", "1e9 MACs", "mean", "best", "remaining"]


@final
@dataclass(frozen=True)
class Counted(AbstractBatches):
    """Batches whose members' multiply-adds are summed up in what they keep."""

    batches: SupernetBatches

    def initial_state(self) -> State:
        return {**self.batches.initial_state(), MACS: np.zeros(1)}

    def __call__(
        self, network: nn.Module, images: Images, turn: int, state: State
    ) -> tuple[Losses, State]:
        with counting(network) as macs:
            losses, report = self.batches(network, images, turn, without_macs(state))
        return losses, {**report, MACS: np.array([sum(macs)])}

    def fold(self, state: State, reports: Sequence[State]) -> State:
        kept = self.batches.fold(without_macs(state), [without_macs(report) for report in reports])
        return {**kept, MACS: state[MACS] + sum(report[MACS] for report in reports)}


def without_macs(state: State) -> State:
    """What the method itself keeps or reports."""
    return {name: array for name, array in state.items() if name != MACS}


@contextmanager
def counting(network: nn.Module) -> Iterator[list[float]]:
    """Multiply-adds of the network's forward passes in this context."""
    found: list[float] = []

    def count(_: nn.Module, arguments: tuple[Any, ...]) -> None:
        images_BCHW, slots = arguments
        per_image = sum(signature_cost(slot.signature).macs for slot in slots)
        found.append(float(len(images_BCHW) * per_image))

    handle = network.register_forward_pre_hook(count)
    try:
        yield found
    finally:
        handle.remove()


@dataclass(frozen=True, kw_only=True)
class Result:
    """Of one training; losses are log-losses."""

    plan: TrainPlan
    seconds: float
    macs: float
    losses: Sequence[float]
    remaining: Sequence[float]


def trained(
    config: Config, problem: Problem, data: DataSet, seconds: float, networks: int, num_images: int
) -> Result:
    """Trains with a configuration's method and seed, and judges."""
    space = problem.space
    settings = {"steps": 1, "seed": config.seed, **config.settings_of(TrainPlan)}
    tried = Supernet(space, seed=config.seed)
    plan = planned_steps(tried, TrainPlan(**settings), problem, data, config, lambda: seconds)
    method = make_method(config, problem, plan)
    supernet = Supernet(space, seed=config.seed)
    images, batches = training_images(data), SupernetBatches(plan, method)

    def before_step(step: int) -> None:
        if step == plan.rank_step:
            found = label_gradients(supernet, images, batches, is_within=trained_within(problem))
            supernet.rank(plan.criterion, seed=plan.seed, gradients=found)

    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        kept = train(
            supernet,
            images,
            plan,
            Counted(batches),
            directory=Path(folder),
            before_step=before_step,
            **shared_cores(plan),
        )
    taken_s = time.perf_counter() - started
    remaining = method.remaining(without_macs(kept))
    losses = judged(supernet, problem, data, networks, num_images)
    left = losses
    if remaining != space:
        part = make_problem(remaining, problem.limits)
        left = judged(supernet.restricted(remaining), part, data, networks, num_images)
    return Result(
        plan=plan, seconds=taken_s, macs=float(kept[MACS][0]), losses=losses, remaining=left
    )


def judged(
    supernet: Supernet, problem: Problem, data: DataSet, networks: int, num_images: int
) -> list[float]:
    """Log-losses of a sample of members with shared weights."""
    scorer = Scorer(supernet, data, num_images)
    members = chosen(problem, networks, seed=0)
    return [scorer.quality(scorer.compressed(member).network)["log_loss"] for member in members]


def configured(asked: argparse.Namespace, text: str, seed: int) -> Config:
    """The configuration of "method:name=value:name=value"."""
    method, *own = text.split(":")
    named = {name: getattr(asked, name) for name in ("data", "data_dir", "space", "budget")}
    config = make_config(
        {
            **named,
            "method": method,
            "seed": seed,
            "data_seed": 0,
            "set": {**dict(asked.set), **dict(map(setting, own))},
        }
    )
    check_settings(config)
    return config


def row(text: str, results: Sequence[Result]) -> list[str]:
    """One method, a number per seed; then the mean of means over seeds."""

    def shown(numbers: Sequence[float], form: str = ".3f") -> str:
        return " ".join(f"{number:{form}}" for number in numbers)

    means = [mean(result.losses) for result in results]
    return [
        text,
        " ".join(f"{r.plan.steps}x{r.plan.images_per_step}" for r in results),
        shown([r.seconds for r in results], ".0f"),
        shown([r.macs / 1e9 for r in results], ".1f"),
        f"{shown(means)} ({mean(means):.3f})",
        shown([min(r.losses) for r in results]),
        shown([mean(r.remaining) for r in results]),
    ]


def main() -> None:
    """Prints a row per training, then a row per method; seeds are interleaved."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", type=words, default=words(METHODS))
    parser.add_argument("--data", default="digit-pairs")
    parser.add_argument("--data-dir", default="")
    parser.add_argument("--space", default="mobile")
    parser.add_argument("--budget", type=words, default=("3MFLOPs",))
    parser.add_argument("--time", type=float, default=60.0, help="seconds of every training")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--networks", type=int, default=50)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], type=setting, metavar="NAME=VALUE")
    asked = parser.parse_args()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    configs = {text: configured(asked, text, 0) for text in asked.methods}
    data, space, limits = prepare(next(iter(configs.values())))
    problem = make_problem(trim(space, limits, None)[0], limits)
    results: dict[str, list[Result]] = {text: [] for text in configs}
    for seed in range(asked.seeds):
        for text in configs:
            found = trained(
                configured(asked, text, seed),
                problem,
                data,
                asked.time,
                asked.networks,
                asked.images,
            )
            results[text].append(found)
            print(f"seed {seed}:", *row(text, [found]), sep="  ", flush=True)
    print_table(HEADER, [row(text, found) for text, found in results.items()])


if __name__ == "__main__":
    main()
