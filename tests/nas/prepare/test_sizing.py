"""What the time can teach: decided once by pilots, from what they and speed tests say, and inherited."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.data import DataSet
from nas.prepare import pilot, sizing
from nas.prepare.inputs import prepare
from nas.prepare.pilot import PILOT
from nas.prepare.sizes import FILE, Sizes, sentence
from nas.prepare.sizing import (
    GROWTH,
    IMAGES_PER_MMAC,
    IMAGES_PER_OPERATOR,
    LEARNING_EXPONENT,
    LEAST_EXPONENT,
    NEAR,
    SUPERNET_SHARE,
    chosen_operators,
    decide_sizes,
    expected_metric,
    learning_exponent,
    offered_operators,
    smallest_of,
)
from nas.problem.problem import Limit
from nas.run.config import Config
from nas.run.directory import Run
from nas.system.files import read_json, write_json
from nas.system.reporter import Silent
from search_spaces import SearchSpace, task_of
from tests.conftest import TOY
from tests.nas.prepare.test_sizes import DOCUMENT, SIZES
from tests.search_spaces.test_tasks import Steps

TASK = task_of("classification")
OF_10, OF_100 = TASK.guessing([1] * 10), TASK.guessing([1] * 100)
"""What guessing gives on equally frequent classes."""

CONFIG = replace(TOY, budget=(), set={"batch_size": 8, "shards": 1, "precision": "fp32"})


@dataclass
class Listener:
    """A reporter that keeps notes and phases."""

    phases: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def phase(self, name: str, text: str) -> None:
        self.phases.append(name)

    def advance(self, done: int, of: int, text: str = "") -> None:
        pass

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def prepared() -> tuple[DataSet, SearchSpace, list[Limit]]:
    return prepare(CONFIG)


@pytest.fixture(scope="module")
def toy(prepared: tuple[DataSet, SearchSpace, list[Limit]]) -> SearchSpace:
    return prepared[1]


@pytest.fixture
def decide(
    prepared: tuple[DataSet, SearchSpace, list[Limit]], tmp_path: Path
) -> Callable[..., Sizes]:
    """Decides sizes in the run directory "run"."""
    data, space, limits = prepared

    def decided(
        config: Config = CONFIG,
        *,
        reporter: Any = None,
        more: tuple[Limit, ...] = (),
        **options: Any,
    ) -> Sizes:
        run = Run.open(tmp_path / "run", config)
        return decide_sizes(
            run, config, space, [*limits, *more], data, reporter or Silent(), **options
        )

    return decided


@pytest.fixture
def no_pilot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be trained or timed."""
    monkeypatch.setattr(sizing._Decision, "decide", None)


def pilot_gives(
    monkeypatch: pytest.MonkeyPatch, log_losses: Mapping[str, float], speeds: Mapping[float, float]
) -> None:
    """Pilots and speed tests that cost nothing."""
    monkeypatch.setattr(
        sizing._Decision, "_pilots",
        lambda self, operators, remaining_s: [
            {
                "operator": name, "log_loss": log_losses[name], "accuracy": 0.8, "images": 1000,
                "precision": "fp32",
            }
            for name in sorted(operators, key=lambda name: log_losses[name])
        ],
    )  # fmt: skip
    if speeds:
        monkeypatch.setattr(sizing._Decision, "_speeds", lambda *_: speeds)
        monkeypatch.setattr(sizing._Decision, "_seconds_per_image", lambda *_: min(speeds.values()))


