"""`nas bench methods`: supernets of one space, trained by different methods in equal time.

    methods.json            what was asked
    <method>/plan.json      steps, batch and precision, by a speed test
    <method>/<seed>/        a training: train_log.jsonl, its checkpoint, and result.json
    alone/<key>/            a member that is trained alone, and scores.json
    results.json            how all did

A method gets the steps that a search would plan for it in its share of the time, and begins with
fresh weights; seconds are those of its steps, multiply-adds those of members' forward passes.
Judged are the same unpruned networks in full precision, whatever was trained: some that are drawn
beforehand, the smallest and the largest. Trainings of one seed follow each other, so that a machine
that is slower for a while is so for all methods. The same call continues what was interrupted.
"""

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch

from nas.bench._alone import metrics_alone
from nas.bench._asked import keep_asked
from nas.bench._counted import MACS, Counted, without_macs
from nas.bench.method_entries import MethodEntry
from nas.bench.method_standings import MethodStanding, MethodStandings, Metrics, Training
from nas.data import DataSet, identity
from nas.fidelity import chosen, kendall_tau
from nas.prepare.inputs import check_task, make_problem, prepare
from nas.prepare.placed import first_plan
from nas.prepare.plan import MIN_STEPS, make_method, planned_steps, train_plan_of, training_images
from nas.prepare.speed import shared_cores, time_steps
from nas.prepare.train_supernet import ranking
from nas.prepare.trim import trim
from nas.problem.feasible import largest_member
from nas.problem.problem import Problem
from nas.run.config import Config
from nas.run.directory import locked, log_step
from nas.scoring.scorer import Scorer
from nas.system.environment import environment
from nas.system.files import make_folder, read_json, read_lines, understood, write_json
from nas.system.reporter import Reporter
from nas.system.text import parse_time
from nas.system.typed import from_document
from search_spaces import Candidate, UserError, task_of
from supernets.methods._base import remaining_of
from supernets.plan import TrainPlan
from supernets.steps import SupernetBatches
from supernets.supernet import Supernet
from supernets.train import Progress, train

SHARE, SHARE_BESIDE_ALONE = 0.85, 0.5
"""Of the time, for the trainings of supernets: alone, and where members are trained alone, too. The
rest is for speed tests and judging."""

SHARE_ALONE = 0.35
LEAST_ALONE = 3
"""Networks whose ranks can be compared."""

ASKED, PLAN, RESULT = "methods.json", "plan.json", "result.json"
STATE, LOG, ALONE = "train_state", "train_log.jsonl", "alone"


