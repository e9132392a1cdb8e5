"""The contract of an executor: start scores, and give back those that are finished in any order.

What is asked for and what is recorded does not depend on that order. The search keeps a *lag*: the
candidate of trial i is asked for with the results of trials below i - lag alone, and the others
count as being evaluated, whether they are or not. So the records are those of any other executor
with the same lag, and no worker waits for a batch to end.
"""

import dataclasses
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Protocol

from nas.problem.trial import Score
from nas.run.config import Config
from nas.system.environment import num_cores
from nas.targets import AbstractDevice, Timer, TimesFiles, choose, measure
from search_spaces import Candidate, Registry, UserError
from supernets.device import devices, is_cpu, kind_of

if TYPE_CHECKING:
    from nas.data import DataSet
    from nas.scoring.scorer import Scorer  # which imports torch

TRIES = 2
"""Of a score whose process dies or is stuck; then its candidate is a failed one."""

MOST_PER_CORE = 8
"""Threads, or processes that score or train."""


class Session(Protocol):
    """Scores in progress."""

    def start(self, candidate: Candidate) -> None:
        """Have a candidate scored; returns at once."""

    def finished(self) -> tuple[str, Score]:
        """Key and score of one started candidate; waits for one if none is finished."""


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """What scores are made with.

    Attributes:
        scorer: Holds the supernet.
        data: Some of its images are looked at.
    """

    scorer: "Scorer"
    data: "DataSet"


class AbstractExecutor(ABC):
    """Scores candidates, each on one core. Subclasses are frozen dataclasses."""

    is_local: ClassVar[bool] = True
    """Whether its scores run on this machine, whose cores the user may have limited."""

    place: ClassVar[str] = "this machine"
    """What it runs on, in messages."""

    @property
    @abstractmethod
    def at_once(self) -> int:
        """How many candidates it scores at the same time."""

    @property
    def lag(self) -> int:
        """How far the results that an ask sees may be behind, unless the user says it.

        So many that a slow candidate does not leave the other workers without work.
        """
        return 2 * self.at_once - 1

    @property
    def num_cores(self) -> int:
        """Cores on which it scores."""
        return num_cores()

    def check(self) -> None:  # noqa: B027 - most need nothing
        """See that what it needs is there, before anything is measured.

        Raises:
            UserError: If it is not.
        """

    @abstractmethod
    def session(self, scoring: Scoring) -> AbstractContextManager[Session]:
        """Ready to score; at its end nothing that it started runs any more."""

    def timer(self, target: str, threads: int) -> TimesFiles:
        """Times files on a machine where none of this executor's scores runs meanwhile.

        Args:
            target: The runtime, with its options.
            threads: Of the runtime, where its options do not say it.
        """
        return partial(measure, target, threads=threads)

    def num_devices(self, device: str) -> int:
        """How many processes `ranks` may share steps on at most.

        Args:
            device: One of the kind.
        """
        if is_cpu(device):
            return MOST_PER_CORE * num_cores()
        return sum(kind_of(device) == kind_of(here) for here in devices())

    def ranks(self, num: int, device: str) -> AbstractContextManager[None]:
        """So many processes share the steps of training, a device for each; this is rank 0.

        Args:
            num: With this one.
            device: That of this one.

        Raises:
            UserError: If one of them cannot begin.
        """
        from supernets._rank_worker import ranks_here  # which imports torch

        return ranks_here(num)


EXECUTORS = Registry("nas.executors", "executor", AbstractExecutor)


def check_limit(executor: str, score_limit_s: float) -> None:
    """Refuse a limit in which nothing can be scored.

    Raises:
        UserError: If it is not above 0.
    """
    if not score_limit_s > 0.0:
        raise UserError(
            f"executor '{executor}': score_limit_s is {score_limit_s}. "
            "It must be above 0 seconds. Change it."
        )


def make_executor(config: Config) -> AbstractExecutor:
    """The executor that the configuration names.

    Raises:
        UserError: If it does not exist, or one of its settings is wrong.
    """
    cls = EXECUTORS.get(config.executor)
    names = {field.name for field in dataclasses.fields(cls)}
    if config.ray_address and "ray_address" not in names:
        raise UserError(
            f"ray_address is '{config.ray_address}', and executor '{config.executor}' does not use "
            "Ray. Give --executor ray, or leave out --ray-address."
        )
    if config.workers and "workers" not in names:
        raise UserError(
            f"workers is {config.workers}, and executor '{config.executor}' does not ask how many. "
            "Leave out --workers, or give another --executor."
        )
    flags = {name: getattr(config, name) for name in ("workers", "ray_address") if name in names}
    if cls.is_local and "workers" in names:
        flags["workers"] = config.workers or config.threads
    executor: AbstractExecutor = cls(**config.settings_of(cls), **flags)
    return executor


def make_timer(config: Config, target: str = "") -> Timer:
    """What times files on a target, beside no score.

    Args:
        config: Names the executor.
        target: With its options; "" for the first one that the configuration names.
    """
    target = target or config.target
    chosen = choose(target, threads=config.timing_threads)
    if isinstance(chosen.target, AbstractDevice):
        times_files: TimesFiles = partial(chosen.target.time, threads=chosen.threads)
    else:
        times_files = make_executor(config).timer(target, config.timing_threads)
    return Timer(times_files, chosen.target.artefact)


def make_timers(config: Config) -> dict[str, Timer]:
    """What times files on each target that the configuration names, by its text, in their order."""
    return {text: make_timer(config, text) for text in (config.target, *config.other_targets)}
