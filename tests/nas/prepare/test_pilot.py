"""Pilots: a network of every operator for some seconds, and the best of them again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from torch import nn

from nas.executors import make_timer
from nas.prepare import pilot
from nas.prepare.inputs import prepare
from nas.prepare.pilot import (
    MOST_AGAIN,
    PILOT,
    PILOT_MACS,
    PILOT_SIZE,
    Pilots,
    _ForSeconds,
    pilot_of,
)
from nas.problem.problem import Limit
from nas.run.directory import Run
from nas.standalone.train import PLAN
from nas.system.files import write_json
from nas.system.reporter import Silent
from nas.targets import Timer, Timing
from search_spaces import SearchSpace, Slot
from supernets.images import Images
from supernets.plan import TrainPlan
from tests.conftest import TOY

CONFIG = replace(TOY, budget=())
OPERATORS = ("a", "b", "c", "d", "e")


@pytest.fixture
def ranked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict[str, Any]]]:
    """Ranks operators whose log-losses are given for the first and the second round."""
    data, space, limits = prepare(CONFIG)

    def found(
        first: dict[str, float],
        second: dict[str, float],
        latencies: Mapping[str, float | None] = MappingProxyType({}),
    ) -> list[dict[str, Any]]:
        def played(
            self: Pilots, number: int, seconds: float, plans: Mapping[str, Any]
        ) -> list[dict[str, Any]]:
            losses = first if number == 1 else second
            if number == 1:
                for name in plans:
                    folder = self.run.folder(f"{PILOT}/1/{name}")
                    write_json(folder / PLAN, asdict(TrainPlan(steps=10, batch_size=16)))
            else:
                twice = TrainPlan(steps=20, batch_size=16)
                assert plans == dict.fromkeys(second, twice), "no speed test decides anew"
            rows = [{"operator": name, "log_loss": losses[name]} for name in plans]
            return sorted(rows, key=lambda row: row["log_loss"])

        monkeypatch.setattr(Pilots, "_round", played)
        monkeypatch.setattr(
            Pilots, "_latencies", lambda self, names: {x: latencies.get(x, 0.1) for x in names}
        )
        run = Run.open(tmp_path / "run", CONFIG)
        pilots = Pilots(run, CONFIG, space, limits, data, make_timer(CONFIG), Silent())
        return pilots.ranked(list(first), 100.0)

    return found


def test_the_best_of_the_first_round_compete_again(
    ranked: Callable[..., list[dict[str, Any]]],
) -> None:
    first = {"a": 0.6, "b": 0.5, "c": 0.9, "d": 1.0, "e": 2.2}
    rows = ranked(first, {"b": 0.4, "a": 0.3, "c": 0.2})
    assert [row["operator"] for row in rows] == ["c", "a", "b", "d", "e"]
    assert MOST_AGAIN == 3


def test_no_second_round_where_one_leads_clearly(
    ranked: Callable[..., list[dict[str, Any]]],
) -> None:
    rows = ranked({"a": 0.5, "b": 2.2, "c": 2.3}, {})
    assert [row["operator"] for row in rows] == ["a", "b", "c"]


def test_where_nothing_has_learnt_the_first_ones_have_longer(
    ranked: Callable[..., list[dict[str, Any]]],
) -> None:
    first = {"a": 2.31, "b": 2.32, "c": 2.33, "d": 2.34}
    rows = ranked(first, {"a": 2.3, "b": 2.2, "c": 1.9})
    assert [row["operator"] for row in rows] == ["c", "b", "a", "d"]


@pytest.mark.parametrize(
    ("latencies", "expected"),
    [
        ({"a": 0.2, "b": 0.1}, "bac"),  # half of the latency outweighs 4 % of the loss
        ({"a": 0.11, "b": 0.1}, "abc"),  # a tenth of it does not
        ({"a": None}, "bca"),  # no use on this target
        (dict.fromkeys("abc"), "abc"),
    ],
)
def test_of_operators_that_learn_alike_the_faster_one_leads(
    ranked: Callable[..., list[dict[str, Any]]],
    latencies: Mapping[str, float | None],
    expected: str,
) -> None:
    losses = {"a": 0.50, "b": 0.52, "c": 0.70}
    rows = ranked(losses, losses, latencies)
    assert "".join(row["operator"] for row in rows) == expected
    assert [row["latency_ms"] for row in rows] == [latencies.get(x, 0.1) for x in expected]


def test_a_pilots_latency_is_that_of_its_fastest_format(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data, space, limits = prepare(CONFIG)
    timed = []

    def time(networks: Sequence[Sequence[Slot]], timer: Timer) -> list[Timing | None]:
        timed.extend(slots[1].signature.precision for slots in networks)
        timings = [SimpleNamespace(median_ms=ms) for ms in (0.3, 0.2)]
        return cast("list[Timing | None]", [*timings, None, None])

    monkeypatch.setattr(pilot, "time_networks", time)
    run = Run.open(tmp_path / "run", CONFIG)
    pilots = Pilots(run, CONFIG, space, limits, data, make_timer(CONFIG), Silent())
    assert pilots._latencies(["mbconv", "window"]) == {"mbconv": 0.2, "window": None}
    assert timed == ["fp32", "int8"] * 2


@pytest.mark.parametrize("operator", ["mbconv", "window"])
def test_a_pilots_network_has_one_operator_is_not_pruned_and_within_limits(operator: str) -> None:
    toy = prepare(CONFIG)[1]
    assert toy.costs is not None
    own, candidate = pilot_of(toy, operator, [])
    assert own.costs is not None
    named = {v for name, v in candidate.arch.items() if name.endswith(".operator")}
    assert named == {operator}
    assert {v for name, v in candidate.policy.items() if name.endswith("sparsity")} == {0.0}
    smallest = toy.costs.minimum("macs")[0]
    size = macs(own, candidate.encoding)
    assert smallest < size <= max(PILOT_MACS, PILOT_SIZE * smallest)
    tight, candidate = pilot_of(toy, operator, [Limit("macs", 0.8 * size)])
    assert macs(tight, candidate.encoding) < size


def test_a_pilots_seconds_are_those_of_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pilot, "fastest_plan", lambda network, images, plans: (plans[1], 0.01))
    monkeypatch.setattr(pilot, "seconds_per_step", None)  # nothing else is timed
    plans = tuple(TrainPlan(steps=1, precision=name) for name in ("bf16", "fp32"))
    images = cast(Images, SimpleNamespace(labels_N=range(10_000)))
    found = _ForSeconds(plans, seconds=2.0, is_batch_fixed=False)(nn.Identity(), images)
    assert found == replace(plans[1], steps=200)


def macs(space: SearchSpace, encoding: tuple[int, ...]) -> float:
    assert space.costs is not None
    return float(space.costs.of("macs", np.array([encoding]))[0])
