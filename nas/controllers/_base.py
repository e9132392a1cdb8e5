"""The contract of a controller.

A controller is a frozen dataclass of hyper-parameters. It has no state: `ask` is a pure function of
the problem, the trials so far, n and the seed, so that a resumed search continues as if it had
never stopped. Population, archive and surrogate are recomputed from the trials.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from importlib.util import find_spec
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from threadpoolctl import threadpool_limits

from nas.problem.problem import Problem
from nas.problem.trial import Trial
from search_spaces import Candidate, Registry, UserError


class AbstractController(ABC):
    """Proposes candidates. Subclasses are frozen dataclasses with a field `seed`."""

    modules: ClassVar[tuple[str, ...]] = ()
    """What it imports of packages that are no requirement of ours."""
    install: ClassVar[str] = ""
    """The command that installs them."""
    wants_front: ClassVar[bool] = True
    """Whether it looks for all trade-offs between the objectives, and not for one of them."""

    @abstractmethod
    def ask(self, problem: Problem, trials: Sequence[Trial], n: int) -> list[Candidate]:
        """The next candidates to evaluate.

        Args:
            problem: What is searched for, and what is known beforehand.
            trials: All trials so far in order; failed ones and ones that are still being evaluated
                (no metrics yet) included, so that they are not proposed again.
            n: How many candidates are wanted.

        Returns:
            Up to n distinct canonical candidates within the modelled limits, none of them in
            `trials`. Fewer, down to none, only when no more such candidates exist or can be found.
        """


CONTROLLERS = Registry("nas.controllers", "controller", AbstractController)


def check_installed(name: str) -> None:
    """See that what a controller needs is there, without importing it.

    Raises:
        UserError: If it is not.
    """
    controller = CONTROLLERS.get(name)
    missing = [module for module in controller.modules if find_spec(module) is None]
    if missing:
        raise UserError(
            f"controller '{name}' needs {', '.join(missing)}, not installed. "
            f"Run: {controller.install}"
        )


def installed_controllers() -> list[str]:
    """Names of the controllers that can be used here."""
    return [
        name
        for name in CONTROLLERS.names()
        if all(find_spec(module) is not None for module in CONTROLLERS.get(name).modules)
    ]


@runtime_checkable
class Predicts(Protocol):
    """A controller that predicts metrics, and can say how well."""

    def evidence(self, problem: Problem, trials: Sequence[Trial]) -> dict[str, dict[str, float]]:
        """How well every predicted metric is predicted from the other trials, each left out once.

        Returns:
            By metric "kendall_tau", between predicted and measured, and "coverage", the share of
            trials within their 90 % interval; empty while nothing is predicted yet.
        """


def generator(seed: int, trials: Sequence[Trial]) -> np.random.Generator:
    """The random numbers of one `ask`: they depend on the seed and on how many trials there are."""
    return np.random.default_rng([seed, len(trials)])


def one_blas_thread() -> AbstractContextManager[object]:
    """In this context matrices are multiplied and factored on one thread.

    They are small: more threads wait for each other longer than they work, above all beside other
    processes.
    """
    return threadpool_limits(limits=1, user_api="blas")
