"""What every controller keeps to, on toy problems: `CHECKS`, each of a controller by its name."""

import dataclasses
import functools
import itertools
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from nas.controllers import CONTROLLERS, AbstractController
from nas.problem.pareto import hypervolume
from nas.problem.problem import Limit, NothingKnown, Objective, Problem
from nas.problem.trial import Trial
from nas.testing._expect import refused, require
from nas.testing.toy_problem import (
    NOTHING_KNOWN,
    REFERENCE_M,
    ToyCosts,
    search,
    toy_problem,
    trial_of,
)
from search_spaces import Candidate, Choice, SearchSpace, load_space, loaded_plugins
from supernets._search_path import search_path

SEED = 3
YARDSTICK = "random"
"""Every other controller is better."""

FEW_TRIALS: Mapping[str, int] = {"gp": 15, "predictor": 30}
"""Of a search, at most, for controllers that fit a model at every ask."""

TINY: tuple[tuple[tuple[Choice, ...], int], ...] = (
    ((Choice("width", (8,)),), 1),
    ((Choice("width", (8, 16)),), 2),
    ((Choice("width", (8, 16, 32)),), 3),
    ((Choice("depth", (1,)), Choice("width", (8,)), Choice("operator", ("raft",))), 1),
    ((Choice("depth", (1, 2)), Choice("width", (8, 16), (("depth", (2,)),))), 3),
)
"""Choices of the smallest spaces, and how many networks they have."""


def check_it_is_frozen_and_has_a_seed(name: str) -> None:
    """It is a frozen dataclass with a seed."""
    controller = made(name)
    other = dataclasses.replace(controller, seed=1)  # type: ignore[type-var]
    require(other != controller, f"controller '{name}': another seed makes it no other controller")
    with refused(f"controller '{name}' with a new seed", dataclasses.FrozenInstanceError):
        controller.seed = 4  # type: ignore[attr-defined]


def check_everything_feasible_is_proposed_once_and_then_none(name: str) -> None:
    """Every feasible network is proposed once, and then none."""
    for batch in (7,) if name in FEW_TRIALS else (1, 7):
        controller, problem = made(name), toy_problem(blocks=(1, 2), max_macs=120.0)
        trials = search(controller, problem, 10_000, batch=batch)
        shape = problem.space.cardinalities
        canonical_NC = np.unique(
            problem.space.canonical_many(np.indices(shape).reshape(len(shape), -1).T), axis=0
        )
        feasible_NC = canonical_NC[ToyCosts().of("macs", canonical_NC) <= 120.0]
        proposed = [trial.candidate.encoding for trial in trials]
        require(
            sorted(proposed) == [tuple(row) for row in feasible_NC.tolist()],
            f"asked for {batch} at a time: {len(set(proposed))} networks in {len(proposed)} "
            f"proposals, and there are {len(feasible_NC)}",
        )
        require(controller.ask(problem, trials, 3) == [], "all is proposed, and more is")
        left = len(controller.ask(problem, trials[:-2], 5))
        require(left == 2, f"two networks are left, and {left} are proposed")


def check_proposals_are_canonical_and_within_the_limit(name: str) -> None:
    """Proposals are canonical, within the limit, and new."""
    number = _num_trials(name, 40)
    for max_macs in (None, 300.0, 40.0):
        problem = toy_problem(max_macs=max_macs)
        trials = search(made(name), problem, number, batch=3)
        for trial in trials:
            same = problem.space.candidate(trial.candidate.encoding)
            require(same == trial.candidate, f"{trial.candidate} is not canonical: {same} is")
        _require_within(problem, [trial.candidate for trial in trials])
        require(
            len(trials) == number or max_macs == 40.0,
            f"{len(trials)} networks are proposed within {max_macs}, and there are more",
        )


def check_limits_on_real_costs_hold_together(name: str) -> None:
    """Two limits on real costs hold together."""
    space = load_space("toy", resolution=28, channels=1, num_classes=10)
    space = space.with_policy(("fp32", "int8"), (0.0, 0.5))
    assert space.costs is not None
    limits = tuple(
        Limit(metric, 1.3 * space.costs.minimum(metric)[0]) for metric in ("macs", "size_bytes")
    )
    objectives = (Objective("macs", "minimize"), Objective("size_bytes", "minimize"))
    problem = Problem(space=space, objectives=objectives, limits=limits, model=space.costs)
    candidates = made(name).ask(problem, [], 20)
    require(len(candidates) == 20, f"20 are asked for, {len(candidates)} are proposed")
    _require_within(problem, candidates)


