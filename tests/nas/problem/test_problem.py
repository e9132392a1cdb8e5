"""Problems and trials: signs, limits, what is missing, and what survives being written down."""

import dataclasses
import json
import math

import numpy as np
import pytest

from nas.problem.problem import Limit, Objective, Problem
from nas.problem.trial import Trial
from nas.targets import Timing
from search_spaces import Choice, SearchSpace, UserError

SPACE = SearchSpace("two", (Choice("width", (8, 16, 32)), Choice("depth", (1, 2))))
OBJECTIVES = (Objective("accuracy", "maximize"), Objective("macs", "minimize"))


@dataclasses.dataclass(frozen=True)
class Product:
    """macs = width x depth; params is unknown for the largest width."""

    metrics: tuple[str, ...] = ("macs", "params")

    def of(self, metric: str, encodings_NC: np.ndarray) -> np.ndarray:
        width_N = np.array([8.0, 16.0, 32.0 if metric == "macs" else np.nan])[encodings_NC[:, 0]]
        return width_N * (1.0 + encodings_NC[:, 1])


def problem(*limits: Limit) -> Problem:
    return Problem(space=SPACE, objectives=OBJECTIVES, limits=limits, model=Product())


def trial(number: int = 0, **fields: object) -> Trial:
    known = {"metrics": {"accuracy": 0.7}, "predicted": {"macs": 16.0}, "failure": None}
    return Trial(number=number, candidate=SPACE.candidate((1, 0)), **{**known, **fields})  # type: ignore[arg-type]


ALL = np.array([(w, d) for w in range(3) for d in range(2)])


def test_losses_are_lower_for_better_whatever_the_goal() -> None:
    better = trial(metrics={"accuracy": 0.8}, predicted={"macs": 8.0})
    assert problem().losses([trial(), better]).tolist() == [[-0.7, 16.0], [-0.8, 8.0]]
    assert problem().losses([]).shape == (0, 2)


@pytest.mark.parametrize(
    "fields",
    [
        {"failure": "no kernel"},
        {"metrics": {}},
        {"metrics": {"accuracy": math.nan}},
        {"metrics": {"accuracy": -math.inf}},
        {"predicted": {}},
    ],
)
def test_a_trial_without_all_objectives_has_no_losses(fields: dict[str, object]) -> None:
    assert np.isnan(problem().losses([trial(**fields)])).all()


def test_known_losses_are_those_of_the_model() -> None:
    losses_NM = problem().known_losses(ALL)
    assert np.isnan(losses_NM[:, 0]).all()
    assert losses_NM[:, 1].tolist() == [8, 16, 16, 32, 32, 64]


def test_feasible_is_at_or_below_every_modelled_limit() -> None:
    one = problem(Limit("macs", 16.0), Limit("latency_ms", 1e-9))
    assert one.modelled_limits == (Limit("macs", 16.0),)
    assert one.is_feasible(ALL).tolist() == [True, True, True, False, False, False]
    assert one.violations(ALL).tolist() == [0.0, 0.0, 0.0, 1.0, 1.0, 3.0]
    assert problem().is_feasible(ALL).all()


def test_what_has_no_known_cost_is_not_feasible() -> None:
    assert problem(Limit("params", 1e9)).is_feasible(ALL).tolist() == [True] * 4 + [False] * 2


def test_excesses_count_measured_values_before_predicted_ones() -> None:
    limited = problem(Limit("latency_ms", 2.0), Limit("macs", 16.0))
    trials = [
        trial(metrics={"latency_ms": 3.0}, predicted={"latency_ms": 1.0, "macs": 16.0}),
        trial(predicted={"latency_ms": 2.0, "macs": 32.0}),
        trial(),
    ]
    assert limited.excesses(trials).tolist() == [0.5, 1.0, math.inf]


@pytest.mark.parametrize("objectives", [(), (OBJECTIVES[0], OBJECTIVES[0])])
def test_no_objective_or_the_same_twice_is_refused(objectives: tuple[Objective, ...]) -> None:
    with pytest.raises(UserError, match="each metric only once"):
        Problem(space=SPACE, objectives=objectives)


def test_a_value_is_measured_or_else_predicted() -> None:
    both = trial(metrics={"macs": 1.0}, predicted={"macs": 2.0, "params": 3.0})
    assert (both.value("macs"), both.value("params")) == (1.0, 3.0)
    with pytest.raises(KeyError):
        both.value("accuracy")
    assert math.isnan(both.get("accuracy"))


def test_a_trial_survives_being_written_down() -> None:
    written = trial(7, failure="out of memory")
    record = json.loads(json.dumps(written.to_json(), allow_nan=False))
    assert Trial.from_json(record, SPACE) == written
    assert (record["schema"], record["number"], record["encoding"]) == (1, 7, [1, 0])
    assert record["arch"] == {"width": 16, "depth": 1}
    assert record["key"] == written.candidate.key


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_written_as_null(value: float) -> None:
    record = json.loads(json.dumps(trial(metrics={"accuracy": value}).to_json(), allow_nan=False))
    assert record["metrics"] == {"accuracy": None}
    assert math.isnan(Trial.from_json(record, SPACE).metrics["accuracy"])


def test_a_trial_of_another_space_is_refused() -> None:
    other = SearchSpace("other", (Choice("width", (64, 128)), Choice("depth", (1, 2))))
    with pytest.raises(UserError, match=r"trial 0 has key .* in space 'other'"):
        Trial.from_json(trial().to_json(), other)


def test_a_timing_survives_being_written_down() -> None:
    timing = Timing(
        median_ms=0.8,
        interval_ms=(0.7, 0.9),
        process_medians_ms=(0.7, 0.8, 0.9),
        runs=150,
        processes=3,
        discarded=0,
        measured_at="",
        threads=1,
        batch=1,
        is_bimodal=False,
        runtime="onnxruntime",
        version="1.31.1",
        cpu="a processor",
        instruction_set="avx512_vnni",
    )
    assert Timing.from_json(json.loads(json.dumps(timing.to_json()))) == timing
