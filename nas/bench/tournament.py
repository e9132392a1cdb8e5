"""`nas bench operators`: every operator in the same trunk, in equal steps of the same training.

    tournament.json              what was asked
    plan.json                    steps, by a speed test
    alone/<seed>/<entrant>/      a training (`nas/standalone/train.py`), and result.json
    shared/                      the supernet that has all entrants: train_state/, its weights,
                                 and result.json
    timings.json                 latencies of whole networks
    results.json                 the standings

A kill loses nothing that a file is there for; the same call continues.
"""

import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from nas.bench._asked import keep_asked, recorded
from nas.bench.entrants import PRECISIONS, Ends, Entrant, entrants_of, space_of, uniform
from nas.bench.standings import Standings, Timed
from nas.data import DataSet, identity
from nas.executors import make_timer
from nas.latency.measure import export_random
from nas.prepare.inputs import read_data
from nas.prepare.pilot import judged
from nas.prepare.plan import training_images
from nas.prepare.speed import shared_cores, time_steps
from nas.run.config import Config
from nas.run.directory import locked
from nas.standalone.beside import Job, num_beside, shown_by, train_beside
from nas.standalone.train import NETWORK, fresh_network, give_trained, seconds_per_step
from nas.system.environment import environment
from nas.system.files import make_folder, understood, write_json
from nas.system.reporter import Reporter
from nas.system.text import parse_time
from nas.targets import Artefact
from search_spaces import CandidateError, Resolution, Slot, UserError, task_of
from supernets._worker import in_processes
from supernets.checkpoint import read_tensors, write_tensors
from supernets.images import Images
from supernets.methods import METHODS, AbstractMethod
from supernets.network import PlainNetwork
from supernets.plan import TrainPlan
from supernets.steps import SupernetBatches
from supernets.supernet import Supernet
from supernets.train import train

SHARES = {"alone": 0.6, "shared": 0.2, "timing": 0.1}
"""Of the time; the rest is for speed tests, exporting and judging."""

BATCH, JUDGED, SPEED_STEPS = 64, 2000, 4
"""Images of a batch; images of the search split that say how good a network is."""

SIDES = (32, 96, 224)
"""Images of networks that are timed, pixels."""

PROCESSES = 5
FIRST = 2
"""Operators of each core whose steps are timed before it is said how many fit the time."""

ASKED, PLAN, RESULT, TIMINGS = "tournament.json", "plan.json", "result.json", "timings.json"
WEIGHTS = "supernet.safetensors"


