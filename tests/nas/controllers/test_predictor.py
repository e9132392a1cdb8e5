"""What the predictor takes into account: costs it knows, limits it measures, failures, batches."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from nas.controllers import AbstractController, _beliefs
from nas.controllers._beliefs import Warp, beliefs_of
from nas.controllers.evolution import Evolution
from nas.controllers.predictor import Predictor, Worth
from nas.controllers.random import Random
from nas.problem.pareto import hypervolume
from nas.problem.problem import Limit, NothingKnown, Objective, Problem
from nas.problem.trial import Trial
from nas.testing.toy_problem import (
    REFERENCE_M,
    ToyCosts,
    evaluate,
    search,
    toy_problem,
    trial_of,
)
from search_spaces import Candidate, Choice, SearchSpace

CONTROLLER = Predictor(seed=1)


def test_a_warp_keeps_the_order_and_is_linear_where_losses_are_good() -> None:
    values_N = np.array([*np.linspace(0.0, 1.0, 50), 50.0, 1e6])
    warp = Warp.of(values_N)
    warped_N = warp(values_N)
    assert (np.diff(warped_N) > 0.0).all()
    assert np.diff(warped_N[warped_N < 0.0]).std() < 1e-9
    assert warped_N[-1] < 20.0


def test_equal_values_have_a_warp_too() -> None:
    assert np.isfinite(Warp.of(np.full(9, 3.0))(np.array([3.0, 4.0]))).all()


def test_known_costs_are_computed() -> None:
    problem = toy_problem()
    trials = search(CONTROLLER, problem, 20)
    beliefs = beliefs_of(problem, trials, warm_up=8)
    assert list(beliefs.objectives) == [0]
    rows_NC = problem.space.canonical_many(problem.space.sample(np.random.default_rng(0), 30))
    mean_NM, std_NM = beliefs.losses(rows_NC)
    assert (std_NM[:, 1] == 0.0).all()
    assert (std_NM[:, 0] > 0.0).all()
    assert (mean_NM[:, 1] == beliefs.warps[1](ToyCosts().of("macs", rows_NC))).all()


def test_the_evidence_says_how_well_every_unknown_metric_is_predicted() -> None:
    problem = toy_problem(model=NothingKnown())
    trials = search(CONTROLLER, problem, 40)
    assert CONTROLLER.evidence(problem, trials[:5]) == {}
    evidence = CONTROLLER.evidence(problem, trials)
    assert set(evidence) == {"log_loss", "macs"}
    for numbers in evidence.values():
        assert numbers["kendall_tau"] > 0.5
        assert 0.6 < numbers["coverage"] <= 1.0


def test_what_is_expected_before_any_trial_counts_as_far_as_trials_bear_it_out() -> None:
    plain = toy_problem()
    rows_NC = plain.space.canonical_many(plain.space.sample(np.random.default_rng(0), 60))
    trials = search(Random(seed=3), plain, 12)

    def truth(encodings_NC: np.ndarray) -> np.ndarray:
        candidates = [plain.space.candidate(row) for row in encodings_NC.tolist()]
        return np.log([evaluate(candidate)["log_loss"] for candidate in candidates])

    def believed(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
        beliefs = beliefs_of(problem, trials, warm_up=8)
        losses_N = beliefs.losses(rows_NC)[0][:, 0]
        return losses_N, np.abs(losses_N - beliefs.warps[0](np.exp(truth(rows_NC))))

    losses_N, errors_N = believed(plain)
    _, told_N = believed(replace(plain, expected=truth))
    assert told_N.mean() < 0.5 * errors_N.mean()
    misled_N, _ = believed(replace(plain, expected=lambda rows: -truth(rows)))
    assert misled_N == pytest.approx(losses_N)
    evidence = CONTROLLER.evidence(replace(plain, expected=truth), trials)
    assert evidence["log_loss"]["kendall_tau"] > 0.8


def test_a_measured_limit_is_learnt() -> None:
    """The limit holds for one random network in five, and the best one is close to it."""
    problem = replace(
        toy_problem(model=NothingKnown()),
        objectives=(Objective("log_loss", "minimize"),),
        limits=(Limit("macs", 260.0),),
    )

    def best_within(controller: AbstractController) -> tuple[float, float]:
        trials: list[Trial] = []
        while len(trials) < 50:
            (candidate,) = controller.ask(problem, trials, 1)
            trial = trial_of(len(trials), candidate)
            metrics = {**trial.metrics, "macs": trial.predicted["macs"]}
            trials.append(replace(trial, metrics=metrics, predicted={}))
        within = [trial.value("log_loss") for trial in trials if trial.value("macs") <= 260.0]
        return min(within, default=math.inf), len(within) / len(trials)

    best, share = best_within(CONTROLLER)
    random_best, random_share = best_within(Random(seed=1))
    assert best < random_best
    assert share > random_share


def test_where_evaluations_fail_is_learnt() -> None:
    """Half of the space fails; what fails says nothing about quality."""
    space = SearchSpace("cliff", tuple(Choice(f"c{i}", ("a", "b", "c", "d")) for i in range(9)))
    problem = Problem(space=space, objectives=(Objective("log_loss", "minimize"),))

    def evaluated(number: int, candidate: Candidate) -> Trial:
        has_failed = candidate.encoding[0] >= 2
        return Trial(
            number=number,
            candidate=candidate,
            metrics={} if has_failed else {"log_loss": 1.0 / (1.0 + sum(candidate.encoding[1:]))},
            predicted={},
            failure="no kernel" if has_failed else None,
        )

    trials: list[Trial] = []
    while len(trials) < 20:
        trials.append(evaluated(len(trials), CONTROLLER.ask(problem, trials, 1)[0]))
    failed = [trial.failure is not None for trial in trials]
    assert any(failed[:8])
    assert np.mean(failed[8:]) < 0.3
    rows_NC = space.sample(np.random.default_rng(0), 200)
    chance_N = beliefs_of(problem, trials, warm_up=8).chance(rows_NC)
    will_fail_N = rows_NC[:, 0] >= 2
    assert chance_N[will_fail_N].max() < 0.5 < chance_N[~will_fail_N].min()


def test_failures_are_learnt_from_the_latest_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_beliefs, "REMEMBERED", 6)
    space = SearchSpace("flat", tuple(Choice(f"c{i}", ("a", "b", "c")) for i in range(3)))
    problem = Problem(space=space, objectives=(Objective("log_loss", "minimize"),))
    encodings = list(itertools.product(range(3), repeat=3))
    rows = [*encodings[-8:], *encodings[:3], *encodings[9:12]]
    trials = [
        Trial(
            number=number,
            candidate=space.candidate(encoding),
            metrics={} if encoding[0] == 0 else {"log_loss": 1.0 + 0.01 * number},
            predicted={},
            failure="no kernel" if encoding[0] == 0 else None,
        )
        for number, encoding in enumerate(rows)
    ]
    chance_N = beliefs_of(problem, trials, warm_up=2).chance(np.array(encodings))
    assert chance_N[:9].max() < chance_N[9:18].min()


def test_candidates_of_a_batch_differ_in_what_they_promise() -> None:
    problem = toy_problem()
    trials = search(CONTROLLER, problem, 30)
    batch = CONTROLLER.ask(problem, trials, 6)
    macs = ToyCosts().of("macs", np.array([candidate.encoding for candidate in batch]))
    assert len(set(macs.tolist())) > 1
    beliefs = beliefs_of(problem, trials, warm_up=8)
    first_1C = np.array([batch[0].encoding])
    before = Worth(beliefs, 1.0)(first_1C)
    after = Worth(beliefs.believing(first_1C), 1.0)(first_1C)
    assert after[0] < 0.5 * before[0]


def test_what_is_being_evaluated_is_taken_for_as_predicted() -> None:
    problem = toy_problem()
    trials = search(CONTROLLER, problem, 30)
    first = CONTROLLER.ask(problem, trials, 1)[0]
    waiting = trial_of(30, first, metrics={})
    second = CONTROLLER.ask(problem, [*trials, waiting], 1)[0]
    assert second.key != first.key
    assert len(beliefs_of(problem, [*trials, waiting], 8).losses_NM) == 31


def test_one_objective_and_three_objectives_are_searched() -> None:
    for names in (("log_loss",), ("log_loss", "macs", "params")):
        problem = replace(
            toy_problem(model=NothingKnown()),
            objectives=tuple(Objective(name, "minimize") for name in names),
        )
        trials: list[Trial] = []
        while len(trials) < 25:
            (candidate,) = CONTROLLER.ask(problem, trials, 1)
            trial = trial_of(len(trials), candidate)
            metrics = {**trial.metrics, **trial.predicted, "params": float(sum(candidate.encoding))}
            trials.append(replace(trial, metrics=metrics))
        assert math.isfinite(problem.losses(trials).sum())


def test_better_than_evolution_on_the_toy_problem() -> None:
    """Seeds are fixed; the measured gain is in benchmarks/README.md."""
    problem = toy_problem(model=NothingKnown())

    def mean_volume(kind: type[Predictor] | type[Evolution]) -> float:
        found = [search(kind(seed=seed), problem, 50) for seed in range(4)]
        return float(np.mean([hypervolume(problem.losses(t), REFERENCE_M) for t in found]))

    assert mean_volume(Predictor) > mean_volume(Evolution)
