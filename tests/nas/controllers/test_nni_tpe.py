"""NNI's TPE: refused where NNI is not; where it is, what it learns from. Its contract is tested with
the others'.
"""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

from nas.bench.benchmark import controllers_of
from nas.controllers import check_installed, installed_controllers
from nas.controllers.nni_tpe import NniTPE
from nas.prepare.names import refuse_unknown
from nas.problem.pareto import ParetoFront
from nas.problem.problem import Limit, Objective, Problem
from nas.problem.trial import Trial
from nas.run.config import Config
from nas.testing.toy_problem import search, toy_problem
from search_spaces import Choice, SearchSpace, UserError

IS_INSTALLED = "nni-tpe" in installed_controllers()
needs_nni = pytest.mark.skipif(not IS_INSTALLED, reason="needs NNI")
MISSING = "controller 'nni-tpe' needs nni, not installed. Run: pip install .*--no-deps nni==3.0"


@pytest.fixture
def without_nni(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "nas.controllers._base.find_spec",
        lambda name: None if name == "nni" else object() if name in NniTPE.modules else find(name),
    )


@pytest.mark.usefixtures("without_nni")
def test_without_nni_it_is_refused_before_anything_is_done() -> None:
    for refused in (
        lambda: check_installed("nni-tpe"),
        lambda: refuse_unknown(Config(space="toy", controller="nni-tpe")),
        lambda: controllers_of(["nni-tpe"]),
        lambda: NniTPE().ask(toy_problem(), [], 1),
    ):
        with pytest.raises(UserError, match=MISSING):
            refused()


@pytest.mark.usefixtures("without_nni")
def test_without_nni_all_controllers_are_all_others() -> None:
    assert "nni-tpe" not in controllers_of([])
    assert {"tpe", "random"} <= controllers_of([]).keys()


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(UserError, match="controller 'nni-tpe': warm_up is 0"):
        NniTPE(warm_up=0)


def trial(space: SearchSpace, number: int, encoding: list[int], **metrics: float) -> Trial:
    return Trial(number=number, candidate=space.candidate(encoding), metrics=metrics, predicted={})


def means(problem: Problem, trials: list[Trial]) -> np.ndarray:
    """Of the options that are proposed first, over 40 seeds."""
    asked = [NniTPE(seed=seed).ask(problem, trials, 1)[0].encoding for seed in range(40)]
    return np.array(asked).mean(axis=0)


@needs_nni
def test_it_learns_from_what_is_measured_and_within_limits() -> None:
    """The first choice decides; where high options are over a limit, low ones are proposed."""
    space = SearchSpace("s", tuple(Choice(f"c{i}", tuple(range(10))) for i in range(6)))
    problem = Problem(space=space, objectives=(Objective("acc", "maximize"),))
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 10, size=(80, 6)).tolist()
    trials = [
        trial(space, i, row, acc=float(row[0]), ms=float(row[0])) for i, row in enumerate(rows)
    ]
    assert means(problem, trials)[0] > 7.5
    limited = replace(problem, limits=(Limit("ms", 4.0),))
    assert 2.5 < means(limited, trials)[0] < 5.5


@needs_nni
def test_both_ends_of_a_front_are_proposed() -> None:
    problem = toy_problem()
    trials = search(NniTPE(), problem, 80)
    macs = np.array([t.predicted["macs"] for t in trials[40:]])
    of_front = [t.predicted["macs"] for t in ParetoFront.of(problem, trials).trials]
    assert macs.min() <= np.quantile(of_front, 0.25)
    assert macs.max() >= np.quantile(of_front, 0.75)


@needs_nni
def test_what_is_being_evaluated_counts_as_good() -> None:
    space = SearchSpace("s", tuple(Choice(f"c{i}", tuple(range(10))) for i in range(6)))
    problem = Problem(space=space, objectives=(Objective("loss", "minimize"),))
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 10, size=(60, 6)).tolist()
    done = [trial(space, i, [i % 9, *row[1:]], loss=float(i)) for i, row in enumerate(rows)]
    running = [trial(space, 60 + i, [9, *row[1:]]) for i, row in enumerate(rows[:2])]
    assert means(problem, done + running)[0] > 8.5 > means(problem, done)[0]
