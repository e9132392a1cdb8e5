"""`nas bench methods`: what is counted and ranked, a small comparison that is stopped, wrong use."""

import json
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from nas.bench import methods
from nas.bench._counted import MACS, Counted, without_macs
from nas.bench.method_entries import entries_of
from nas.bench.method_standings import MethodStanding, MethodStandings, Training, spread
from nas.bench.methods import said_if_long
from nas.cli.app import main
from nas.run.config import Config
from nas.run.directory import log_step
from search_spaces import SearchSpace, signature_cost, task_of
from supernets.images import Images
from supernets.methods import METHODS
from supernets.plan import TrainPlan
from supernets.steps import SupernetBatches
from supernets.supernet import Supernet
from supernets.team import AbstractBatches
from tests.commands import exit_code
from tests.small_run import Stopped, train_one_by_one

TASK = task_of("classification")


def training(seed: int, **losses: float) -> Training:
    members = {
        key: {"log_loss": loss, "accuracy": 1 - loss, "calibration_error": 0.1}
        for key, loss in losses.items()
    }
    return Training(
        seed=seed,
        steps=10,
        images_per_step=64,
        precision="fp32",
        seconds=2.0 + seed,
        macs=3e9,
        members=members,
    )


def standings(*rows: MethodStanding) -> MethodStandings:
    return MethodStandings(
        of="toy on digits",
        task=TASK,
        macs={"a": 1, "b": 2, "c": 3},
        sample=("b", "c"),
        smallest="a",
        largest="c",
        rows=rows,
    )


def test_methods_are_ranked_by_the_mean_loss_of_the_sample() -> None:
    # The second one is better on the smallest network only, which was not drawn.
    first = MethodStanding(
        name="first", trainings=(training(0, a=0.9, b=0.2, c=0.3), training(1, a=0.9, b=0.2, c=0.4))
    )
    second = MethodStanding(name="second", trainings=(training(0, a=0.1, b=0.3, c=0.4),))
    found = standings(second, first)
    assert [row.name for row in found.ranked()] == ["first", "second"]
    header, (row, other) = found.table()
    cells, others = dict(zip(header, row, strict=True)), dict(zip(header, other, strict=True))
    assert cells["accuracy %"] == "72.5 ± 2.5"
    assert cells["log-loss"] == "0.275 ± 0.025"
    assert (cells["seconds"], cells["1e9 MACs"]) == ("2", "3.0")
    assert others["smallest, accuracy %"] == "90.0"
    assert (others["tau"], others["what it left, log-loss"]) == ("-", "-")
    assert others["calibration error, %"] == "10.0"
    means = [one["means"]["log_loss"] for one in found.to_json()["rows"]]
    assert means == pytest.approx([0.275, 0.35])


def test_metrics_that_a_task_has_not_are_left_out() -> None:
    plain = {key: {"log_loss": 0.5, "accuracy": 0.5} for key in "abc"}
    found = standings(
        MethodStanding(name="one", trainings=(replace(training(0), members=plain),), taus=(0.5,))
    )
    (row,) = found.table()[1]
    assert row[-3:] == ["-", "0.50", "-"]
    assert spread([], str) == "-"


def test_counting_changes_nothing_and_counts_what_members_multiply(
    mini: SearchSpace, digit_images: Images
) -> None:
    plan = TrainPlan(steps=4, batch_size=8, rank_at=0.0)
    method = METHODS.get("sandwich")(space=mini, num_random=0)
    gradients, found = [], []
    for batches in (SupernetBatches(plan, method), Counted(SupernetBatches(plan, method))):
        supernet = Supernet(mini, seed=0).train()
        state = batches.initial_state()
        found.append(batches(supernet, digit_images, 3, state))
        gradients.append([p.grad for p in supernet.parameters() if p.grad is not None])
    (losses, _), (own, report) = found
    assert own == losses
    assert all(map(torch.equal, *gradients))
    rng = np.random.default_rng([plan.seed, 3, 3])
    macs = [
        sum(signature_cost(slot.signature).macs for slot in mini.slots(lesson.encoding))
        for lesson in method.plan(3, rng)
    ]
    assert report[MACS].tolist() == [8 * sum(macs)]
    kept = batches.fold(batches.initial_state(), [report, report])
    assert kept[MACS].tolist() == [2 * 8 * sum(macs)]
    assert MACS not in without_macs(kept)


