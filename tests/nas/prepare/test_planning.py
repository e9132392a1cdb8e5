"""The phase plan: fits the time given, obeys what the user fixed, and can be read back."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn

from nas.data import DataSet
from nas.executors.inline import Inline
from nas.executors.processes import Processes
from nas.latency.measure import FILES_PER_BATCH
from nas.prepare import speed
from nas.prepare.afford import (
    FILES_PER_NETWORK,
    affordable,
    judging_seconds,
    time_finalists,
)
from nas.prepare.phases import PhasePlan, with_sensitivity
from nas.prepare.plan import (
    MAX_TRIALS,
    MIN_STEPS,
    MIN_TRIALS,
    SPARE_SHARE,
    TRAIN_SHARE,
    judged,
    loss_of,
    make_scorer,
    phase_plan_of,
    plan_search,
    plan_training,
    profile_sizes,
    search_settings,
    train_plan_of,
    train_share,
)
from nas.prepare.speed import Speed, time_score
from nas.problem.feasible import fits_in_some_format
from nas.problem.problem import KnownMetrics, Limit, Objective, Problem
from nas.run.config import Config
from nas.scoring.scorer import Scorer
from nas.system.files import write_json
from search_spaces import CandidateError, SearchSpace, UserError
from supernets.plan import BALANCED, TrainPlan
from supernets.supernet import Supernet

CONFIG = Config(
    space="toy", data="digits", set={"images_per_score": 32, "batch_size": 8, "precision": "fp32"}
)


@pytest.fixture
def known_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks are not timed: each is said to take a second."""
    monkeypatch.setattr("nas.prepare.plan.time_score", lambda *_, **__: [Speed(1.0, 0.01, 0.001)])


def problem(space: SearchSpace, *limits: Limit) -> Problem:
    model = KnownMetrics((space.costs,))
    return Problem(
        space=space, objectives=(Objective("log_loss", "minimize"),), limits=limits, model=model
    )


