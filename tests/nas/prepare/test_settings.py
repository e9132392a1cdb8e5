"""`--set`: unknown names, wrong types and values out of range are refused before any work."""

from dataclasses import fields, make_dataclass
from typing import Any

import pytest

from nas.controllers import CONTROLLERS
from nas.executors import EXECUTORS
from nas.prepare.inputs import check_names, make_problem
from nas.prepare.phases import PhasePlan
from nas.prepare.plan import make_method
from nas.prepare.settings import FLAGS, RANGES, WORDS, check_settings
from nas.run.config import Config
from search_spaces import UserError, load_space
from supernets.methods._base import GIVEN, METHODS
from supernets.plan import TrainPlan


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stps": 3}, "unknown setting 'stps'.*Did you mean 'steps'"),
        ({"steps": "abc"}, "setting 'steps' is 'abc'. It must be a whole number"),
        ({"steps": 2.5}, "It must be a whole number"),
        ({"steps": True}, "It must be a whole number"),
        ({"steps": 0}, "setting 'steps' is 0. It must be at least 1"),
        ({"learning_rate": -1}, "setting 'learning_rate' is -1. It must be at least 0 "),
        ({"rank_at": 2}, "at most 1"),
        ({"finalists": 0}, "It must be at least 1"),
        ({"random_references": 1_000_000}, "is 1000000. It must be at least 0 and at most 100"),
        ({"images_per_score": 0}, "It must be at least 1"),
        ({"channels_last": 1}, "It must be true or false"),
        ({"portable_int8": "yes"}, "It must be true or false"),
        ({"precision": "fp8"}, "setting 'precision' is 'fp8'. Known: fp32, bf16"),
        ({"precision": "fp16"}, "'fp16', which is of accelerators, and device is 'cpu'"),
        ({"precision": "tf32"}, "'tf32', which is of accelerators, and device is 'cpu'"),
        ({"compile": "yes"}, "setting 'compile' is 'yes'. Known: if-it-pays, always, never"),
        ({"class_weights": "some"}, "setting 'class_weights' is 'some'. Known: none, balanced"),
        ({"schedule": "linear"}, "setting 'schedule' is 'linear'. Known: cosine, steps"),
        ({"drop_path": 0.95}, "setting 'drop_path' is 0.95. It must be at least 0 and at most 0.9"),
        ({"optimizer": "adam"}, "unknown optimizer 'adam'. Known: adamw, muon, sgd"),
        ({"criterion": "l3"}, "unknown criterion 'l3'. Known: bn-scale, fisher, fpgm, l1"),
        ({"calibration": "mean"}, "unknown calibration 'mean'. Known: entropy, min-max, mse, perc"),
        (
            {"augment": "cutmx"},
            "unknown augmentation 'cutmx'. Known: cutmix, erasing, mixup, randa",
        ),
        ({"repeats": 0}, "setting 'repeats' is 0. It must be at least 1"),
        ({"shards": 0}, "setting 'shards' is 0. It must be at least 1"),
        ({"max_macs": -1}, "setting 'max_macs' is -1. It must be at least 0"),
        ({"crossover": 2}, "crossover is 2"),
        ({"tournament": "big"}, "It must be a whole number"),
        ({"score_limit_s": 0}, "score_limit_s is 0. It must be above 0 seconds"),
        *(({name: 3}, f"unknown setting '{name}'") for name in sorted(FLAGS)),
    ],
)
def test_a_wrong_setting_is_refused(settings: dict[str, float | str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_settings(Config(controller="evolution", executor="processes", set=settings))


def test_more_threads_than_any_core_could_serve_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nas.prepare.inputs.num_cores", lambda: 1)
    with pytest.raises(UserError, match=r"threads is 1024, and this machine has 1 cores. .* 8\."):
        check_names(Config(space="toy", threads=1024))
    with pytest.raises(UserError, match=r"workers is 1024, and .*Leave out --workers"):
        check_names(Config(space="toy", workers=1024))


def test_right_settings_pass() -> None:
    good = {"steps": 30, "learning_rate": 1, "precision": "bf16", "channels_last": True}
    good |= {"finalists": 3, "population": 4, "score_limit_s": 60}
    check_settings(Config(controller="evolution", executor="processes", set=good))


def test_a_setting_of_another_controller_is_unknown() -> None:
    with pytest.raises(UserError, match="unknown setting 'population'"):
        check_settings(Config(controller="random", set={"population": 4}))


def test_settings_of_the_training_method_reach_it() -> None:
    settings = {"num_random": 1, "teacher_share": 0.25}
    config = Config(space="toy", method="sandwich", set=settings)
    check_names(config)
    space = load_space("toy", resolution=16, channels=1, num_classes=10)
    method = make_method(
        config, make_problem(space, ()), TrainPlan(steps=10, shards=2, rank_at=0.3)
    )
    assert (method.num_random, method.teacher_share, method.sparse_from) == (1, 0.25, 6)


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("sortednet", {"num_random": 1}, "unknown setting 'num_random'"),
        ("sandwich", {"num_random": 1.5}, "'num_random' is 1.5. It must be a whole number"),
        ("sandwich", {"num_random": 65}, "training method 'sandwich': num_random is 65"),
        ("sandwich", {"sparse_from": 3}, "unknown setting 'sparse_from'"),
        ("sandwich", {"space": 3}, "unknown setting 'space'"),
        ("sandwhich", {}, "unknown training method 'sandwhich'.*Did you mean 'sandwich'"),
        ("sandwich", {"method": "x"}, "unknown setting 'method'. Write 'method' at the top of"),
    ],
)
def test_a_wrong_setting_of_the_training_method_is_refused(
    method: str, settings: dict[str, float | str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        check_names(Config(space="toy", method=method, set=settings))


def test_a_setting_belongs_to_one_kind_of_plug_in() -> None:
    owners = [
        {f.name for name in registry.names() for f in fields(registry.get(name))}
        for registry in (CONTROLLERS, EXECUTORS, METHODS)
    ]
    owners += [{f.name for f in fields(plan)} for plan in (TrainPlan, PhasePlan)]
    names = [name for own in owners for name in own - FLAGS - GIVEN]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("field", "settings", "message"),
    [
        (("steps", int, 5), {}, "'steps' belongs to the plan of training and to controller 'own'"),
        (("sizes", tuple[int, ...], (1, 2)), {"sizes": 3}, "'sizes' is declared as tuple"),
        (("rate", "float", 0.5), {"rate": "much"}, "'rate' is 'much'. It must be a number"),
    ],
)
def test_fields_of_a_plug_in_are_settings_or_refused(
    field: tuple[str, Any, Any], settings: dict[str, Any], message: str, monkeypatch: Any
) -> None:
    own = make_dataclass("Own", [("seed", int, 0), field], frozen=True)
    monkeypatch.setattr(CONTROLLERS, "get", lambda name: own)
    with pytest.raises(UserError, match=message):
        check_settings(Config(space="toy", controller="own", set=settings))


def test_a_plug_in_with_settings_is_a_dataclass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CONTROLLERS, "get", lambda name: object)
    with pytest.raises(UserError, match="controller 'own' is no dataclass"):
        check_settings(Config(space="toy", controller="own"))


BY_REGISTRY = ("optimizer", "criterion", "allocation", "calibration", "augment")


def test_every_number_of_the_plans_has_a_range_or_is_not_for_users() -> None:
    names = {f.name for owner in (TrainPlan, PhasePlan) for f in fields(owner)}
    measured_or_flags = {*FLAGS, "seconds_per_score", "channels_last", "portable_int8"}
    assert names - measured_or_flags == {*RANGES, *WORDS, *BY_REGISTRY}


def test_defaults_are_within_the_ranges() -> None:
    plans = {**vars(TrainPlan(steps=1)), **vars(PhasePlan(trials=1))}
    for name, (low, high) in RANGES.items():
        assert low <= plans[name] <= high, name


def test_blocks_of_a_network_that_is_brought_are_not_passed_by() -> None:
    with pytest.raises(UserError, match="'drop_path' is about residual blocks of spaces"):
        check_settings(Config(model="network.onnx", set={"drop_path": 0.1}))
    check_settings(Config(model="network.onnx", set={"dropout": 0.1}))