@pytest.mark.parametrize("attribute", sorted(n for n in vars(AbstractBatches) if n[0] != "_"))
def test_all_that_batches_have_is_asked_of_those_that_are_counted(attribute: str) -> None:
    batches = Mock(spec=AbstractBatches)
    found, asked = getattr(Counted(batches), attribute), getattr(batches, attribute)
    if isinstance(vars(AbstractBatches)[attribute], property):
        assert found is asked
        return
    asked.return_value = {}
    given = {"state": {MACS: np.zeros(1)}, "reports": []}
    found(*(given.get(name, name) for name in signature(found).parameters))
    asked.assert_called_once()


def command(out: Path, *more: str) -> list[str]:
    names = "sortednet,sandwich:num_random=0"
    line = ["bench", "methods", "--methods", names, "--space", "toy", "--data", "digits"]
    line += ["--resolution", "16", "--time", "1s", "--seeds", "2", "--members", "3"]
    line += ["--images", "100", "--alone", "3", "--out", str(out)]
    for setting in ("steps=4", "batch_size=8", "precision=fp32", "checkpoint_s=0"):
        line += ["--set", setting]
    return [*line, *more]


@pytest.mark.long
def test_a_comparison_that_is_stopped_continues_to_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nas.bench._alone.train_beside", train_one_by_one)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert exit_code(*command(whole, "--json")) == 0
    expected = json.loads(capsys.readouterr().out)

    def stop(log: Path, numbers: Any, steps: int) -> None:
        if numbers["step"] == 3 and "sandwich" in str(log):
            raise Stopped
        log_step(log, numbers, steps)

    with monkeypatch.context() as patch:
        patch.setattr(methods, "log_step", stop)
        with pytest.raises(Stopped):
            main(command(stopped))
    capsys.readouterr()
    assert (stopped / "sortednet/0/result.json").exists()
    assert exit_code(*command(stopped, "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in found["rows"]] == [row["name"] for row in expected["rows"]]
    for row, other in zip(found["rows"], expected["rows"], strict=True):
        for one, another in zip(row["trainings"], other["trainings"], strict=True):
            assert one.pop("seconds") > 0
            another.pop("seconds")
            assert one == another, "weights and counts are those of a training without a stop"
            assert (one["steps"], one["images_per_step"]) == (4, 16)
            for metrics in one["members"].values():
                assert 0 <= metrics["calibration_error"] <= 1
        assert len(row["taus"]) == 2
        assert all(-1 <= tau <= 1 for tau in row["taus"])
    macs = found["macs"]
    assert macs[found["smallest"]] == min(macs.values()) < macs[found["largest"]]
    assert "Members by their size" in Path(found["page"]).read_text()
    before = (stopped / "results.json").read_bytes()
    monkeypatch.setattr(methods, "train", None)
    assert exit_code(*command(stopped)) == 0
    assert (stopped / "results.json").read_bytes() == before
    capsys.readouterr()
    assert exit_code(*command(stopped, "--methods", "sandwich,sortednet")) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "other settings: methods +sandwich, -sandwich:num_random=0." in said


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--methods", "sandwch"], "Did you mean 'sandwich'?"),
        (["--methods", "delayed:largest_shar=0.3"], "Did you mean 'largest_share'?"),
        (["--methods", "sandwich:num_random"], "has no value. Write a setting as name=value"),
        (["--methods", "sandwich,sandwich"], "methods 'sandwich' and 'sandwich' are the same"),
        (["--budget", "12ms"], "is of what only measuring tells"),
        (
            ["--space", "sr", "--task", "super-resolution", "--methods", "sortednet,rotations"],
            "training method 'rotations' needs labels that are classes",
        ),
        (["--alone", "2"], "alone is 2. A rank correlation needs 3 networks at least"),
        (["--alone", "4"], "and of --members there are 3"),
        (["--members", "9999"], "different networks within the limits, not 9999"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_written(
    flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(*command(tmp_path / "new", *flags)) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "new").exists()


def test_steps_that_take_longer_than_the_time_are_said_with_the_time_that_would_do() -> None:
    assert said_if_long("sandwich", 100, 0.1, 10.0, "1m") == ""
    assert said_if_long("sandwich", 1000, 0.1, 10.0, "1m") == (
        "--time 1m is short, and will not be kept: a training of 'sandwich' may take 10.0 s, and "
        "1,000 steps take about 100 s. Give --time 10m or more, or fewer --methods, --seeds or --set steps"
    )


def test_of_a_task_of_images_all_methods_are_those_that_need_no_classes() -> None:
    asked = Config(space="sr", data="digits", task="super-resolution")
    found = {entry.name for entry in entries_of((), asked)}
    assert found >= {"sortednet", "sandwich"}
    assert not found & {"rotations", "bias-loss", "elastic-student", "multi-resolution"}
    of_labels = entries_of((), Config(space="toy", data="digits"))
    assert [entry.name for entry in of_labels] == METHODS.names()