@dataclass(frozen=True)
class Tournament:
    """What is compared, on what, and where its files are.

    Attributes:
        config: Names data, time, seed, method and target.
        operators: Names of entrants; none for all operators.
        seeds: Trainings of each.
        sides: Images of networks that are timed.
        out: A folder.
        reporter: Told how far it is.
    """

    config: Config
    operators: Sequence[str]
    seeds: int
    out: Path
    reporter: Reporter
    sides: Sequence[int] = field(default=SIDES)

    def standings(self) -> Standings:
        """Everything that is not there yet is made, and looked at.

        Raises:
            UserError: If an operator cannot take part, the folder is of another tournament, or
                another process is at work in it.
            OSError: If a disk is full or read-only; the same call continues.
        """
        entrants = self.entrants
        lock = locked(make_folder(self.out))
        try:
            self._keep_asked(entrants)
            plan = self._plan(entrants)
            alone = self._alone(entrants, plan)
            shared = self._shared(entrants, plan)
            timed = self._timed(entrants)
        finally:
            lock.release()
        found = Standings.of(entrants, alone, shared, timed, task=task_of(self.data.task))
        write_json(self.out / "results.json", found.to_json())
        return found

    @cached_property
    def data(self) -> DataSet:
        """What networks learn.

        Raises:
            UserError: If its labels are no classes of images.
        """
        data = read_data(self.config, self.reporter)
        asks = task_of(data.task).asks
        if asks != "classes":
            raise UserError(
                f"operators are compared in networks that answer with classes, and the labels of "
                f"data '{data.name}' are {asks}. Give --data whose images are of one class each."
            )
        return data

    @cached_property
    def ends(self) -> Ends:
        """What goes into networks that learn, and comes out."""
        return self._ends_at(self.data.resolution)

    @cached_property
    def entrants(self) -> list[Entrant]:
        """Who takes part."""
        return entrants_of(self.operators, self.ends, *map(self._ends_at, self.sides))

    def _ends_at(self, resolution: Resolution) -> Ends:
        return Ends(
            resolution=resolution,
            channels=self.data.channels,
            num_classes=len(self.data.classes),
        )

    def _keep_asked(self, entrants: Sequence[Entrant]) -> None:
        names = ("data", "resolution", "time", "seed", "method", "target")
        asked = {name: getattr(self.config, name) for name in names}
        asked |= {
            "operators": [entrant.name for entrant in entrants],
            "seeds": self.seeds,
            "sides": [*self.sides],
        }
        keep_asked(
            self.out / ASKED,
            asked,
            what="tournament",
            names="operators",
            about=lambda: {"environment": environment(), "data": identity(self.data)},
        )

    def _plan(self, entrants: Sequence[Entrant]) -> dict[str, int]:
        """Steps of a training alone and of the supernet's, decided once."""
        file = self.out / PLAN
        if file.exists():
            return dict(recorded(file, "steps"))
        self.reporter.phase("plan", "timing a step of each")
        started = time.perf_counter()
        images = training_images(self.data)
        steps = [TrainPlan(steps=SPEED_STEPS, batch_size=BATCH, shards=n) for n in (1, 2)]
        cores = num_beside(len(entrants))
        jobs = [(entrant, self.ends) for entrant in entrants]
        each_s: list[float] = []
        for step_s in in_processes(_StepTime(images, steps[0]), jobs, processes=cores):
            each_s.append(step_s)
            if len(each_s) == min(FIRST * cores, len(jobs)):
                spent_s = time.perf_counter() - started
                self._say_what_fits(len(entrants), spent_s / len(each_s))
        supernet, method = self._supernet(entrants)
        shared_s = time_steps(supernet, images, steps[1], method)
        seconds = {name: share * self.config.seconds for name, share in SHARES.items()}
        plan = {
            "alone": max(1, int(seconds["alone"] * cores / self.seeds / sum(each_s))),
            "shared": max(1, int(seconds["shared"] / shared_s)),
        }
        by_name = dict(zip([entrant.name for entrant in entrants], each_s, strict=True))
        write_json(file, {"steps": plan, "step_s": by_name, "shared_step_s": shared_s})
        return plan

    def _say_what_fits(self, number: int, each_s: float) -> None:
        if text := said_of_fitting(number, each_s, self.config.time):
            self.reporter.note(text)

    def _alone(
        self, entrants: Sequence[Entrant], plan: Mapping[str, int]
    ) -> dict[str, list[dict[str, float]]]:
        """Metrics of every entrant's networks, one per seed, by its name."""
        images, folders = training_images(self.data), self._folders(entrants)
        steps = int(plan["alone"])
        self.reporter.phase("alone", f"training {len(folders)} networks, {steps:,} steps each")

        def jobs() -> Iterator[Job]:
            for (entrant, seed), folder in folders.items():
                if not (folder / NETWORK).exists():
                    yield Job(
                        f"{entrant.name} {seed}",
                        _fresh(entrant, self.ends, seed),
                        images,
                        make_folder(folder),
                        TrainPlan(steps=steps, batch_size=BATCH, shards=1, seed=seed),
                    )

        names = [f"{entrant.name} {seed}" for entrant, seed in folders]
        cores, watched = num_beside(len(folders)), shown_by(self.reporter, names)
        train_beside(jobs(), processes=cores, on_progress=watched)
        waiting = [key for key, folder in folders.items() if not (folder / RESULT).exists()]
        work = _Judge(self.data, images, self.ends)
        messages = [(entrant, seed, folders[entrant, seed]) for entrant, seed in waiting]
        for key, metrics in zip(
            waiting, in_processes(work, messages, processes=cores), strict=True
        ):
            write_json(folders[key] / RESULT, metrics)
        found: dict[str, list[dict[str, float]]] = {entrant.name: [] for entrant in entrants}
        for (entrant, _), folder in folders.items():
            found[entrant.name].append(recorded(folder / RESULT, "metrics"))
        return found

    def _folders(self, entrants: Sequence[Entrant]) -> dict[tuple[Entrant, int], Path]:
        first = self.config.seed
        return {
            (entrant, seed): self.out / "alone" / str(seed) / entrant.folder
            for seed in range(first, first + self.seeds)
            for entrant in entrants
        }

    def _supernet(self, entrants: Sequence[Entrant]) -> tuple[Supernet, AbstractMethod]:
        space = space_of(entrants, self.ends)
        method = METHODS.get(self.config.method)
        found = method(space=space, seed=self.config.seed, sparse_from=0, is_within=None)
        return Supernet(space, seed=self.config.seed), found

    def _shared(
        self, entrants: Sequence[Entrant], plan: Mapping[str, int]
    ) -> dict[str, dict[str, float]]:
        """Metrics of every entrant's network with weights of a supernet that has all, by name."""
        file = self.out / "shared" / RESULT
        if file.exists():
            return dict(recorded(file, "metrics"))
        steps, images = int(plan["shared"]), training_images(self.data)
        self.reporter.phase("shared", f"training a supernet of all, {steps:,} steps")
        supernet, method = self._supernet(entrants)
        weights = self.out / "shared" / WEIGHTS
        if weights.exists():
            supernet.load_state_dict(read_tensors(weights)[0])
        else:
            train_plan = TrainPlan(steps=steps, batch_size=BATCH, seed=self.config.seed)
            cores = shared_cores(train_plan)
            train(
                supernet,
                images,
                train_plan,
                SupernetBatches(train_plan, method),
                directory=make_folder(self.out / "shared" / "train_state"),
                on_step=lambda numbers: self.reporter.advance(int(numbers["step"]), steps),
                processes=cores["processes"],
                threads=cores["threads"],
            )
            write_tensors(weights, supernet.state_dict(), {"space": supernet.space.name})
        found = {}
        for entrant in entrants:
            slots = supernet.space.slots(uniform(supernet.space, entrant))
            network = supernet.extract(slots)
            found[entrant.name] = judged(network, self.data, images, num_images=JUDGED)
        write_json(file, {"metrics": found})
        return found

    def _timed(self, entrants: Sequence[Entrant]) -> dict[str, list[Timed]]:
        """Costs and latencies of every entrant's network at every size and format, by name."""
        file = self.out / TIMINGS
        if not file.exists():
            self.reporter.phase("timing", "exporting and timing whole networks")
            wanted = [(e, side, p) for e in entrants for side in self.sides for p in PRECISIONS]
            timer = make_timer(self.config)
            with tempfile.TemporaryDirectory() as name:
                files = [Path(name, f"{i}{timer.artefact}") for i in range(len(wanted))]
                jobs = [
                    (entrant.slots(self._ends_at(side), precision), path)
                    for (entrant, side, precision), path in zip(wanted, files, strict=True)
                ]
                work = _Export(timer.artefact)
                refused = [*in_processes(work, jobs, processes=torch.get_num_threads())]
                timings = timer(
                    [path for path in files if path.exists()],
                    processes=PROCESSES,
                    budget_s=SHARES["timing"] * self.config.seconds,
                )
            rows = []
            known = iter(timings)
            for (entrant, side, precision), (slots, _), why in zip(
                wanted, jobs, refused, strict=True
            ):
                timing = CandidateError(why) if why else next(known)
                rows.append(Timed.of(entrant.name, side, precision, slots, timing).to_json())
            write_json(file, {"rows": rows})
        found: dict[str, list[Timed]] = {entrant.name: [] for entrant in entrants}
        with understood(f"'{file}'"):
            for row in recorded(file, "rows"):
                found[row["name"]].append(Timed(**row))
        return found


