"""Rank correlation of shared weights with training alone: measured, kept, continued."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.fidelity import agreement, chosen, fidelity
from nas.prepare.reopen import reopened
from nas.system.files import read_json
from nas.system.reporter import Silent
from search_spaces import UserError
from tests.strategies import noise


def rows(*pairs: tuple[float, float]) -> list[dict[str, Any]]:
    return [{"inherited": {"log_loss": a}, "alone": {"log_loss": b}} for a, b in pairs]


@pytest.fixture(scope="module")
def measured(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run with three subnets that were trained alone. Do not change it."""
    run = Path(shutil.copytree(finished_run, tmp_path_factory.mktemp("fidelity") / "run"))
    found = fidelity(run, 3, 1.0, Silent())
    assert read_json(run / "fidelity/fidelity.json") == found
    return run


def test_a_subnet_trained_alone_and_its_shared_weights_are_judged_on_the_same_images(
    measured: Path,
) -> None:
    found = read_json(measured / "fidelity/fidelity.json")
    assert found["subnets"] == len(found["rows"]) == 3
    assert -1 <= found["interval"][0] <= found["kendall_tau"] <= found["interval"][1] <= 1
    trained = reopened(measured, Silent())
    for row in found["rows"]:
        plan = json.loads((measured / "fidelity" / row["key"] / "plan.json").read_text())
        assert plan["steps"] == found["steps"], "all are trained for the same number of steps"
        assert row["inherited"] != row["alone"]
        total = len(trained.data.search)
        for kind in ("inherited", "alone"):
            assert (row[kind]["accuracy"] * total) == pytest.approx(
                round(row[kind]["accuracy"] * total)
            )


def test_it_continues_and_is_refused_with_other_numbers(
    measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Path(shutil.copytree(measured, tmp_path / "run"))
    first = read_json(run / "fidelity/fidelity.json")
    with pytest.raises(UserError, match=r"was begun with 3 subnets and 1 s. Give the same, or"):
        fidelity(run, 4, 1.0, Silent())
    done = [row["key"] for row in first["rows"]]
    # As if killed before the last one was scored.
    (run / "fidelity" / done[-1] / "scores.json").unlink()
    (run / "fidelity" / "fidelity.json").unlink()
    monkeypatch.setattr("nas.standalone.train.train", None)
    assert fidelity(run, 3, 1.0, Silent()) == first


def test_chosen_networks_differ_and_are_whole_and_within_the_limits(finished_run: Path) -> None:
    problem = reopened(finished_run, Silent()).problem
    found = chosen(problem, 8, seed=0)
    assert len({candidate.key for candidate in found}) == len(found) > 3
    assert problem.is_feasible(np.array([c.encoding for c in found])).all()
    for candidate in found:
        assert set(candidate.policy.values()) <= {"fp32", 0.0}


def test_too_few_subnets_are_refused(own_run: Path) -> None:
    with pytest.raises(UserError, match="subnets is 2. A rank correlation needs 3 at least"):
        fidelity(own_run, 2, 1.0, Silent())
    with pytest.raises(UserError, match="different networks within its limits, not 100000"):
        fidelity(own_run, 100_000, 1.0, Silent())


def test_tau_is_one_for_equal_orders_and_minus_one_for_opposite_ones() -> None:
    pairs = [(float(i), float(i * i)) for i in range(8)]
    found = agreement(rows(*pairs), "log_loss")
    assert [found["kendall_tau"], *found["interval"]] == pytest.approx([1, 1, 1])
    opposite = agreement(rows(*((a, -b) for a, b in pairs)), "log_loss")
    assert opposite["kendall_tau"] == pytest.approx(-1)


def test_the_interval_holds_no_correlation_for_noise_and_narrows_with_more_networks() -> None:
    widths = []
    for n in (10, 100):
        a, b = noise(n, 1, 1, 2).reshape(n, 2).T.tolist()
        low, high = agreement(rows(*zip(a, b, strict=True)), "log_loss")["interval"]
        assert low < 0 < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2
