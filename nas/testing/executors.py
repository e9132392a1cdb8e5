"""What every executor keeps to: scores are those of this process, in any order.

On a few members of a small supernet with random weights, some of which fail.
"""

import dataclasses
import functools
import multiprocessing
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from nas.data import load_data
from nas.executors import EXECUTORS, AbstractExecutor, Scoring
from nas.prepare.phases import PhasePlan
from nas.prepare.reopen import Trained
from nas.problem.problem import Objective, Problem
from nas.run.config import Config
from nas.run.directory import Run
from nas.scoring.scorer import Scorer
from nas.search_flow import score_candidates
from nas.system.reporter import Silent
from nas.system.typed import TYPE_NAMES
from nas.testing._expect import refused, require
from nas.testing._spaces import random_supernet
from search_spaces import Candidate, load_space
from supernets.plan import TrainPlan

SIDE, IMAGES, WORKERS = 16, 60, 2
TRIALS, LAG = 8, 2
CONTROLLER = "reinforce"
"""Its proposals depend on every result that it sees."""

FAILING = "window"
"""The operator whose members have no finite log-loss."""


def check_its_fields_are_settings(name: str) -> None:
    """It is frozen, and its fields are settings with defaults."""
    cls = EXECUTORS.get(name)
    require(dataclasses.is_dataclass(cls), f"{cls.__name__} is no dataclass")
    for field in dataclasses.fields(cls):
        known = ", ".join(kind.__name__ for kind in TYPE_NAMES)
        require(field.type in TYPE_NAMES, f"field '{field.name}' is none of {known}")
        has_default = field.default is not dataclasses.MISSING
        require(has_default, f"field '{field.name}' has no default")
    executor = _made(name)
    with refused("a new field", dataclasses.FrozenInstanceError):
        executor.workers = 3  # type: ignore[attr-defined]
    executor.check()
    require(executor.at_once >= 1, f"it scores {executor.at_once} candidates at once")
    require(executor.lag >= 0, f"its lag is {executor.lag}")


def check_scores_are_those_of_this_process(name: str) -> None:
    """Scores and failures are those of this process, and nothing outlives the session."""
    scoring = _scoring()
    wanted = _candidates()
    with _made(name).session(scoring) as session:
        for candidate in wanted:
            session.start(candidate)
        found = dict(session.finished() for _ in wanted)
    for candidate in wanted:
        expected = scoring.scorer(candidate)
        what = f"{candidate.key} has {found.get(candidate.key)}"
        require(found.get(candidate.key) == expected, f"{what}, and in this process {expected}")
    require(len(found) == len(wanted), f"{len(wanted)} are started, and {len(found)} finished")
    left = _children()
    require(not left, f"processes {left} outlive the session")


def check_the_records_do_not_depend_on_it(name: str) -> None:
    """With one seed and one lag it leads to the same trials as scores in this process."""
    found, expected = _records(name), _records("inline")
    number = len(expected.splitlines())
    require(number == TRIALS, f"scores in this process lead to {number} trials")
    require(found == expected, f"it leads to {found!r}, scores in this process to {expected!r}")


CHECKS: tuple[Callable[[str], None], ...] = (
    check_its_fields_are_settings,
    check_scores_are_those_of_this_process,
    check_the_records_do_not_depend_on_it,
)


def _made(name: str) -> AbstractExecutor:
    executor = EXECUTORS.get(name)(**_workers(name))
    assert isinstance(executor, AbstractExecutor)
    return executor


def _workers(name: str) -> dict[str, Any]:
    """How many an executor is asked for, if it asks."""
    names = {field.name for field in dataclasses.fields(EXECUTORS.get(name))}
    return {"workers": WORKERS} if "workers" in names else {}


@functools.cache
def _scoring() -> Scoring:
    space = load_space("toy", resolution=SIDE, channels=1, num_classes=10)
    supernet = random_supernet(space.with_policy(("fp32", "int8"), (0.0, 0.5)))
    for slot, module in supernet.named_modules():
        if f"operators.{FAILING}" in slot:
            for parameter in module.parameters():
                torch.nn.init.constant_(parameter, torch.nan)
    data = load_data("digits", resolution=SIDE)
    return Scoring(scorer=Scorer(supernet, data, IMAGES), data=data)


def _candidates() -> list[Candidate]:
    """Some members that can be scored, and one that cannot."""
    space = _scoring().scorer.supernet.space
    failing = space.with_operator(FAILING)
    rows = [[k % n for n in space.cardinalities] for k in range(4)]
    good = [[0 if i in failing else option for i, option in enumerate(row)] for row in rows]
    bad = [failing.get(i, 0) for i in range(len(space.choices))]
    return list({c.key: c for c in map(space.candidate, [*good, bad])}.values())


def _records(name: str) -> bytes:
    """trials.jsonl of a search that this executor scores for."""
    scoring = _scoring()
    space = scoring.scorer.supernet.space
    assert space.costs is not None
    problem = Problem(
        space=space,
        objectives=(Objective("log_loss", "minimize"), Objective("macs", "minimize")),
        model=space.costs,
    )
    config = Config(space="toy", controller=CONTROLLER, executor=name, **_workers(name))
    with tempfile.TemporaryDirectory(prefix="nas-") as folder:
        run = Run.open(Path(folder, "run"), config)
        trained = Trained(
            run=run,
            config=config,
            data=scoring.data,
            problem=problem,
            train_plan=TrainPlan(steps=1),
            phases=PhasePlan(trials=TRIALS, lag=LAG),
            scorer=scoring.scorer,
        )
        score_candidates(trained, Silent())
        return (run.path / "trials.jsonl").read_bytes()


def _children() -> list[int]:
    """Workers of this process, of `multiprocessing` or Ray, that are still there."""
    listed = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())], capture_output=True, text=True
    ).stdout
    of_ray = [int(line.split()[0]) for line in listed.splitlines() if "ray" in line]
    return of_ray + [int(process.pid or 0) for process in multiprocessing.active_children()]
