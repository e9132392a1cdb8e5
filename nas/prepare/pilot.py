"""How well each operator learns in seconds: small networks, each of one operator, trained alone.

    pilot/<round>/<operator>/    a training (`nas/standalone/train.py`), planned by a speed test

In the first round every operator has the same few seconds; those whose networks do not clearly lag
behind the best one's have twice as many steps in a second round, from the start, because a network
that is still near guessing may be so by chance (successive halving: Jamieson and Talwalkar,
Non-stochastic Best Arm Identification, 2016; departure: two rounds, and what lags is left out, not
the half). Equal seconds and not equal images: an operator that is dear here learns less in any
time. Networks of the second round, which have equal multiply-adds, are timed on the target, too: of
operators that learn about equally much, the one whose files are faster leads.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from nas.data import DataSet
from nas.latency.measure import time_networks
from nas.prepare.inputs import make_problem
from nas.prepare.placed import first_plan
from nas.prepare.plan import precisions_of, training_images
from nas.prepare.sizes import Sizes
from nas.prepare.speed import with_batch
from nas.problem.feasible import sample_within
from nas.problem.problem import Limit
from nas.run.config import Config
from nas.run.directory import Run
from nas.standalone.beside import Job, Planning, num_beside, train_beside
from nas.standalone.train import (
    NETWORK,
    PLAN,
    alone_plan,
    fastest_plan,
    fresh_network,
    seconds_per_step,
)
from nas.system.files import read_json, understood
from nas.system.reporter import Reporter
from nas.system.typed import from_document
from nas.targets import Timer
from search_spaces import AbstractTask, Candidate, SearchSpace, task_of
from supernets.calibrate import recalibrated
from supernets.checkpoint import read_tensors
from supernets.compiled import NEVER
from supernets.images import Images
from supernets.network import PlainNetwork
from supernets.plan import UNWEIGHTED, TrainPlan

PILOT = "pilot"

PILOT_SHARE, PILOT_S = 0.04, (1.5, 20.0)
"""Of the time, for the first round, and the least and most seconds of each of its pilots."""

AGAIN, MOST_AGAIN = 2, 3
"""Seconds of a pilot in the second round, in those of the first; how many there are at most."""

LAGS = 0.5
"""An operator lags behind if its network learnt less than this of what the best one did."""

PILOT_SIZE, PILOT_MACS = 6.0, 3e6
"""Multiply-adds of a pilot's network, in those of the smallest network of the space, and at least.

In the smallest, calling operators costs more than what they compute: that says little of others."""

LEAST_STEPS, PART = 10, 128
PILOT_SAMPLES = 64

PILOT_IMAGES = 500
"""On which a pilot of the first round is judged; one of the second, on `AGAIN_IMAGES`."""
AGAIN_IMAGES = 2000

LATENCY_EXPONENT = 0.07
"""With which power of their latency the losses of a front's members fall, at least.

