"""Plumbing of the controllers that are optuna samplers: a study rebuilt for every ask.

A sampler of optuna learns from its study as the search goes on; a controller has no state. So every
`ask` rebuilds the study in memory, asks it, and drops it. For the search to go as if the study had
lived all along:

- The sampler's seed depends on the number of trials. With one seed for all, every rebuilt sampler
  would begin with the same random numbers.
- Every choice is a parameter of every trial. optuna learns little about a parameter that some
  trials lack: NSGA-II draws it at random, TPE models it apart from all others. An inactive choice
  has an option of its own instead, so that trials that lack it agree in it, and none seems to
  prefer its first option. Proposed for an active choice, it stands for any option.
- Parameters are categorical, values are option indices. What a sampler leaves open is drawn from
  our own generator: samplers have a second one for that, with the same seed, and those that always
  start anew would draw the same numbers from both.

Failed trials are left out, optuna's samplers look at complete and running ones only. Trials that
are being evaluated are running ones there. Trials over a limit that only a measurement shows have
optuna's constraint; proposals over a modelled limit are repaired.

Nothing here imports optuna before the first candidate is asked for.
"""

import itertools
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.controllers._variation import ENUMERABLE_ROWS, encodings_of, selection_order
from nas.problem.feasible import repair
from nas.problem.problem import Problem
from nas.problem.trial import Trial
from search_spaces import SearchSpace

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

REMEMBERED = 1_000
"""Measured trials of which a study is rebuilt in full, unless a controller says otherwise."""
TRIES = 8
"""Proposals per candidate wanted, repeated ones included, before `propose` has to help itself."""


def sampler_seed(rng: np.random.Generator) -> int:
    """A seed that optuna accepts."""
    return int(rng.integers(2**32))


def is_third_known(space: SearchSpace, trials: Sequence[Trial]) -> bool:
    """Whether a third of a small space has trials: then samplers propose little that is new."""
    is_small = math.prod(space.cardinalities) <= ENUMERABLE_ROWS
    return is_small and 3 * len(trials) >= space.size


def remembered(
    problem: Problem,
    trials: Sequence[Trial],
    *,
    num_best: int,
    num_recent: int = REMEMBERED,
    block: int = 1,
) -> list[Trial]:
    """The measured trials in their order, older ones reduced to the best of them.

    The time of an ask is that of rebuilding: without a bound, a search would need time in
    proportion to the square of its trials.

    Args:
        problem: Says what is measured and what is better.
        trials: Any.
        num_best: How many of the older trials are kept, by rank and crowding distance.
        num_recent: How many trials are not older ones.
        block: Older trials are reduced this many at a time.
    """
    measured = list(itertools.compress(trials, _is_measured(problem, trials)))
    num_old = -(-max(0, len(measured) - num_recent) // block) * block
    old = measured[:num_old]
    losses_NM = problem.within_limits(problem.losses(old), old)
    best = sorted(selection_order(losses_NM)[:num_best].tolist())
    return [old[i] for i in best] + measured[num_old:]


def rebuilt_study(
    problem: Problem,
    trials: Sequence[Trial],
    measured: Sequence[Trial],
    sampler: "BaseSampler",
    *,
    system_attrs: Callable[[int], dict[str, Any]] = lambda number: {},
) -> "Study":
    """A study in memory that knows the trials.

    Args:
        problem: Its objectives are the study's, as losses.
        trials: Those among them that are being evaluated are running trials of the study.
        measured: The complete trials of the study, in their order.
        sampler: The study's.
        system_attrs: What optuna itself would have noted about a trial, by its position.
    """
    import optuna

    space = problem.space
    parameters = _parameters(space)
    with _no_notices():
        study = optuna.create_study(
            sampler=sampler, directions=["minimize"] * len(problem.objectives)
        )
    losses_NM = problem.losses(measured)
    excess_N = problem.excesses(measured)

    def add(values_P: list[int], **fields: Any) -> None:
        added = optuna.trial.create_trial(**fields)
        added.distributions = parameters
        added.params = _Uncopied(zip(parameters, values_P, strict=True))
        study.add_trial(added)

    values_NP = parameter_values(space, encodings_of(space, measured)).tolist()
    for number, losses_M in enumerate(losses_NM.tolist()):
        fields = {"values": losses_M, "system_attrs": system_attrs(number)}
        limits = {"constraints": {"limits": float(excess_N[number])}} if problem.limits else {}
        add(values_NP[number], **fields, **limits)
    is_measured_N = _is_measured(problem, trials)
    running = [
        trial
        for trial, is_measured in zip(trials, is_measured_N, strict=True)
        if not (is_measured or trial.metrics or trial.failure)
    ]
    for values_P in parameter_values(space, encodings_of(space, running)).tolist():
        add(values_P, state=optuna.trial.TrialState.RUNNING)
    return study


def parameter_values(space: SearchSpace, encodings_NC: np.ndarray) -> np.ndarray:
    """Values of the study's parameters, shape (N, P): of every choice with more than one option.

    The index of its option; where it is inactive, the number of its options.
    """
    cardinality_C = np.array(space.cardinalities)
    values_NC = np.where(space.is_active(encodings_NC), encodings_NC, cardinality_C)
    return np.asarray(values_NC[:, cardinality_C > 1])


def suggestions(
    problem: Problem, study: "Study", n: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """What the study's sampler proposes for n candidates, within the modelled limits: (1, C) each.

    Proposals stay in the study as running trials, so that TPE does not insist on a repeated one.
    """
    space = problem.space
    for _ in range(TRIES * n):
        study.ask()
        asked = study.get_trials(deepcopy=False)[-1]
        suggested = study.sampler.sample_relative(study, asked, _parameters(space))
        row_1C = space.sample(rng, 1)
        for name, option in suggested.items():
            column = space.index(name)
            if option < space.cardinalities[column]:
                row_1C[0, column] = option
        yield repair(problem, row_1C, rng)


def _is_measured(problem: Problem, trials: Sequence[Trial]) -> list[bool]:
    """Which trials have all objectives."""
    return [bool(finite) for finite in np.isfinite(problem.losses(trials)).all(axis=1)]


@lru_cache(maxsize=4)
def _parameters(space: SearchSpace) -> "dict[str, BaseDistribution]":
    """Every choice that is one: its options' indices, and one more if it can be inactive."""
    from optuna.distributions import CategoricalDistribution

    num_options = {
        choice.name: len(choice.options) + bool(choice.active_if)
        for choice in space.choices
        if len(choice.options) > 1
    }
    return _Uncopied({name: CategoricalDistribution(range(n)) for name, n in num_options.items()})


class _Uncopied(dict[str, Any]):
    """A dictionary that nobody changes: optuna copies those of every trial, most of its work."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Uncopied":
        return self


@contextmanager
def _no_notices() -> Iterator[None]:
    """Keeps optuna from telling the user about studies that live for milliseconds."""
    logger = logging.getLogger("optuna")
    before = logger.level
    logger.setLevel(max(before, logging.WARNING))
    try:
        yield
    finally:
        logger.setLevel(before)
