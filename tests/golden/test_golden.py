"""Numbers that must not change by accident: `pytest --golden-update` writes them anew.

A golden that changes needs a sentence in the commit that says why.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from nas.controllers import CONTROLLERS
from nas.problem.pareto import ParetoFront
from nas.testing.toy_problem import search, toy_problem

FOLDER = Path(__file__).parent
NOT_PORTABLE = {"conservative", "gp", "n2n", "predictor", "recurrent", "reinforce", "nni-tpe"}
"""Their choices depend on last digits of matrix products or exponentials, which differ between
processors; the last is not everywhere."""
NAMES = [name for name in CONTROLLERS.names() if name not in NOT_PORTABLE]


def controllers_now() -> dict[str, Any]:
    """What each of these controllers proposes on the toy problem, as encodings: digits, one per choice."""
    problem = toy_problem(max_macs=1200.0)
    now = {}
    for name in NAMES:
        trials = search(CONTROLLERS.get(name)(seed=0), problem, 40, batch=2)
        front = ParetoFront.of(problem, trials).trials
        now[name] = {
            "proposed": ["".join(map(str, trial.candidate.encoding)) for trial in trials],
            "front": [trial.number for trial in front],
        }
    return now


def test_controllers_propose_what_they_always_did(request: pytest.FixtureRequest) -> None:
    compare(request, "controllers.json", controllers_now())


def test_every_controller_has_a_golden_record() -> None:
    recorded = json.loads((FOLDER / "controllers.json").read_text())
    assert sorted(recorded) == NAMES


def compare(request: pytest.FixtureRequest, file_name: str, now: dict[str, Any]) -> None:
    """Asserts that `now` is what the file holds, or writes the file if that was asked for."""
    file = FOLDER / file_name
    if request.config.getoption("--golden-update", default=False):
        file.write_text(json.dumps(now, indent=1) + "\n")
    assert now == json.loads(file.read_text())