So much faster may a network be for the loss that it has. Slopes of measured fronts: 0.05 to 0.08 on
Fashion-MNIST (four spaces), 0.16 on CIFAR-10, 0.17 on digit-pairs."""


@dataclass(frozen=True)
class Pilots:
    """Trains a network of every operator.

    Attributes:
        run: Where the trainings are.
        config: Seed and settings.
        space: With all operators.
        limits: The user's; pilots are within those that are known exactly.
        data: To learn from.
        timer: Times files on the target.
        reporter: Told how far it is.
    """

    run: Run
    config: Config
    space: SearchSpace
    limits: Sequence[Limit]
    data: DataSet
    timer: Timer
    reporter: Reporter

    def ranked(self, operators: Sequence[str], remaining_s: float) -> list[dict[str, Any]]:
        """Every operator's pilot, the best first; repeated, it is read back.

        Args:
            operators: Their names.
            remaining_s: Of the run's time, for this and all that follows.

        Returns:
            Per operator its name, and its longest pilot's images, task's metrics and precision;
            those of the first round as `before` where there was a second, and the latency of its
            network (ms; None if the target cannot run it).
        """
        low, high = PILOT_S
        share_s = PILOT_SHARE * remaining_s * torch.get_num_threads() / len(operators)
        seconds = min(high, max(low, share_s))
        rows = self._round(1, seconds, dict.fromkeys(operators, self._for_seconds(seconds)))
        known = [self._learnt(row) for row in rows]
        # Where none has learnt anything yet, none lags behind.
        least = LAGS * known[0] if known[0] > 0 else -math.inf
        able = [row for row, learnt in zip(rows, known, strict=True) if learnt >= least]
        again = [str(row["operator"]) for row in able[:MOST_AGAIN]]
        if len(again) < 2:
            return rows
        before = {row["operator"]: row for row in rows}
        others = [row for row in rows if row["operator"] not in again]
        longer = self._round(2, AGAIN * seconds, {name: self._longer(name) for name in again})
        both = [{**row, "before": before[row["operator"]]} for row in longer]
        return [*self._by_latency(both), *others]

    def _by_latency(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows with latencies: the best trade-off first, last what the target cannot run."""
        known = self._latencies([str(row["operator"]) for row in rows])
        timed = [{**row, "latency_ms": known[str(row["operator"])]} for row in rows]

        def weighed(row: Mapping[str, Any]) -> float:
            latency_ms = math.inf if row["latency_ms"] is None else row["latency_ms"]
            return float(row[self._task.loss.name] * latency_ms**LATENCY_EXPONENT)

        return sorted(timed, key=weighed)

    def _latencies(self, operators: Sequence[str]) -> dict[str, float | None]:
        """Milliseconds of each one's network in the format in which it is fastest."""
        names, networks = [], []
        for operator in operators:
            space, candidate = pilot_of(self.space, operator, self.limits)
            row = np.array([candidate.encoding])
            for precision in space.precisions:
                encoding = space.in_precision(row, precision)[0]
                names.append(operator)
                networks.append(space.slots(encoding.tolist()))
        fastest: dict[str, float | None] = dict.fromkeys(operators)
        for name, timing in zip(names, time_networks(networks, self.timer), strict=True):
            if timing is not None:
                fastest[name] = min(fastest[name] or math.inf, timing.median_ms)
        return fastest

    @property
    def _task(self) -> AbstractTask:
        return task_of(self.data.task)

    def _learnt(self, row: dict[str, Any]) -> float:
        guessing, _ = self.data.guessing
        return guessing - float(row[self._task.loss.name])

    def _round(
        self, number: int, seconds: float, plans: Mapping[str, Planning]
    ) -> list[dict[str, Any]]:
        """Trains a network of each operator, beside each other; the best first."""
        images = training_images(self.data)
        networks = {name: self._network(name) for name in plans}
        place = f"{PILOT}/{number}"
        jobs = (
            Job(name, networks[name], images, self.run.folder(f"{place}/{name}"), plan)
            for name, plan in plans.items()
        )
        self.reporter.advance(0, 1, f"{len(networks)} pilots of {seconds:.0f} s")
        train_beside(jobs, processes=num_beside(len(networks)))
        num_images = PILOT_IMAGES if number == 1 else AGAIN_IMAGES
        rows = [self._row(place, name, networks[name], images, num_images) for name in plans]
        return sorted(rows, key=lambda row: float(row[self._task.loss.name]))

    def _longer(self, operator: str) -> TrainPlan:
        """The first round's plan for more steps. Another speed test could favour any of them."""
        path = self.run.path / PILOT / "1" / operator / PLAN
        document = read_json(path)
        with understood(f"'{path}'"):
            first = from_document(TrainPlan, document)
        return replace(first, steps=AGAIN * first.steps)

    def _for_seconds(self, seconds: float) -> "_ForSeconds":
        settings = {"channels_last": True, **self.config.settings_of(TrainPlan)}
        plan = first_plan(self.config, **settings)
        # Judged against guessing, which weighs no class more than it has images.
        plan = alone_plan(plan, steps=1, class_weights=UNWEIGHTED, compile=NEVER)
        return _ForSeconds(
            tuple(replace(plan, precision=name) for name in precisions_of(self.config, plan)),
            seconds,
            "batch_size" in self.config.set,
        )

    def _network(self, operator: str) -> PlainNetwork:
        """With fresh weights, always the same."""
        space, candidate = pilot_of(self.space, operator, self.limits)
        return fresh_network(space, candidate, self.config.seed)

    def _row(
        self, place: str, name: str, network: PlainNetwork, images: Images, num_images: int
    ) -> dict[str, Any]:
        folder = self.run.path / place / name
        plan, task = read_json(folder / PLAN), self._task
        known = {"operator": name, "precision": plan["precision"], "images": 0}
        if not (folder / NETWORK).exists():  # it diverged
            loss, shown = self.data.guessing
            return known | {task.loss.name: loss, task.shown.name: shown}
        network.load_state_dict(read_tensors(folder / NETWORK)[0])
        images_seen = {"images": plan["steps"] * plan["batch_size"] * plan["shards"]}
        return known | images_seen | judged(network, self.data, images, num_images)


