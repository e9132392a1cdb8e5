"""What is refused before anything is measured, because the target or the donor does not allow it."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from nas.prepare.inputs import check_kernels, prepare
from nas.prepare.plan import check_criterion, train_plan_of
from nas.run.config import Config
from nas.system.files import write_json
from nas.system.reporter import Silent
from nas.targets.onnxruntime import OnnxRuntime
from search_spaces import FORMATS, UserError
from supernets.plan import TrainPlan


def test_every_format_may_be_asked_for_on_onnxruntime() -> None:
    check_kernels(Config(precision=tuple(FORMATS.names())))


def test_a_format_without_kernels_on_the_target_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OnnxRuntime, "kernels", frozenset({"float32"}))
    check_kernels(Config(precision=("fp32", "int8w")))
    message = (
        r"precision 'int8' needs kernels that target 'onnxruntime' does not have: int8\. "
        r"Formats that run there: fp32, int8w\. Give --precision fp32,int8w or"
    )
    with pytest.raises(UserError, match=message):
        check_kernels(Config(precision=("fp32", "int8")))


def test_a_supernet_serves_only_searches_with_its_own_criterion(tmp_path: Path) -> None:
    config = Config(supernet=str(tmp_path), set={"criterion": "l1"})
    check_criterion(config)  # nothing is known of it
    write_json(tmp_path / "plan.json", asdict(TrainPlan(steps=9, criterion="l1")))
    check_criterion(config)
    check_criterion(replace(config, set={}))
    with pytest.raises(UserError, match=r"criterion 'bn-scale' is asked for.*trained with 'l1'"):
        check_criterion(replace(config, set={"criterion": "bn-scale"}))


def test_a_supernet_of_a_version_without_criteria_was_ranked_by_magnitude(tmp_path: Path) -> None:
    document = asdict(TrainPlan(steps=9))
    del document["criterion"]
    write_json(tmp_path / "plan.json", document)
    assert train_plan_of(document).criterion == "magnitude"
    check_criterion(Config(supernet=str(tmp_path), set={"criterion": "magnitude"}))
    with pytest.raises(UserError, match="trained with 'magnitude'"):
        check_criterion(Config(supernet=str(tmp_path), set={"criterion": "l1"}))


def test_a_training_method_that_cannot_be_of_this_space_is_refused_before_images_are_read() -> None:
    config = Config(
        space="toy", data="digits", resolution=16, method="multi-resolution",
        fix=("stage*.block*.operator=window",),
    )  # fmt: skip
    with pytest.raises(UserError, match="all operators of space 'toy' .window. belong to maps of"):
        prepare(config, Silent())
