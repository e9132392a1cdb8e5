"""Training several networks at the same time: each alone, in a process of one thread.

Small networks keep one core busy and no more, so that processes beside each other are faster than
threads that share a network. Every network has a folder (`nas/standalone/train.py`), so a kill
loses nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from compress.sparse import Making
from nas.standalone.train import LOG, NETWORK, PLAN, as_it_is, trained_alone
from nas.system.files import read_json, read_lines
from nas.system.reporter import Reporter
from search_spaces import UserError
from supernets._worker import Worker, answered, is_orphan
from supernets.images import Images
from supernets.plan import TrainPlan
from supernets.teachers import LABELS_ONLY, Teaching
from supernets.train import DivergedError, Progress

LOOK_S = 1.0

Planning = TrainPlan | Callable[[nn.Module, Images], TrainPlan]
"""A plan, or what makes one of the network and the images."""


@dataclass(frozen=True)
class Job:
    """A network to be trained.

    Attributes:
        name: For whoever watches.
        network: Where training starts from; its weights become shared memory and are trained.
        images: To train on.
        folder: Of its files; must exist. What is finished there is not repeated.
        plan: How, unless the folder has one; or what decides it, in the job's own process.
        teaching: What it learns from.
        make: Of the network what is trained.
        before: Trained first: the same network, in another folder.
        after: Given the trained network, in the process that trained it.
    """

    name: str
    network: nn.Module
    images: Images
    folder: Path
    plan: Planning
    teaching: Teaching = LABELS_ONLY
    make: Making = as_it_is
    before: "Job | None" = None
    after: Callable[[nn.Module], None] | None = None

    def planned(self) -> TrainPlan:
        """How, decided now."""
        return self.plan(self.network, self.images) if callable(self.plan) else self.plan

    @property
    def is_begun(self) -> bool:
        """Whether its folder has a plan, which will be followed."""
        return (self.folder / PLAN).exists() or (self.before is not None and self.before.is_begun)

    @property
    def is_finished(self) -> bool:
        """Whether its folder has the trained weights."""
        return (self.folder / NETWORK).exists()

    def carry_out(self, on_step: Callable[[Progress, int], None]) -> None:
        """Train, or continue, or read back what is finished, in this process.

        Args:
            on_step: Told the numbers of every step, and of how many steps it is one.

        Raises:
            UserError: If training diverges, or a file of a folder is damaged.
        """
        if self.before and not self.is_finished:
            self.before.carry_out(on_step)
        trained_alone(
            self.network,
            self.images,
            self.folder,
            self.planned,
            teaching=self.teaching,
            make=self.make,
            on_step=on_step,
        )
        if self.after:
            self.after(self.network)

    def progress(self) -> tuple[int, int]:
        """Steps that are done, by the logs, and steps in all; 0 for plans not decided yet."""
        done, steps = self.before.progress() if self.before else (0, 0)
        lines = read_lines(self.folder / LOG, lambda line: int(line["step"]))
        if (self.folder / PLAN).exists():
            steps += int(read_json(self.folder / PLAN)["steps"])
        elif isinstance(self.plan, TrainPlan):
            steps += self.plan.steps
        return done + (lines[-1] if lines else 0), steps


def train_beside(
    jobs: Iterator[Job],
    *,
    processes: int,
    on_progress: Callable[[str, int, int], None] = lambda name, step, steps: None,
) -> None:
    """Train networks, as many at a time as there are processes.

    A training that diverges leaves its folder unfinished.

    Args:
        jobs: The next one is drawn when a process is free for it, so that it can depend on the time
            that is left.
        processes: Of one thread each.
        on_progress: Told the name, step and steps of those in training, about once a second.

    Raises:
        WorkerDiedError: If a process ends; the same call continues.
        UserError: If a folder's files are damaged.
    """
    idle: list[Worker] = []
    busy: dict[Worker, Job] = {}
    try:
        while True:
            while len(busy) < processes and (job := next(jobs, None)):
                worker = idle.pop() if idle else Worker(_train)
                worker.send(job)
                busy[worker] = job
            if not busy:
                return
            for worker in answered(list(busy), LOOK_S):
                del busy[worker]
                idle.append(worker)
                worker.receive()
            for job in busy.values():
                if job.is_begun:
                    on_progress(job.name, *job.progress())
    finally:
        for worker in [*idle, *busy]:
            worker.close()


def num_beside(number: int) -> int:
    """How many of so many networks are trained at a time: one per core that torch may use."""
    return max(1, min(number, torch.get_num_threads()))


def shown_by(reporter: Reporter, names: Sequence[str]) -> Callable[[str, int, int], None]:
    """Progress of `train_beside`: how much of all trainings is done."""
    done = dict.fromkeys(names, 0.0)

    def progress(name: str, step: int, steps: int) -> None:
        done[name] = min(1.0, step / max(1, steps))
        share = sum(done.values()) / len(done)
        reporter.advance(round(100 * share), 100, f"{name}, step {step} of {steps}")

    return progress


def _train(job: Job) -> None:
    """What each process does, unless whoever started it ends."""
    torch.set_num_threads(1)

    def check(numbers: object, steps: int) -> None:
        if is_orphan():
            raise UserError("whoever started this training has ended.")

    with suppress(DivergedError):
        job.carry_out(check)