def test_the_pilot_decides_once_and_its_trainings_are_not_repeated(
    decide: Callable[..., Sizes],
    tmp_path: Path,
    toy: SearchSpace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pilot, "PILOT_S", (0.2, 0.2))
    listener = Listener()
    found = decide(reporter=listener)
    document = read_json(tmp_path / "run" / FILE)
    assert listener.phases == ["size"]
    assert listener.notes == [sentence(document, toy, [], TASK.shown)]
    assert document["offered"] == ["mbconv", "window"]
    assert set(document["operators"]) <= set(document["offered"])
    assert document["seconds_per_image"]
    assert all(seconds > 0 for seconds in document["seconds_per_image"].values())
    for row in document["pilot"]:
        assert row["images"] > 0
        assert 0.0 <= row["accuracy"] <= 1.0
        assert (tmp_path / "run" / PILOT / "1" / row["operator"] / "network.safetensors").exists()
    with monkeypatch.context() as patch:
        patch.setattr(sizing._Decision, "decide", None)
        again = decide(reporter=listener)
        assert repr(again) == repr(found), "nan is not equal to itself"
    assert listener.phases == ["size"]

    def files() -> dict[Path, int]:
        folder = tmp_path / "run" / PILOT
        return {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}

    before = files()
    (tmp_path / "run" / FILE).unlink()
    monkeypatch.setattr(sizing._Decision, "_speeds", lambda *_: {1e5: 1e-3})
    decide()
    assert files() == before, "a kill after the pilots costs none of them"


@pytest.mark.parametrize("enough_up_to", [0.0, 1e5, math.inf])
def test_the_largest_size_that_sees_enough_images_is_found_in_few_speed_tests(
    decide: Callable[..., Sizes],
    toy: SearchSpace,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    enough_up_to: float,
) -> None:
    asked: list[float] = []

    def seconds_per_image(_: object, sizes: Sizes, precision: str) -> float:
        asked.append(sizes.max_macs)
        return 1e-9 if sizes.max_macs <= enough_up_to else 1e9

    pilot_gives(monkeypatch, {"mbconv": 1.0, "window": 3.0}, {})
    monkeypatch.setattr(sizing._Decision, "_seconds_per_image", seconds_per_image)
    monkeypatch.setattr(sizing, "FIRST_MACS", 1e4)
    sizes = decide()
    assert toy.costs is not None
    high = toy.costs.maximum("macs", toy.with_operator("mbconv"))[0]
    largest = sizes.max_macs
    if enough_up_to == math.inf:
        assert (max(asked), largest) == (high, math.inf)
    else:
        assert largest <= enough_up_to < GROWTH * largest or largest == min(asked)
    assert len(asked) <= math.log2(math.log(high / 1e4, GROWTH)) + 2
    speeds = read_json(tmp_path / "run" / FILE)["seconds_per_image"]
    assert list(speeds) == [f"{macs:.0f}" for macs in sorted(asked)]


def test_operators_near_the_best_are_taken_in_the_order_of_their_pilots(
    decide: Callable[..., Sizes], monkeypatch: pytest.MonkeyPatch
) -> None:
    pilot_gives(monkeypatch, {"mbconv": 1.01, "window": 1.0}, {1e5: 1e-6})
    assert decide().operators == ("window", "mbconv")