@dataclass(frozen=True)
class MethodsBenchmark:
    """What is compared, on what, and where its files are.

    Attributes:
        config: Names data, space, limits, time for all, seed, and settings that all share.
        entries: Who takes part.
        seeds: Trainings of each.
        members: Networks that are drawn to be judged.
        images: Of the search split, that they are judged on.
        alone: Of these networks, how many are trained alone; 0 for none.
        out: A folder.
        reporter: Told how far it is.
    """

    config: Config
    entries: Sequence[MethodEntry]
    seeds: int
    members: int
    images: int
    alone: int
    out: Path
    reporter: Reporter

    def __post_init__(self) -> None:
        if self.alone and not LEAST_ALONE <= self.alone <= self.members:
            raise UserError(
                f"alone is {self.alone}. A rank correlation needs {LEAST_ALONE} networks at least, "
                f"and of --members there are {self.members}. Give 0 for none."
            )

    def standings(self) -> MethodStandings:
        """Everything that is not there yet is made, and looked at.

        Raises:
            UserError: If the space has too few members, the folder is of something else, another
                process is at work in it, or a training diverges.
            OSError: If a disk is full or read-only; the same call continues.
        """
        torch.set_num_threads(self.config.threads or torch.get_num_threads())
        sample, smallest, largest = self._sample, self._smallest, largest_member(self.problem)
        judged = {one.key: one for one in (*sample, smallest, largest)}
        lock = locked(make_folder(self.out))
        try:
            self._keep_asked()
            found: dict[str, list[Training]] = {entry.name: [] for entry in self.entries}
            for number in range(self.seeds):
                for entry in self.entries:
                    seed = self.config.seed + number
                    found[entry.name].append(self._training(entry, seed, list(judged.values())))
            alone = self._trained_alone()
        finally:
            lock.release()
        costs = self.problem.space.costs
        assert costs is not None
        rows = np.array([one.encoding for one in judged.values()])
        standings = MethodStandings(
            of=f"{self.config.space} on {self.config.data}",
            task=task_of(self.data.task),
            macs=dict(zip(judged, map(int, costs.of("macs", rows)), strict=True)),
            sample=tuple(one.key for one in sample),
            smallest=smallest.key,
            largest=largest.key,
            rows=tuple(
                MethodStanding(name=name, trainings=tuple(own), taus=self._taus(own, alone))
                for name, own in found.items()
            ),
        )
        write_json(self.out / "results.json", standings.to_json())
        return standings

    @cached_property
    def _prepared(self) -> tuple[DataSet, Problem]:
        data, space, limits = prepare(self.entries[0].config, self.reporter)
        assert space.costs is not None
        for entry in self.entries:
            check_task(entry.config, space, data.task)
        for limit in limits:
            if limit.metric not in space.costs.metrics:
                raise UserError(
                    f"budget '{limit.text}' is of what only measuring tells, and no file is "
                    f"measured here. Limit {', '.join(space.costs.metrics)}, as in 3MFLOPs."
                )
        return data, make_problem(trim(space, limits, None)[0], limits, task=data.task)

    @property
    def data(self) -> DataSet:
        """What is learnt."""
        return self._prepared[0]

    @property
    def problem(self) -> Problem:
        """The space, without what fits no network within the limits."""
        return self._prepared[1]

    @cached_property
    def _sample(self) -> list[Candidate]:
        found = chosen(self.problem, self.members, self.config.seed)
        if len(found) < self.members:
            raise UserError(
                f"space '{self.problem.space.name}' has {len(found)} different networks within "
                f"the limits, not {self.members}. Ask for fewer --members."
            )
        return found

    @property
    def _smallest(self) -> Candidate:
        space = self.problem.space
        assert space.costs is not None
        row = np.array([space.costs.minimum("macs")[1]])
        row[:, space.policy_columns] = 0
        return space.candidate(space.canonical_many(row)[0].tolist())

    def _keep_asked(self) -> None:
        names = ("data", "task", "resolution", "space", "budget", "time", "seed")
        asked: dict[str, Any] = {name: getattr(self.config, name) for name in names}
        asked |= {name: getattr(self, name) for name in ("seeds", "members", "images", "alone")}
        asked |= {
            "budget": [*self.config.budget],
            "set": dict(self.config.set),
            "methods": [entry.name for entry in self.entries],
        }
        keep_asked(
            self.out / ASKED,
            asked,
            what="comparison",
            names="methods",
            about=lambda: {"environment": environment(), "data": identity(self.data)},
        )

    def _plan(self, entry: MethodEntry) -> TrainPlan:
        """Of each of its trainings, decided once; seeds are theirs."""
        file = self.out / entry.folder / PLAN
        if not file.exists():
            self.reporter.phase("plan", f"timing steps of '{entry.name}'")
            config, share = entry.config, SHARE_BESIDE_ALONE if self.alone else SHARE
            seconds = share * config.seconds / (self.seeds * len(self.entries))
            plan = planned_steps(
                Supernet(self.problem.space, seed=config.seed),
                first_plan(config, **config.settings_of(TrainPlan)),
                self.problem,
                self.data,
                config,
                lambda: seconds,
            )
            if plan.steps == MIN_STEPS or "steps" in config.set:
                self._say_if_long(entry, plan, seconds)
            write_json(make_folder(file.parent) / PLAN, asdict(plan))
        with understood(f"'{file}'"):
            return train_plan_of(read_json(file))

    def _say_if_long(self, entry: MethodEntry, plan: TrainPlan, seconds: float) -> None:
        """Say what a training takes whose steps are not those that fit, if that is too long.

        Args:
            entry: Whose.
            plan: Of so many steps as the user asked for, or as there are at least.
            seconds: That a training may take.
        """
        supernet = Supernet(self.problem.space, seed=self.config.seed)
        method = make_method(entry.config, self.problem, plan)
        step_s = time_steps(supernet, training_images(self.data), plan, method)
        if text := said_if_long(entry.name, plan.steps, step_s, seconds, self.config.time):
            self.reporter.note(text)

    def _training(self, entry: MethodEntry, seed: int, judged: Sequence[Candidate]) -> Training:
        plan, folder = replace(self._plan(entry), seed=seed), self.out / entry.folder / str(seed)
        if not (folder / RESULT).exists():
            self.reporter.phase("train", f"{entry.name}, seed {seed}: {plan.steps:,} steps")
            found = self._trained(entry, plan, make_folder(folder), judged)
            write_json(folder / RESULT, asdict(found))
        shutil.rmtree(folder / STATE, ignore_errors=True)
        with understood(f"'{folder / RESULT}'"):
            return from_document(Training, read_json(folder / RESULT))

    def _trained(
        self, entry: MethodEntry, plan: TrainPlan, folder: Path, judged: Sequence[Candidate]
    ) -> Training:
        """Trains, or continues, and judges."""
        data, problem = self.data, self.problem
        method = make_method(replace(entry.config, seed=plan.seed), problem, plan)
        supernet = Supernet(problem.space, seed=plan.seed)
        images, batches = training_images(data), SupernetBatches(plan, method)

        def on_step(numbers: Progress) -> None:
            log_step(folder / LOG, numbers, plan.steps)
            self.reporter.advance(int(numbers["step"]), plan.steps, f"loss {numbers['loss']:.3f}")

        kept = train(
            supernet,
            images,
            plan,
            Counted(batches),
            directory=make_folder(folder / STATE),
            on_step=on_step,
            before_step=ranking(supernet, images, batches, problem),
            **shared_cores(plan),
        )
        remaining = remaining_of(method, without_macs(kept))
        left: Metrics | None = None
        if remaining != problem.space:
            part = make_problem(remaining, problem.limits, task=data.task)
            members = chosen(part, self.members, self.config.seed)
            found = self._judged(supernet.restricted(remaining), members).values()
            left = {name: mean(one[name] for one in found) for name in next(iter(found))}
        return Training(
            seed=plan.seed,
            steps=plan.steps,
            images_per_step=plan.images_per_step,
            precision=plan.precision,
            seconds=_seconds_of(folder / LOG, plan),
            macs=float(kept[MACS][0]),
            members=self._judged(supernet, judged),
            remaining=left,
        )

    def _judged(self, supernet: Supernet, members: Sequence[Candidate]) -> dict[str, Metrics]:
        """Of members with shared weights, by key."""
        scorer = Scorer(supernet, self.data, self.images)
        return {
            one.key: scorer.quality_and_confidence(scorer.compressed(one).network)
            for one in members
        }

    def _trained_alone(self) -> Mapping[str, Metrics]:
        """Of the first networks of the sample, by key; nothing if none is asked for."""
        if not self.alone:
            return {}
        return metrics_alone(
            self._sample[: self.alone],
            Scorer(Supernet(self.problem.space, seed=self.config.seed), self.data, self.images),
            training_images(self.data),
            self.config,
            self.out / ALONE,
            seconds=SHARE_ALONE * self.config.seconds,
            reporter=self.reporter,
        )

    def _taus(
        self, trainings: Sequence[Training], alone: Mapping[str, Metrics]
    ) -> tuple[float, ...]:
        """Of each training, how far it ranks the networks as training alone does."""
        loss = task_of(self.data.task).loss.name
        pairs = (
            np.array([[one.members[key][loss], own[loss]] for key, own in alone.items()])
            for one in trainings
            if alone
        )
        return tuple(map(kendall_tau, pairs))


def said_if_long(name: str, steps: int, step_s: float, seconds: float, asked: str) -> str:
    """That a method's trainings take longer than their share of the time; "" if they do not.

    Args:
        name: Of the method.
        steps: Of a training.
        step_s: Seconds per step.
        seconds: That a training may take.
        asked: The time for all, as it was given.
    """
    if steps * step_s <= seconds:
        return ""
    needed_s = steps * step_s
    wanted_m = math.ceil(parse_time(asked) * needed_s / seconds / 60)
    return (
        f"--time {asked} is short, and will not be kept: a training of '{name}' may take "
        f"{seconds:.1f} s, and {steps:,} steps take about {needed_s:.0f} s. Give "
        f"--time {wanted_m}m or more, or fewer --methods, --seeds or --set steps"
    )


def _seconds_of(log: Path, plan: TrainPlan) -> float:
    """What all steps took, by those that were logged: the first one has other things to do.

    An interruption, or steps that were made again, count nothing.
    """
    lines = read_lines(log, lambda line: (int(line["step"]), float(line["images_per_s"])))
    rates = dict(lines)
    known = [rate for step, rate in rates.items() if step > 1] or list(rates.values())
    return plan.steps * mean(plan.images_per_step / rate for rate in known)
