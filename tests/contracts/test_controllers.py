"""What every controller keeps: run over the registry, so that a new file is tested at once."""

import dataclasses
import functools
import itertools
import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from nas.controllers import CONTROLLERS, AbstractController
from nas.problem.pareto import hypervolume
from nas.problem.problem import Limit, NothingKnown, Objective, Problem
from nas.problem.trial import Trial
from search_spaces import Candidate, Choice, SearchSpace, load_space
from tests.toy_problem import (
    NOTHING_KNOWN,
    REFERENCE_M,
    ToyCosts,
    search,
    toy_problem,
    trial_of,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=CONTROLLERS.names())
def controller(request: pytest.FixtureRequest) -> AbstractController:
    controller = CONTROLLERS.get(request.param)(seed=3)
    assert isinstance(controller, AbstractController)
    return controller


@functools.cache
def searched(controller: AbstractController) -> list[Trial]:
    """45 trials of the toy problem, some of them failed, and none of it is changed."""
    return with_some_failures(search(controller, toy_problem(), 45))


def keys(candidates: Sequence[Candidate]) -> list[str]:
    return [candidate.key for candidate in candidates]


def keys_of_trials(trials: Sequence[Trial]) -> list[str]:
    return keys([trial.candidate for trial in trials])


def reloaded(trials: Sequence[Trial], problem: Problem) -> list[Trial]:
    lines = [json.dumps(trial.to_json(), allow_nan=False) for trial in trials]
    return [Trial.from_json(json.loads(line), problem.space) for line in lines]


def with_some_failures(trials: Sequence[Trial]) -> list[Trial]:
    """Every third trial failed, every seventh measured as not a number."""
    bad = {"metrics": {}, "failure": "no kernel for this format"}
    nan = {"metrics": {"log_loss": math.nan}}
    return [
        dataclasses.replace(t, **(bad if t.number % 3 == 0 else nan if t.number % 7 == 0 else {}))
        for t in trials
    ]


def test_controllers_are_frozen_and_have_a_seed(controller: AbstractController) -> None:
    assert dataclasses.replace(controller, seed=1) != controller  # type: ignore[type-var]
    with pytest.raises(dataclasses.FrozenInstanceError):
        controller.seed = 4  # type: ignore[attr-defined]


@pytest.mark.parametrize("batch", [1, 7])
def test_every_feasible_network_is_proposed_once_and_then_none(
    controller: AbstractController, batch: int
) -> None:
    problem = toy_problem(blocks=(1, 2), max_macs=120.0)
    trials = search(controller, problem, 10_000, batch=batch)
    everything = np.indices(problem.space.cardinalities).reshape(len(problem.space.choices), -1).T
    canonical_NC = np.unique(problem.space.canonical_many(everything), axis=0)
    feasible_NC = canonical_NC[ToyCosts().of("macs", canonical_NC) <= 120.0]
    proposed = [trial.candidate.encoding for trial in trials]
    assert sorted(proposed) == [tuple(row) for row in feasible_NC.tolist()]
    assert controller.ask(problem, trials, 3) == []
    assert len(controller.ask(problem, trials[:-2], 5)) == 2


@pytest.mark.parametrize("max_macs", [None, 1500.0, 300.0, 40.0])
def test_proposals_are_canonical_and_within_the_limit(
    controller: AbstractController, max_macs: float | None
) -> None:
    problem = toy_problem(max_macs=max_macs)
    trials = search(controller, problem, 40, batch=3)
    for trial in trials:
        assert problem.space.candidate(trial.candidate.encoding) == trial.candidate
    rows_NC = np.array([trial.candidate.encoding for trial in trials])
    assert (ToyCosts().of("macs", rows_NC) <= (max_macs or math.inf)).all()
    assert len(set(keys_of_trials(trials))) == len(trials)
    assert len(trials) == 40 or max_macs == 40.0