def test_an_operator_that_slows_the_others_down_too_far_is_left_out(
    decide: Callable[..., Sizes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pilot_gives(monkeypatch, {"mbconv": 1.01, "window": 1.0}, {1e5: 1e-6})
    train_s = SUPERNET_SHARE * CONFIG.seconds
    few = train_s / (1.5 * IMAGES_PER_OPERATOR)
    monkeypatch.setattr(sizing._Decision, "_seconds_per_image", lambda *_: few)
    assert decide().operators == ("window",)
    assert read_json(tmp_path / "run" / FILE)["images"] > 2 * IMAGES_PER_OPERATOR


def test_more_images_teach_more_operators_but_none_that_lags_behind() -> None:
    best = 1.0
    losses = {"a": best, "b": best + 0.01, "c": NEAR - 0.01, "d": NEAR + 0.01, "e": 4.0}
    ranked = [{"operator": name, "log_loss": loss} for name, loss in losses.items()]
    for images, expected in (
        (0, "a"),
        (2.5 * IMAGES_PER_OPERATOR, "ab"),
        (99 * IMAGES_PER_OPERATOR, "abc"),
    ):
        assert chosen_operators(ranked, images, TASK, OF_100) == list(expected)
    assert chosen_operators(ranked[-1:], 0, TASK, OF_100) == ["e"]


def test_close_to_guessing_only_what_learnt_nearly_as_much_is_taken() -> None:
    guessing = math.log(100)
    for best, expected in ((guessing - 0.2, "ab"), (guessing + 0.1, "a")):
        learnt = guessing - best
        losses = {"a": best, "b": best + 0.1 * abs(learnt), "c": best + 0.2 * abs(learnt)}
        assert losses["c"] < NEAR * best
        ranked = [{"operator": name, "log_loss": loss} for name, loss in losses.items()]
        assert chosen_operators(ranked, 99 * IMAGES_PER_OPERATOR, TASK, OF_100) == list(expected)


def test_the_largest_size_still_sees_enough_images(
    decide: Callable[..., Sizes],
    toy: SearchSpace,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    train_s = SUPERNET_SHARE * CONFIG.seconds
    costs = Sizes(operators=("mbconv",)).space(toy).costs
    assert costs is not None
    high = costs.maximum("macs")[0]
    pilot_gives(monkeypatch, {"mbconv": 1.0, "window": 2.0}, {high / 4: train_s})
    assert decide().max_macs == high / 4, "the first size that was timed is too large already"
    (tmp_path / "run" / FILE).unlink()
    sizes = (high / 2.25, high / 1.5, high)
    for enough in (1, 2, 3):
        # So many sizes see 1.1 times what they need, the others 0.9 times.
        speeds = {
            macs: train_s / (IMAGES_PER_MMAC * macs / 1e6 * (1.1 if place < enough else 0.9))
            for place, macs in enumerate(sizes)
        }
        pilot_gives(monkeypatch, {"mbconv": 1.0, "window": 2.0}, speeds)
        found = decide()
        assert found.max_macs == (math.inf if enough == 3 else sizes[enough - 1])
        (tmp_path / "run" / FILE).unlink()


def test_if_nothing_else_follows_the_time_teaches_more(
    decide: Callable[..., Sizes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pilot_gives(monkeypatch, {"mbconv": 1.0, "window": 2.0}, {1e5: 1e-4})
    seen = []
    for is_all in (False, True):
        decide(is_all=is_all)
        seen.append(read_json(tmp_path / "run" / FILE)["images"])
        (tmp_path / "run" / FILE).unlink()
    assert seen[1] > 2 * seen[0]


@pytest.mark.usefixtures("no_pilot")
@pytest.mark.parametrize(("given", "expected"), [(0, math.inf), (3e5, 3e5)])
def test_a_size_that_the_user_set_needs_no_pilot(
    decide: Callable[..., Sizes], tmp_path: Path, given: float, expected: float
) -> None:
    sizes = decide(replace(CONFIG, set={**CONFIG.set, "max_macs": given}))
    assert sizes.max_macs == expected
    assert sizes.operators == ("mbconv", "window")
    assert not (tmp_path / "run" / PILOT).exists()


@pytest.mark.usefixtures("no_pilot")
@pytest.mark.parametrize("has_sizes", [True, False])
def test_a_given_supernet_has_decided_already(
    decide: Callable[..., Sizes], tmp_path: Path, has_sizes: bool
) -> None:
    donor = tmp_path / "donor"
    donor.mkdir()
    if has_sizes:
        write_json(donor / FILE, DOCUMENT)
        rows = [{"metric": "params", "max": 5e4, "text": "50kparams", "binds": True}]
        write_json(donor / "plan.json", {"limits": rows})
    listener = Listener()
    sizes = decide(replace(CONFIG, supernet=str(donor)), reporter=listener)
    if has_sizes:
        trained = Limit("params", 5e4)
        assert sizes == replace(SIZES, trained=(trained,))
        assert sizes.limits([Limit("params", 1e6)])[-1] == trained, "others were never trained"
        assert sizes.limits([Limit("params", 1e3)])[-1].metric == "macs", "what is asked is less"
        assert listener.notes[-1].endswith("trained for: 200 kMACs (planned), 50kparams")
        (donor / FILE).unlink()
        assert decide(replace(CONFIG, supernet=str(donor))) == sizes, "the donor may go"
    else:
        assert (sizes.max_macs, sizes.operators) == (math.inf, ("mbconv", "window"))


def test_operators_beyond_the_limits_are_not_offered(toy: SearchSpace) -> None:
    assert toy.costs is not None
    macs = {
        name: toy.costs.of("macs", np.array([smallest_of(toy, name).encoding]))[0]
        for name in ("mbconv", "window")
    }
    cheap, dear = sorted(macs, key=lambda name: macs[name])
    assert macs[cheap] < macs[dear]
    assert offered_operators(toy, []) == ["mbconv", "window"]
    assert offered_operators(toy, [Limit("macs", macs[cheap])]) == [cheap]
    assert offered_operators(toy, [Limit("latency_ms", 1e-9)]) == ["mbconv", "window"]
    assert offered_operators(toy, [Limit("macs", 1.0)]) == ["mbconv", "window"], "or there are none"


@pytest.mark.parametrize("operator", ["mbconv", "window"])
def test_the_smallest_network_of_an_operator_has_no_other_and_is_not_pruned(
    toy: SearchSpace, operator: str
) -> None:
    assert toy.costs is not None
    found = smallest_of(toy, operator)
    rows = toy.sample(np.random.default_rng(0), 500)
    for column in toy.columns("operator"):
        rows[:, column] = toy.choices[column].options.index(operator)
    rows[:, toy.columns("sparsity")] = 0
    named = {v for name, v in found.arch.items() if name.endswith(".operator")}
    assert named == {operator}
    assert set(v for name, v in found.policy.items() if name.endswith("sparsity")) == {0}
    smallest = toy.costs.of("macs", np.array([found.encoding]))[0]
    assert smallest <= toy.costs.of("macs", rows).min()


def test_more_images_promise_more_and_a_pilot_that_guesses_nothing() -> None:
    pilot = {"accuracy": 0.6, "images": 1000, "log_loss": 1.3}
    assert expected_metric(pilot, 1000, TASK, OF_10) == 0.6
    rising = [expected_metric(pilot, images, TASK, OF_10) for images in (500, 2000, 8000, 1e9)]
    assert rising == sorted(rising)
    assert rising[0] == 0.6, "never less than the pilot"
    assert rising[1] == pytest.approx(1 - 0.4 / 2**0.5, abs=1e-4)
    assert rising[-1] <= 1.0
    guesses = {"accuracy": 0.2, "images": 1000, "log_loss": 2.2}
    assert expected_metric(guesses, 1e6, TASK, OF_10) is None
    assert expected_metric({"accuracy": 0.9, "images": 0}, 1e6, TASK, OF_10) is None


def test_more_images_promise_a_smaller_error() -> None:
    pilot = {"error": 0.6, "images": 1000, "square": 1.3}
    found = [
        expected_metric(pilot, images, Steps(), Steps().guessing([1] * 10))
        for images in (1000, 4000, 1e12)
    ]
    assert found == [0.6, 0.3, 0.0]
    assert (
        expected_metric(pilot | {"error": 1.0}, 1000, Steps(), Steps().guessing([1] * 10)) is None
    )


def test_both_rounds_of_a_pilot_say_how_fast_it_learns_once_it_has_learnt_half() -> None:
    before = {"images": 1000, "log_loss": 0.8, "accuracy": 0.5}
    pilot = {"images": 4000, "log_loss": 0.4, "accuracy": 0.6, "before": before}
    assert learning_exponent(pilot, TASK, OF_10) == pytest.approx(0.5)
    assert learning_exponent(pilot | {"log_loss": 0.2}, TASK, OF_10) == pytest.approx(1.0)
    assert learning_exponent(pilot | {"log_loss": 0.8}, TASK, OF_10) == LEAST_EXPONENT
    assert expected_metric(pilot | {"log_loss": 0.2}, 8000, TASK, OF_10) == pytest.approx(0.8)
    for unknown in (
        {name: value for name, value in pilot.items() if name != "before"},
        pilot | {"log_loss": 0.2, "before": before | {"log_loss": 1.2}},
        pilot | {"log_loss": 0.2, "before": before | {"images": 4000}},
    ):
        assert learning_exponent(unknown, TASK, OF_10) == LEARNING_EXPONENT