class Clock:
    """A clock that only moves while something is said to take time."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def perf_counter(self) -> float:
        return self.now_s

    def taking(self, seconds: float, found: object) -> Callable[..., object]:
        """A function that finds this in so many seconds."""

        def function(*_: object, **__: object) -> object:
            self.now_s += seconds
            return found

        return function


def test_short_searches_time_fewer_files_but_enough_to_fit() -> None:
    sizes = [profile_sizes(Config(time=time)) for time in ("1s", "60s", "5m", "10m", "10h")]
    assert sizes == sorted(sizes)
    assert sizes[0] == (14, sizes[0][1])
    assert sizes[0][1] >= 6
    assert sum(sizes[2]) + 1 == FILES_PER_BATCH, "with the call alone, one batch"
    assert sizes[1] < sizes[2] < sizes[3] == sizes[4]


def test_without_time_the_plans_are_the_smallest_that_make_sense(
    mini: SearchSpace, digits: DataSet
) -> None:
    train = train_plan_of(plan_training(CONFIG, problem(mini), digits, remaining_s=0.0))
    phases = phase_plan_of(
        plan_search(CONFIG, Supernet(mini), digits, problem(mini), Inline(), remaining_s=0.0)
    )
    assert train.steps == MIN_STEPS
    assert phases.trials == MIN_TRIALS
    assert (train.batch_size, train.precision, phases.images_per_score) == (8, "fp32", 32)


@pytest.mark.usefixtures("known_speed")
def test_what_the_user_fixed_is_kept(
    mini: SearchSpace, random_supernet: Supernet, digits: DataSet
) -> None:
    fixed = replace(CONFIG, trials=7, set={**CONFIG.set, "steps": 50, "channels_last": False})
    train = train_plan_of(plan_training(fixed, problem(mini), digits, remaining_s=1e4))
    phases = phase_plan_of(
        plan_search(fixed, random_supernet, digits, problem(mini), Inline(), remaining_s=1e4)
    )
    assert (train.steps, train.channels_last, phases.trials) == (50, False, 7)


@pytest.mark.parametrize(
    ("time", "fixed", "references", "finalists"),
    [
        ("10h", {}, 3, 8),
        ("220s", {}, 1, 8),  # 44 s are allowed, each network takes 4 s
        ("150s", {}, 1, 4),
        ("1s", {}, 1, 3),
        ("1s", {"finalists": 7}, 1, 7),
        ("1s", {"finalists": 7, "random_references": 5}, 5, 7),
    ],
)
def test_fewer_networks_are_measured_where_time_is_short(
    digits: DataSet,
    monkeypatch: pytest.MonkeyPatch,
    time: str,
    fixed: dict[str, int],
    references: int,
    finalists: int,
) -> None:
    monkeypatch.setattr(
        "nas.prepare.afford.time_finalists",
        lambda phases, *_: 4.0 * (phases.finalists + phases.random_references + 2),
    )
    config = Config(time=time, set=fixed)
    phases, seconds = affordable(config, search_settings(config), digits, [Speed(0.0, 0.0, 0.0)])
    assert (phases.random_references, phases.finalists) == (references, finalists)
    assert seconds == 4.0 * (references + finalists + 2)


@pytest.mark.usefixtures("known_speed")
def test_bf16_is_tried_only_where_the_processor_has_it(
    mini: SearchSpace, digits: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def fastest_plan(_: object, __: object, plans: Sequence[TrainPlan], ___: object) -> TrainPlan:
        tried.extend(plan.precision for plan in plans)
        return plans[-1]

    monkeypatch.setattr("nas.prepare.plan.fastest_plan", fastest_plan)
    monkeypatch.setattr("nas.prepare.plan.time_steps", lambda *_, **__: 0.01)
    config = replace(CONFIG, set={"batch_size": 8, "images_per_score": 32})
    for has_it in (False, True):
        monkeypatch.setattr("nas.prepare.placed.has_bf16_products", lambda has_it=has_it: has_it)
        plan_training(config, problem(mini), digits, remaining_s=1.0)
        assert ("bf16" in tried) == has_it


def test_a_trained_supernet_is_not_trained_again(mini: SearchSpace, digits: DataSet) -> None:
    config = replace(CONFIG, supernet="runs/x")
    assert (
        train_plan_of(plan_training(config, problem(mini), digits, remaining_s=1000.0)).steps == 1
    )


@pytest.mark.usefixtures("known_speed")
def test_time_that_training_leaves_is_spent_on_candidates(
    mini: SearchSpace, random_supernet: Supernet, digits: DataSet
) -> None:
    def planned(remaining_s: float) -> dict[str, Any]:
        return plan_search(
            CONFIG, random_supernet, digits, problem(mini), Inline(), remaining_s=remaining_s
        )

    least = planned(0.0)
    fixed_s = least["finalists_s"] + least["judging_s"] + SPARE_SHARE * CONFIG.seconds
    few, many = (
        planned(fixed_s + wanted * least["seconds_per_score"])["trials"]
        for wanted in (100, 100_000)
    )
    assert least["trials"] == MIN_TRIALS
    assert few < many == MAX_TRIALS


def test_networks_that_fail_are_passed_over_in_the_speed_test(
    mini: SearchSpace, digits: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    really, calls = speed.time_answer, itertools.count()

    def time_answer(network: nn.Module, data: DataSet, *, num_failures: int = 1) -> float:
        if next(calls) < num_failures:
            raise CandidateError("it has no word for that")
        return really(network, data)

    supernet = Supernet(mini).eval()
    monkeypatch.setattr(speed, "time_answer", time_answer)
    assert len(speed.time_score(supernet, digits, problem(mini), 32)) == speed.SPEED_CANDIDATES - 1
    monkeypatch.setattr(speed, "time_answer", partial(time_answer, num_failures=999))
    with pytest.raises(UserError, match="none of 4 networks of space .* has no word"):
        speed.time_score(supernet, digits, problem(mini), 32)


def test_workers_are_given_more_candidates_as_far_as_there_are_cores(
    mini: SearchSpace,
    random_supernet: Supernet,
    digits: DataSet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nas.prepare.plan.time_score", lambda *_, **__: [Speed(1.0, 0.0, 0.0)])
    monkeypatch.setattr("nas.prepare.afford.time_finalists", lambda *_: 0.0)
    monkeypatch.setattr("nas.executors._base.num_cores", lambda: 4 * torch.get_num_threads())

    def trials(at_once: int) -> int:
        executor = Processes(workers=at_once)
        plan = plan_search(
            CONFIG, random_supernet, digits, problem(mini), executor, remaining_s=300.0
        )
        assert phase_plan_of(plan).lag == executor.lag
        return phase_plan_of(plan).trials

    one = trials(1)
    assert trials(3) == pytest.approx(3 * one, abs=3)
    assert trials(8) == trials(4) == pytest.approx(4 * one, abs=4)


@pytest.mark.usefixtures("known_speed")
def test_a_share_of_the_time_is_kept_for_training_finalists_further(
    mini: SearchSpace, random_supernet: Supernet, digits: DataSet
) -> None:
    def planned(share: float, **more: float) -> dict[str, Any]:
        config = replace(CONFIG, time="1000s", set={**CONFIG.set, "finetune_share": share, **more})
        return plan_search(
            config, random_supernet, digits, problem(mini), Inline(), remaining_s=600.0
        )

    none, some = planned(0.0), planned(0.3)
    assert none["finetune_s"] == 0.0
    assert none["trials"] >= some["trials"]
    available_s = 600.0 - SPARE_SHARE * 1000 - some["finalists_s"] - some["score_test_s"]
    available_s -= some["judging_s"]
    expected = 0.3 / (0.3 + 0.7 * (1 - TRAIN_SHARE)) * available_s
    assert some["finetune_s"] == pytest.approx(expected, abs=0.1)
    assert planned(0.3, finetune_s=2.0)["finetune_s"] == 2.0


def test_a_network_fits_in_whichever_format_its_stages_have(mini: SearchSpace) -> None:
    assert mini.costs is not None
    columns = mini.columns("precision")
    row = np.array([mini.costs.maximum("size_bytes")[1]])
    sizes = {
        name: mini.costs.of("size_bytes", mini.in_precision(row, name))[0]
        for name in mini.precisions
    }
    assert sizes["int8"] < sizes["fp32"]
    between = Limit("size_bytes", (sizes["int8"] + sizes["fp32"]) / 2)
    assert fits_in_some_format(problem(mini, between), row).all()
    assert not fits_in_some_format(problem(mini, Limit("size_bytes", 1.0)), row).any()
    one_format = mini.restricted({mini.choices[columns[-1]].name: ("fp32",)})
    assert one_format.precisions == mini.precisions
    row[:, columns] = 0
    assert fits_in_some_format(problem(one_format, Limit("macs", 1e12)), row).all()


def test_what_speed_tests_take_is_not_given_away(
    mini: SearchSpace, digits: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("nas.prepare.plan.time", clock)
    monkeypatch.setattr("nas.prepare.plan.time_steps", clock.taking(7.0, 0.01))
    monkeypatch.setattr("nas.prepare.plan.time_score", clock.taking(3.0, [Speed(1.0, 0.0, 0.0)]))
    monkeypatch.setattr("nas.prepare.afford.time_finalists", lambda *_: 0.0)
    config = replace(CONFIG, set={**CONFIG.set, "finetune_share": 0.0})
    asked = (config, problem(mini), digits)
    remaining_s = 100.0 + SPARE_SHARE * config.seconds
    for is_all, share in ((False, TRAIN_SHARE), (True, 1.0)):
        plan = plan_training(*asked, remaining_s=remaining_s, is_all=is_all)
        assert plan["speed_test_s"] == 10.0
        assert plan["steps"] == pytest.approx(share * (100 - 10) / 0.01, abs=1)
    found = plan_search(
        config, Supernet(mini), digits, problem(mini), Inline(), remaining_s=remaining_s
    )
    assert (found["score_test_s"], found["trials"]) == (3.0, 97)


def test_training_leaves_the_time_that_further_training_is_given(
    mini: SearchSpace, digits: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.prepare.plan.time_steps", lambda *_, **__: 0.01)
    monkeypatch.setattr("nas.prepare.plan.time_score", lambda *_, **__: [Speed(0.0, 0.0, 0.0)])
    monkeypatch.setattr("nas.prepare.afford.time_finalists", lambda *_: 0.0)

    def steps(**more: float) -> int:
        config = replace(CONFIG, set={**CONFIG.set, **more})
        plan = plan_training(config, problem(mini), digits, remaining_s=1000.0)
        return train_plan_of(plan).steps

    assert steps(finetune_s=0) == pytest.approx(steps(finetune_share=0.0), rel=0.01)
    assert steps(finetune_s=500) == pytest.approx(steps(finetune_share=0.5), rel=0.05)
    assert steps(finetune_share=0.5) == pytest.approx(0.5 * steps(finetune_share=0.0), rel=0.05)


@pytest.mark.usefixtures("known_speed")
def test_with_a_given_supernet_finalists_get_their_share_of_all_that_is_free(
    mini: SearchSpace, random_supernet: Supernet, digits: DataSet, tmp_path: Path
) -> None:
    config = replace(CONFIG, time="1000s", supernet=str(tmp_path))
    found = plan_search(config, random_supernet, digits, problem(mini), Inline(), remaining_s=600.0)
    available_s = 600.0 - SPARE_SHARE * 1000 - found["finalists_s"] - found["score_test_s"]
    available_s -= found["judging_s"]
    assert found["finetune_s"] == pytest.approx(found["finetune_share"] * available_s, abs=0.1)
    donor = TrainPlan(steps=9, precision="bf16", batch_size=5, criterion="l1")
    write_json(tmp_path / "plan.json", asdict(donor))
    plan = train_plan_of(plan_training(config, problem(mini), digits, remaining_s=1.0))
    assert (plan.steps, plan.precision, plan.batch_size) == (1, "fp32", 8), "as set"
    config = replace(config, set={})
    plan = train_plan_of(plan_training(config, problem(mini), digits, remaining_s=1.0))
    assert (plan.steps, plan.precision, plan.batch_size) == (1, "bf16", 5), "as the donor's"
    assert plan.criterion == "l1"


def test_networks_are_ranked_by_the_loss_that_training_minimised(
    random_supernet: Supernet, digits: DataSet
) -> None:
    space, few = random_supernet.space, 13  # images, so that classes differ in size
    network = random_supernet.extract(space.slots([0] * len(space.choices)))
    plain, balanced = (
        Scorer(random_supernet, judged(digits, loss_of(replace(TrainPlan(steps=1), **own))), few)
        for own in ({}, {"class_weights": BALANCED})
    )
    outputs, labels = plain._outputs(network), digits.search.take(few).labels_N
    for scorer, is_balanced in ((plain, False), (balanced, True)):
        wanted = plain.task.metrics(outputs, labels, is_balanced=is_balanced)
        assert scorer.quality(network) == wanted
    assert plain.quality(network)["log_loss"] != balanced.quality(network)["log_loss"]
    assert not judged(digits, {}).is_balanced, "as plans of earlier versions have it"


def test_scores_and_files_are_timed(mini: SearchSpace, digits: DataSet) -> None:
    for one in time_score(Supernet(mini).eval(), digits, problem(mini), 64):
        assert 0.0 < one.score_s < one.compress_s
        assert 0.0 < one.answer_s < one.compress_s


def test_the_largest_references_take_the_time_of_the_largest(digits: DataSet) -> None:
    phases = PhasePlan(trials=1, finalists=1, random_references=0)
    fast, slow = Speed(1.0, 0.0, 0.0), Speed(5.0, 0.0, 0.0)
    spared_s = time_finalists(phases, digits, [fast] * 3 + [slow], 2) - time_finalists(
        phases, digits, [fast] * 4, 2
    )
    assert spared_s == pytest.approx(2 * 2 * (5.0 - 1.0)), "two networks are compressed twice"


def test_portable_int8_keeps_to_7_bits_whatever_the_processor(
    random_supernet: Supernet, digits: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    for saturates in (False, True):
        monkeypatch.setattr("nas.scoring.scorer.int8_products_saturate", lambda it=saturates: it)
        for portable in (False, True):
            phases = search_settings(Config(space="toy", set={"portable_int8": portable}))
            scorer = make_scorer(phases, random_supernet, digits)
            assert scorer.needs_reduced_range == (portable or saturates)


@pytest.mark.parametrize("read", [train_plan_of, phase_plan_of])
def test_a_plan_without_a_field_is_refused(read: Callable[[dict[str, int]], object]) -> None:
    with pytest.raises(KeyError):
        read({"schema": 1})


def test_verifying_takes_what_files_take_on_all_cores(digits: DataSet) -> None:
    """Two at once are no faster than one after the other: each uses all cores."""
    phases = PhasePlan(trials=1, finalists=2, random_references=1)
    idle, busy = ([Speed(0.0, 0.0, answer_s)] for answer_s in (0.0, 0.001))
    images = len(digits.search.labels_N) + len(digits.test.labels_N)
    more_s = time_finalists(phases, digits, busy, 1) - time_finalists(phases, digits, idle, 1)
    assert more_s == pytest.approx(4 * FILES_PER_NETWORK * images * 0.001)


def test_judging_counts_what_was_brought_and_more_images_where_a_drop_is_limited() -> None:
    phases = PhasePlan(trials=1, finalists=3, images_per_score=100)
    usual, large = Speed(1.0, 0.01, 0.0), Speed(2.0, 0.05, 0.0)
    plain = Config()
    assert judging_seconds(plain, phases, [usual] * 3 + [large]) == pytest.approx(3 * 2.0)
    untrained = replace(plain, set={"finetune_s": 0.0})
    assert judging_seconds(untrained, phases, [usual]) == 0.0
    limited = Config(model="network.onnx", max_drop="1%")
    baseline_s, judged_s = 2 * (2.0 + 5.0), 3 * (1.0 + 5.0) + (2.0 + 25.0)
    expected_s = baseline_s + judged_s / torch.get_num_threads()
    assert judging_seconds(limited, phases, [usual] * 3 + [large]) == pytest.approx(expected_s)


def test_where_a_drop_is_limited_further_training_gets_more() -> None:
    plain, limited = Config(), Config(model="network.onnx", max_drop="1%")
    assert search_settings(limited).finetune_share > search_settings(plain).finetune_share
    assert search_settings(limited).random_references == 0
    assert train_share(limited) < train_share(plain)
    fixed = replace(limited, set={"finetune_share": 0.1, "finalists": 7})
    assert (search_settings(fixed).finetune_share, search_settings(fixed).finalists) == (0.1, 7)


@pytest.mark.parametrize(
    ("fixed", "change_s", "name", "seconds"),
    [
        ({}, 1.0, "distortion", 20.0),  # the network itself and 3 groups
        ({}, 6.0, "uniform", 0.0),
        ({"allocation": "distortion"}, 6.0, "distortion", 20.0),
        ({"sensitivity_s": 2.0}, 6.0, "distortion", 2.0),
        ({"allocation": "none"}, 1.0, "none", 0.0),
    ],
)
def test_changes_are_measured_where_there_is_time_for_every_group(
    fixed: dict[str, Any], change_s: float, name: str, seconds: float
) -> None:
    space = SimpleNamespace(is_brought=True, columns=lambda _: [0, 1, 2])
    config = Config(set=fixed)
    asked = cast(Problem, SimpleNamespace(space=space))
    plan = with_sensitivity(config, search_settings(config), asked, 100.0, change_s)
    assert (plan.allocation, plan.sensitivity_s) == (name, seconds)
