"""The first candidates of a search: policies for shares of the budget."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nas.allocations import ALLOCATIONS
from nas.data import DataSet, load_data
from nas.prepare.phases import PhasePlan
from nas.prepare.reopen import Trained
from nas.prepare.starts import (
    SENSITIVITY,
    STARTS,
    at_share,
    expected_of,
    policy_columns,
    starts_of,
)
from nas.problem.problem import Limit
from nas.run.config import Config
from nas.run.directory import Run
from nas.scoring.compressible import Probe, changes_to_measure
from nas.scoring.scorer import Scorer
from nas.system.files import read_json
from nas.system.reporter import Silent
from search_spaces import UserError
from supernets.plan import TrainPlan
from tests.small_brought import SIDE, compressible, supernet
from tests.small_run import Stopped

CONFIG = Config(data="digits", resolution=SIDE)


@pytest.fixture(scope="module")
def data() -> DataSet:
    return load_data("digits", resolution=SIDE)


def trained(path: Path, data: DataSet, **phases: object) -> Trained:
    """A run of a network that was brought, with a limit of 60 % of its multiply-adds."""
    network = compressible()
    base = np.array([network.base])
    most = 0.6 * float(network.problem.model.of("macs", base)[0])
    given = {"trials": 40, "allocation": "distortion", "sensitivity_s": 60.0, **phases}
    return Trained(
        run=Run.open(path, CONFIG),
        config=CONFIG,
        data=data,
        problem=replace(network.problem, limits=(Limit("macs", most),)),
        train_plan=TrainPlan(steps=1),
        phases=PhasePlan(**given),  # type: ignore[arg-type]
        scorer=Scorer(supernet(), data, 64),
    )


@pytest.fixture(scope="module")
def measured(data: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of which every change was measured. Do not change it."""
    path = tmp_path_factory.mktemp("measured") / "run"
    starts_of(trained(path, data), Silent())
    return path


@pytest.fixture
def own(measured: Path, data: DataSet, tmp_path: Path) -> Trained:
    """A copy of it, to be changed."""
    return trained(Path(shutil.copytree(measured, tmp_path / "run")), data)


@pytest.mark.parametrize("name", ALLOCATIONS.names())
def test_there_is_one_for_every_share_of_the_budget_and_every_format(
    name: str, data: DataSet, tmp_path: Path
) -> None:
    run = trained(tmp_path / "run", data, allocation=name)
    starts = starts_of(run, Silent())
    assert len({start.key for start in starts}) == len(starts) == 6
    rows = np.array([start.encoding for start in starts])
    most = run.problem.limits[0].max
    shares = run.problem.model.of("macs", rows) / most
    expected = [1.0, 1.0, 0.75, 0.75, 0.5, 0.5]
    assert (shares <= expected).all()
    assert (shares >= 0.5 * np.array(expected)).all()
    formats = [{p for n, p in start.policy.items() if n.endswith("precision")} for start in starts]
    assert formats == [{"fp32"}, {"int8"}] * 3
    assert (run.run.path / SENSITIVITY).exists() == (name == "distortion")


def test_formats_are_decided_where_they_decide_about_a_limit() -> None:
    network = compressible()
    base = np.array([network.base])
    for metric, number in (("macs", 2), ("size_bytes", 3)):
        limit = Limit(metric, 0.5 * float(network.problem.model.of(metric, base)[0]))
        limited = replace(network, problem=replace(network.problem, limits=(limit,)))
        parts = at_share(limited, 1.0)
        assert [part.problem.limits[0].max for part in parts] == [limit.max] * number
        decided = [part.columns for part in parts]
        sparsities = tuple(network.sparsities)
        assert decided == [sparsities, sparsities, network.columns][:number]


def test_a_limit_beyond_the_network_counts_as_the_network(data: DataSet, tmp_path: Path) -> None:
    network = compressible()
    most = float(network.problem.model.of("macs", np.array([network.base]))[0])
    limited = replace(network, problem=replace(network.problem, limits=(Limit("macs", 9 * most),)))
    for part in (at_share(limited, 0.5)[0], at_share(network, 0.5)[0]):
        assert [limit.max for limit in part.problem.limits] == [0.5 * most]


def test_they_are_half_of_the_trials_at_most(data: DataSet, tmp_path: Path) -> None:
    starts = starts_of(trained(tmp_path / "run", data, trials=5, sensitivity_s=0.0), Silent())
    assert len(starts) == 2


def test_measuring_that_is_stopped_goes_on_where_it_was(
    data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained(tmp_path / "run", data)
    wanted = changes_to_measure(run.problem.space, compressible().base, compressible().columns)
    really, calls = Probe.__call__, []

    def stopped(probe: Probe, options: dict) -> object:
        calls.append(options)
        if len(calls) == 4:
            raise Stopped
        return really(probe, options)

    monkeypatch.setattr(Probe, "__call__", stopped)
    with pytest.raises(Stopped):
        starts_of(run, Silent())
    before = (run.run.path / SENSITIVITY).read_bytes()
    starts = starts_of(run, Silent())
    assert (run.run.path / SENSITIVITY).read_bytes().startswith(before)
    assert calls[4:] == wanted[3:]
    calls.clear()
    (run.run.path / STARTS).unlink()
    assert starts_of(run, Silent()) == starts
    assert not calls
    sums = read_json(run.run.path / STARTS)["sums_of_joint"]
    assert len(sums) == 3
    assert all(ratio > 0.0 for ratio in sums)


def test_measuring_ends_with_its_time(data: DataSet, tmp_path: Path) -> None:
    run = trained(tmp_path / "run", data, sensitivity_s=0.3)
    starts_of(run, Silent())
    lines = (run.run.path / SENSITIVITY).read_text().splitlines()
    assert 1 <= len(lines) < 30


def test_without_time_to_measure_every_group_all_lose_alike(data: DataSet, tmp_path: Path) -> None:
    found = {
        name: starts_of(
            trained(tmp_path / name, data, allocation=name, sensitivity_s=0.0), Silent()
        )
        for name in ("distortion", "uniform")
    }
    assert found["distortion"] == found["uniform"]
    assert read_json(tmp_path / "distortion" / STARTS)["allocation"] == "uniform"


def test_a_search_that_began_without_any_goes_on_without(data: DataSet, tmp_path: Path) -> None:
    run = trained(tmp_path / "run", data)
    assert starts_of(replace(run, phases=replace(run.phases, allocation="none")), Silent()) == []
    (run.run.path / "trials.jsonl").touch()
    assert starts_of(run, Silent()) == []


def test_records_of_another_space_are_named(own: Trained) -> None:
    (own.run.path / STARTS).unlink()
    file = own.run.path / SENSITIVITY
    lines = file.read_text().replace("layer1", "layer9").splitlines()
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match=SENSITIVITY):
        starts_of(own, Silent())


def test_choices_without_options_or_effect_are_not_decided() -> None:
    network = compressible()
    assert policy_columns(network.problem, network.base) == network.columns


def test_what_was_measured_is_what_a_controller_may_expect(own: Trained) -> None:
    base, *_, smallest = starts_of(own, Silent())
    expected = expected_of(own)
    assert expected is not None
    more, less = expected(np.array([smallest.encoding, base.encoding]))
    assert more > less
    (own.run.path / SENSITIVITY).unlink()
    assert expected_of(own) is None
