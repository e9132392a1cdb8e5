"""What a run was, and what was checked, in sentences."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from reports import load_run, summary
from reports.checks_page import change, same_answers
from reports.members_page import finetuning

NewRun = Callable[..., Path]


def test_what_was_not_measured_says_what_would_measure_it(new_run: NewRun) -> None:
    run = load_run(new_run())
    assert summary.fidelity(run) == "not measured; run: nas fidelity RUN"
    facts = dict(summary.checks(run))
    assert facts["calibration of batch norm and quantizers"] == "number of images not recorded"
    assert facts["same answers before and after export"] == "not measured"
    assert facts["bimodal latency"] == "0 of 13 deployed files timed in two modes"


def test_images_that_were_left_out_are_counted(new_run: NewRun) -> None:
    folder = new_run(trials=0, front=0)
    assert not summary.left_out(load_run(folder))
    (folder / "data.json").write_text('{"schema": 1, "corrupt": 3}')
    assert ("corrupt images, left out", "3") in summary.facts(load_run(folder))


def test_what_was_measured_is_quoted(new_run: NewRun) -> None:
    run = load_run(new_run(extras=True))
    words = "Kendall tau 0.71 (0.42 to 0.88), 15 subnets, 800 steps each, batches of 64"
    assert summary.fidelity(run) == words
    facts = dict(summary.checks(run))
    assert facts["calibration of batch norm and quantizers"] == "256 images"
    parity = "at least 99.8 % of 2000 images, in 14 networks"
    assert facts["same answers before and after export"] == parity
    assert facts["bimodal latency"] == "1 of 14 deployed files timed in two modes"
    assert same_answers(run.front[0]) == "99.8 % of 2000"


def test_the_error_of_predictions_on_exported_files_is_their_mean(new_run: NewRun) -> None:
    error = summary.files_error(load_run(new_run()))
    assert error.startswith("mean error ")
    assert " files, at worst " in error
    assert summary.files_error(load_run(new_run(trials=0, front=0))) == "not measured"


def test_quantization_is_a_difference_in_points(new_run: NewRun) -> None:
    member = load_run(new_run(precision="int8")).front[0]
    fp32, int8 = member.unquantized.test.shown, member.deployed.test.shown
    assert fp32 is not None
    assert int8 is not None
    assert float(change(member)) == round(100 * (int8 - fp32), 1)
    assert change(load_run(new_run(precision="fp32")).front[0]) == "not quantized"


def test_a_fine_tuned_network_says_where_it_comes_from(new_run: NewRun) -> None:
    members = load_run(new_run(extras=True)).front
    (tuned,) = [finetuning(member) for member in members if member.finetuned]
    assert tuned.endswith("for 600 steps (4 epochs) on digit-pairs, taught by the largest network")
    assert finetuning(next(member for member in members if not member.finetuned)) == ""
    member = next(member for member in members if member.finetuned)
    assert member.finetuned is not None
    facts = replace(member.finetuned, grown_from="0123456789ab")
    grown = finetuning(replace(member, finetuned=facts))
    assert grown.startswith("Grown from 0123456789ab and trained for 600 steps")