def check_asking_after_reloading_the_trials_gives_the_same(name: str) -> None:
    """Asking after the trials were read from a file gives the same."""
    controller, problem, trials = made(name), toy_problem(), _searched(name)
    for end in (0, 1, 10, 2 * len(trials) // 3, len(trials)):
        live = keys(controller.ask(problem, trials[:end], 4))
        again = keys(controller.ask(problem, _reloaded(trials[:end], problem), 4))
        require(live == again, f"after {end} trials {live} are proposed, reloaded {again}")


def check_a_fresh_process_proposes_the_same(name: str) -> None:
    """A fresh process proposes the same."""
    done = subprocess.run(
        [sys.executable, "-m", "nas.testing._worker"],
        env={**os.environ, **search_path(), "PYTHONHASHSEED": "77"},
        input=json.dumps({"controller": name, "plugins": loaded_plugins()}),
        capture_output=True,
        text=True,
    )
    require(done.returncode == 0, f"a fresh process fails: {done.stderr.strip()}")
    here, there = proposed_by(name), done.stdout.split()
    require(there == here, f"here {here} are proposed, elsewhere {there}")


def check_where_failures_stand_does_not_matter(name: str) -> None:
    """Where failures stand among the trials does not matter."""
    controller, problem, trials = made(name), toy_problem(), _searched(name)
    has_failed = [trial.failure is not None for trial in trials]
    failed = list(itertools.compress(trials, has_failed))
    others = [trial for trial in trials if trial.failure is None]
    expected = keys(controller.ask(problem, trials, 4))
    for order in (failed + others, others + failed[::-1]):
        found = keys(controller.ask(problem, order, 4))
        require(found == expected, f"{expected} are proposed, in another order {found}")


def check_unfinished_trials_are_not_proposed_again(name: str) -> None:
    """What is still being evaluated is not proposed again."""
    controller, problem = made(name), toy_problem(blocks=(1,))
    done = search(controller, problem, 20)
    waiting = [
        trial_of(20 + i, candidate, metrics={})
        for i, candidate in enumerate(controller.ask(problem, done, 4))
    ]
    rest = controller.ask(problem, done + waiting, 50)
    again = set(keys(rest)) & set(keys_of_trials(done + waiting))
    require(not again, f"{sorted(again)} are known and proposed again")
    require(len(rest) == 3, f"3 networks are left, {len(rest)} are proposed")


def check_a_history_without_measurements_does_no_harm(name: str) -> None:
    """A history without any measurement does no harm."""
    nothing: dict[str, object] = {"metrics": {}}
    for fields in ({**nothing, "failure": "out of memory"}, nothing):
        _require_new_ones(name, toy_problem(), fields)


def check_constant_or_broken_objectives_do_no_harm(name: str) -> None:
    """Objectives that are constant, infinite or not numbers do no harm."""
    for values in ((), (1.0,), (1.0, 1.0), (math.inf, math.nan)):
        names = ("log_loss", "size_bytes")[: len(values)] or ("log_loss",)
        objectives = tuple(Objective(metric, "minimize") for metric in names)
        problem = dataclasses.replace(toy_problem(), objectives=objectives)
        _require_new_ones(name, problem, {"metrics": dict(zip(names, values, strict=False))})


def check_the_smallest_spaces_are_exhausted(name: str) -> None:
    """Spaces of one, two and three networks are exhausted."""
    for choices, size in TINY:
        space = SearchSpace("tiny", choices)
        problem = Problem(space=space, objectives=(Objective("log_loss", "minimize"),))
        controller = made(name)
        trials: list[Trial] = []
        while candidates := controller.ask(problem, trials, 2):
            for candidate in candidates:
                trials.append(
                    Trial(
                        number=len(trials),
                        candidate=candidate,
                        metrics={"log_loss": 1.0},
                        predicted={},
                    )
                )
            require(len(trials) <= size, f"{len(trials)} are proposed of {size} networks")
        distinct = len(set(keys_of_trials(trials)))
        require(len(trials) == distinct == space.size == size, f"{distinct} of {size} are proposed")


def check_asking_for_none_gives_none(name: str) -> None:
    """Asking for none gives none."""
    found = made(name).ask(toy_problem(), [], 0)
    require(found == [], f"none is asked for, {len(found)} are proposed")


def check_where_nothing_is_feasible_nothing_is_proposed(name: str) -> None:
    """Where nothing is feasible nothing is proposed."""
    for blocks in ((1,), (1, 2, 3, 4), tuple(range(1, 30))):
        found = made(name).ask(toy_problem(blocks=blocks, max_macs=1.0), [], 3)
        require(found == [], f"no network is within the limit, {len(found)} are proposed")


def check_a_limit_met_by_one_network_in_a_billion_is_met(name: str) -> None:
    """A limit that one network in a billion meets is met."""
    blocks = tuple(range(1, 31))  # 27 ** 30 networks, about 10 ** 43
    problem = toy_problem(blocks=blocks, max_macs=150.0)
    number = _num_trials(name, 30)
    trials = search(made(name), problem, number, batch=3)
    require(len(trials) == number, f"{number} are asked for, {len(trials)} are proposed")
    _require_within(problem, [trial.candidate for trial in trials])


def check_seeds_differ(name: str) -> None:
    """Another seed proposes others."""
    first, second = (
        keys_of_trials(search(made(name, seed), toy_problem(), 20)) for seed in (SEED, SEED + 1)
    )
    require(first != second, f"seeds {SEED} and {SEED + 1} propose the same")


def check_it_is_better_than_random(name: str) -> None:
    """It is better than random search, whether costs are known or not.

    Seeds are fixed. Of those that want a front `nsga2` is the weakest: it gains 1.0 % of
    hypervolume with a standard deviation of 1.0 %; `evolution` gains 3.1 % and 0.6 % (1.9 % and
    1.6 % with unknown cost): 60 trials, 10 seeds. Those that do not want a front are let off.
    """
    if name == YARDSTICK or not CONTROLLERS.get(name).wants_front:
        return
    for model in (None, NOTHING_KNOWN):
        trials = _num_trials(name, 60)
        own, random = (_mean_hypervolume(n, model, trials) for n in (name, YARDSTICK))
        known = "known" if model is None else "unknown"
        require(
            own > random,
            f"with {known} costs the hypervolume after {trials} trials is {own:.6g}, and "
            f"{random:.6g} with '{YARDSTICK}'",
        )


CHECKS: tuple[Callable[[str], None], ...] = (
    check_it_is_frozen_and_has_a_seed,
    check_everything_feasible_is_proposed_once_and_then_none,
    check_proposals_are_canonical_and_within_the_limit,
    check_limits_on_real_costs_hold_together,
    check_asking_after_reloading_the_trials_gives_the_same,
    check_a_fresh_process_proposes_the_same,
    check_where_failures_stand_does_not_matter,
    check_unfinished_trials_are_not_proposed_again,
    check_a_history_without_measurements_does_no_harm,
    check_constant_or_broken_objectives_do_no_harm,
    check_the_smallest_spaces_are_exhausted,
    check_asking_for_none_gives_none,
    check_where_nothing_is_feasible_nothing_is_proposed,
    check_a_limit_met_by_one_network_in_a_billion_is_met,
    check_seeds_differ,
    check_it_is_better_than_random,
)


def made(name: str, seed: int = SEED) -> AbstractController:
    """The controller with its default settings."""
    controller = CONTROLLERS.get(name)(seed=seed)
    assert isinstance(controller, AbstractController)
    return controller


def keys(candidates: Sequence[Candidate]) -> list[str]:
    """Of candidates, in order."""
    return [candidate.key for candidate in candidates]


def keys_of_trials(trials: Sequence[Trial]) -> list[str]:
    """Of their candidates, in order."""
    return keys([trial.candidate for trial in trials])


def proposed_by(name: str) -> list[str]:
    """Keys of what a controller proposes in a short search within a limit."""
    number = _num_trials(name, 30)
    return keys_of_trials(search(made(name), toy_problem(max_macs=600.0), number, batch=2))


def _num_trials(name: str, most: int) -> int:
    return min(most, FEW_TRIALS.get(name, most))


@functools.cache
def _searched(name: str) -> tuple[Trial, ...]:
    """45 trials of the toy problem, or `FEW_TRIALS`: a third failed, a seventh are no numbers."""
    bad = {"metrics": {}, "failure": "no kernel for this format"}
    nan = {"metrics": {"log_loss": math.nan}}
    return tuple(
        dataclasses.replace(t, **(bad if t.number % 3 == 0 else nan if t.number % 7 == 0 else {}))
        for t in search(made(name), toy_problem(), _num_trials(name, 45))
    )


def _reloaded(trials: Sequence[Trial], problem: Problem) -> list[Trial]:
    lines = [json.dumps(trial.to_json(), allow_nan=False) for trial in trials]
    return [Trial.from_json(json.loads(line), problem.space) for line in lines]


def _require_within(problem: Problem, candidates: Sequence[Candidate]) -> None:
    """See that there are candidates, different ones and within all limits."""
    require(candidates, "nothing is proposed")
    repeated = len(candidates) - len(set(keys(candidates)))
    require(not repeated, f"{repeated} of {len(candidates)} proposals are repetitions")
    rows_NC = np.array([candidate.encoding for candidate in candidates])
    for limit in problem.limits:
        excess = problem.model.of(limit.metric, rows_NC) > limit.max
        require(not excess.any(), f"{excess.sum()} proposals are over {limit.max} {limit.metric}")


def _require_new_ones(name: str, problem: Problem, fields: Mapping[str, object]) -> None:
    """See that up to 30 trials with these fields are different ones."""
    controller = made(name)
    trials: list[Trial] = []
    for number in range(_num_trials(name, 30)):
        candidates = controller.ask(problem, trials, 1)
        require(len(candidates) == 1, f"after {number} trials like {dict(fields)} none is proposed")
        trials.append(trial_of(number, candidates[0], **fields))
    distinct = len(set(keys_of_trials(trials)))
    number = len(trials)
    require(distinct == number, f"{number} trials like {dict(fields)} are {distinct} networks")


def _mean_hypervolume(name: str, model: NothingKnown | None, trials: int) -> float:
    problem = toy_problem(model=model)
    searches = [search(made(name, seed), problem, trials) for seed in range(3)]
    return float(np.mean([hypervolume(problem.losses(s), REFERENCE_M) for s in searches]))