def test_limits_on_real_costs_hold_together(controller: AbstractController) -> None:
    space = load_space("toy", resolution=28, channels=1, num_classes=10)
    space = space.with_policy(("fp32", "int8"), (0.0, 0.5))
    assert space.costs is not None
    limits = tuple(
        Limit(metric, 1.3 * space.costs.minimum(metric)[0]) for metric in ("macs", "size_bytes")
    )
    objectives = (Objective("macs", "minimize"), Objective("size_bytes", "minimize"))
    problem = Problem(space=space, objectives=objectives, limits=limits, model=space.costs)
    candidates = controller.ask(problem, [], 20)
    assert len(set(keys(candidates))) == 20
    rows_NC = np.array([candidate.encoding for candidate in candidates])
    for limit in limits:
        assert (space.costs.of(limit.metric, rows_NC) <= limit.max).all()


def test_asking_after_reloading_the_trials_gives_the_same(controller: AbstractController) -> None:
    problem, trials = toy_problem(), searched(controller)
    for end in (0, 1, 10, 30, 45):
        live = controller.ask(problem, trials[:end], 4)
        assert keys(controller.ask(problem, reloaded(trials[:end], problem), 4)) == keys(live)


def test_a_fresh_process_proposes_the_same(controller: AbstractController) -> None:
    name = CONTROLLERS.names()[
        [CONTROLLERS.get(n) for n in CONTROLLERS.names()].index(type(controller))
    ]
    program = (
        "from nas.controllers import CONTROLLERS\n"
        "from tests.toy_problem import search, toy_problem\n"
        f"controller = CONTROLLERS.get({name!r})(seed=3)\n"
        "trials = search(controller, toy_problem(max_macs=600.0), 30, batch=2)\n"
        "print(*[trial.candidate.key for trial in trials])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "77"}
    output = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    ).stdout
    here = search(controller, toy_problem(max_macs=600.0), 30, batch=2)
    assert output.split() == keys_of_trials(here)


def test_where_failures_stand_among_the_trials_does_not_matter(
    controller: AbstractController,
) -> None:
    problem, trials = toy_problem(), searched(controller)
    has_failed = [trial.failure is not None for trial in trials]
    failed = list(itertools.compress(trials, has_failed))
    others = [trial for trial in trials if trial.failure is None]
    expected = keys(controller.ask(problem, trials, 4))
    assert keys(controller.ask(problem, failed + others, 4)) == expected
    assert keys(controller.ask(problem, others + failed[::-1], 4)) == expected


def test_unfinished_trials_are_not_proposed_again(controller: AbstractController) -> None:
    problem = toy_problem(blocks=(1,))
    done = search(controller, problem, 20)
    waiting = [
        trial_of(20 + i, candidate, metrics={})
        for i, candidate in enumerate(controller.ask(problem, done, 4))
    ]
    rest = controller.ask(problem, done + waiting, 50)
    assert len(rest) == 3
    assert not set(keys(rest)) & set(keys_of_trials(done + waiting))


@pytest.mark.parametrize("broken", [{"failure": "out of memory", "metrics": {}}, {"metrics": {}}])
def test_a_history_without_any_measurement_does_no_harm(
    controller: AbstractController, broken: dict[str, object]
) -> None:
    problem = toy_problem()
    trials: list[Trial] = []
    for number in range(30):
        (candidate,) = controller.ask(problem, trials, 1)
        trials.append(trial_of(number, candidate, **broken))
    assert len(set(keys_of_trials(trials))) == 30


@pytest.mark.parametrize("values", [(), (1.0,), (1.0, 1.0), (math.inf, math.nan)])
def test_constant_or_broken_objectives_do_no_harm(
    controller: AbstractController, values: tuple[float, ...]
) -> None:
    names = ("log_loss", "size_bytes")[: len(values)] or ("log_loss",)
    problem = dataclasses.replace(
        toy_problem(), objectives=tuple(Objective(name, "minimize") for name in names)
    )
    metrics = dict(zip(names, values, strict=False))
    trials: list[Trial] = []
    for number in range(30):
        (candidate,) = controller.ask(problem, trials, 1)
        trials.append(trial_of(number, candidate, metrics=metrics))
    assert len(set(keys_of_trials(trials))) == 30