@dataclass(frozen=True)
class _ForSeconds:
    """Decides a plan where it will be followed: beside others, which slow it down.

    Attributes:
        plans: One per precision.
        seconds: That the steps will take, in the fastest precision and with the batch for it. The
            speed test takes more: what a pilot learns decides too much to be cut short by it.
        is_batch_fixed: Whether the user set the batch.
    """

    plans: tuple[TrainPlan, ...]
    seconds: float
    is_batch_fixed: bool

    def __call__(self, network: nn.Module, images: Images) -> TrainPlan:
        plan, step_s = fastest_plan(network, images, self.plans)
        known = {plan: step_s}
        plan, taken_s = with_batch(
            plan,
            self.seconds,
            lambda one: known.get(one) or seconds_per_step(network, images, one),
            num_images=len(images.labels_N),
            is_fixed=self.is_batch_fixed,
        )
        return replace(plan, steps=max(LEAST_STEPS, int(self.seconds / taken_s)))


def pilot_of(
    space: SearchSpace, operator: str, limits: Sequence[Limit]
) -> tuple[SearchSpace, Candidate]:
    """The largest of some unpruned networks of this operator within a pilot's size and the limits.

    Returns:
        The space of such networks, and one of them; the smallest one if none is within.
    """
    assert space.costs is not None
    unpruned = {space.choices[c].name: [0.0] for c in space.columns("sparsity")}
    max_macs = max(PILOT_MACS, PILOT_SIZE * space.costs.minimum("macs")[0])
    sizes = Sizes(max_macs=max_macs, operators=(operator,))
    own = sizes.space(space).restricted(unpruned)
    assert own.costs is not None
    exact = [x for x in sizes.limits(limits) if x.metric in own.costs.metrics]
    rows = sample_within(make_problem(own, exact), PILOT_SAMPLES, np.random.default_rng(0))
    return own, own.candidate(rows[own.costs.of("macs", rows).argmax()].tolist())


def judged(
    network: PlainNetwork, data: DataSet, images: Images, num_images: int
) -> dict[str, float]:
    """The task's metrics, by name, of a network that was trained alone, on first images of search.

    Args:
        network: Its batch-norm statistics are made anew.
        data: Calibration and search splits are used.
        images: As it was trained on, for their normalisation.
        num_images: Of search.
    """
    calibration = torch.from_numpy(data.calibration.take(PILOT_IMAGES).images_NCHW)
    subset = data.search.take(num_images)
    recalibrated(network, images.normalised(calibration).split(PART))
    search = images.normalised(torch.from_numpy(subset.images_NCHW))
    with torch.no_grad():
        outputs_NK = torch.cat([network(part) for part in search.split(PART)]).numpy()
    return task_of(data.task).metrics(outputs_NK, subset.labels_N)