def said_of_fitting(number: int, each_s: float, asked: str) -> str:
    """How many operators fit the time, and which time all would fit; "" if they do.

    Args:
        number: Of operators.
        each_s: Seconds that timing the steps of one takes.
        asked: The time for all of it, as it was given.
    """
    share = round(1 - sum(SHARES.values()), 6)
    fitting = int(share * parse_time(asked) / each_s)
    if fitting >= number:
        return ""
    wanted_m = math.ceil(number * each_s / share / 60)
    name = f"Name at most {fitting} with --operators, or give" if fitting else "Give"
    return (
        f"--time {asked} is short for {number} operators, and will not be kept: timing their steps "
        f"alone takes about {number * each_s:.0f} s. {name} --time {wanted_m}m"
    )


def _fresh(entrant: Entrant, ends: Ends, seed: int) -> PlainNetwork:
    space, encoding = entrant.network(ends)
    return fresh_network(space, space.candidate(encoding), seed)


@dataclass(frozen=True)
class _StepTime:
    """Seconds of a step of a network's training, beside others."""

    images: Images
    plan: TrainPlan

    def __call__(self, job: tuple[Entrant, Ends]) -> float:
        return seconds_per_step(_fresh(*job, 0), self.images, self.plan)


@dataclass(frozen=True)
class _Judge:
    """Metrics of a network that was trained alone."""

    data: DataSet
    images: Images
    ends: Ends

    def __call__(self, job: tuple[Entrant, int, Path]) -> dict[str, Any]:
        entrant, seed, folder = job
        network = _fresh(entrant, self.ends, seed)
        if not (folder / NETWORK).exists():
            raise UserError(
                f"training of '{entrant.name}' with seed {seed} has diverged. Leave it out of "
                "--operators."
            )
        give_trained(network, folder / NETWORK)
        found = judged(network, self.data, self.images, num_images=JUDGED)
        return {"metrics": found}


@dataclass(frozen=True)
class _Export:
    """Writes a network with random weights; says why it cannot, or "" """

    artefact: Artefact

    def __call__(self, job: tuple[Sequence[Slot], Path]) -> str:
        try:
            export_random(job[0], job[1], self.artefact)
        except CandidateError as error:
            job[1].unlink(missing_ok=True)
            return str(error)
        return ""