@pytest.mark.parametrize(
    ("choices", "size"),
    [
        ((Choice("width", (8,)),), 1),
        ((Choice("width", (8, 16)),), 2),
        ((Choice("width", (8, 16, 32)),), 3),
        ((Choice("depth", (1,)), Choice("width", (8,)), Choice("operator", ("raft",))), 1),
        ((Choice("depth", (1, 2)), Choice("width", (8, 16), (("depth", (2,)),))), 3),
    ],
)
def test_the_smallest_spaces_are_exhausted(
    controller: AbstractController, choices: tuple[Choice, ...], size: int
) -> None:
    space = SearchSpace("tiny", choices)
    problem = Problem(space=space, objectives=(Objective("log_loss", "minimize"),))
    trials: list[Trial] = []
    while candidates := controller.ask(problem, trials, 2):
        metrics = {"log_loss": 1.0}
        trials += [trial_of_any(len(trials) + i, c, metrics) for i, c in enumerate(candidates)]
    assert len(trials) == len(set(keys_of_trials(trials))) == space.size == size


def trial_of_any(number: int, candidate: Candidate, metrics: dict[str, float]) -> Trial:
    return Trial(number=number, candidate=candidate, metrics=metrics, predicted={})


def test_asking_for_none_gives_none(controller: AbstractController) -> None:
    assert controller.ask(toy_problem(), [], 0) == []


@pytest.mark.parametrize("blocks", [(1,), (1, 2, 3, 4), tuple(range(1, 30))])
def test_where_nothing_is_feasible_nothing_is_proposed(
    controller: AbstractController, blocks: tuple[int, ...]
) -> None:
    assert controller.ask(toy_problem(blocks=blocks, max_macs=1.0), [], 3) == []


def test_a_limit_met_by_one_network_in_a_billion_is_met(controller: AbstractController) -> None:
    blocks = tuple(range(1, 31))  # 27 ** 30 networks, about 10 ** 43
    problem = toy_problem(blocks=blocks, max_macs=150.0)
    trials = search(controller, problem, 30, batch=3)
    assert len(set(keys_of_trials(trials))) == 30
    rows_NC = np.array([trial.candidate.encoding for trial in trials])
    assert (ToyCosts().of("macs", rows_NC) <= 150.0).all()


def test_seeds_differ(controller: AbstractController) -> None:
    other = dataclasses.replace(controller, seed=4)  # type: ignore[type-var]
    problem = toy_problem()
    assert keys_of_trials(search(controller, problem, 20)) != keys_of_trials(
        search(other, problem, 20)
    )


@pytest.mark.parametrize("is_cost_known", [True, False])
@pytest.mark.parametrize("name", [name for name in CONTROLLERS.names() if name != "random"])
def test_better_than_random_on_the_toy_problem(name: str, is_cost_known: bool) -> None:
    """Seeds are fixed. `nsga2` is the weakest: it gains 1.0 % with a standard deviation of 1.0 %.

    `evolution` gains 3.1 % and 0.6 % (1.9 % and 1.6 % with unknown cost): 60 trials, 10 seeds.
    """
    problem = toy_problem(model=None if is_cost_known else NOTHING_KNOWN)
    trials = 30 if name == "gp" else 60  # a quarter of a second each

    def mean_hypervolume(controller: str) -> float:
        searches = [
            search(CONTROLLERS.get(controller)(seed=seed), problem, trials) for seed in range(3)
        ]
        return float(np.mean([hypervolume(problem.losses(s), REFERENCE_M) for s in searches]))

    assert mean_hypervolume(name) > mean_hypervolume("random")


def test_the_model_that_knows_nothing_is_never_asked() -> None:
    with pytest.raises(KeyError):
        NothingKnown().of("macs", np.zeros((1, 1), dtype=int))
