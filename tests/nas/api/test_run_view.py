"""`nas.open`: what a run directory says, for a Python program; nothing in it is changed."""

from pathlib import Path

import pandas as pd
import pytest
import torch

import nas
from nas.system.files import read_json


def test_the_front_is_that_of_pareto_csv(own_run: Path) -> None:
    run = nas.open(own_run)
    run.report()
    written = pd.read_csv(own_run / "report/pareto.csv", keep_default_na=False)
    assert list(run.front.columns) == list(written.columns)
    assert list(run.front["key"]) == list(written["key"])
    assert list(run.members) == list(dict.fromkeys(written["key"]))


def test_trials_say_what_was_measured_and_predicted(finished_run: Path) -> None:
    run = nas.open(str(finished_run))
    lines = (finished_run / "trials.jsonl").read_text().splitlines()
    assert list(run.trials["number"]) == list(range(len(lines)))
    names = {"key", "accuracy", "log_loss", "macs", "latency_predicted_ms", "failure"}
    assert names <= set(run.trials.columns)
    assert run.trials["accuracy"].between(0, 1).all()


def test_a_member_is_its_files(finished_run: Path) -> None:
    run = nas.open(finished_run)
    for key, member in run.members.items():
        assert member.key == key == member.card["key"]
        assert member.onnx.stat().st_size == member.size_bytes
        row = run.front.set_index("key").loc[key]
        assert (member.accuracy, member.latency_ms) == (row["accuracy_search"], row["latency_ms"])
    images = torch.zeros(2, 1, 16, 16)
    assert run.best().load()(images).shape == (2, 10)


def test_the_best_is_the_most_accurate_within_the_limits(finished_run: Path) -> None:
    run = nas.open(finished_run)
    front = [run.members[key] for key in read_json(finished_run / "front.json")["members"]]
    assert run.best().accuracy == max(member.accuracy or 0 for member in front)
    fastest = min(front, key=lambda member: member.latency_ms or 0)
    assert run.best(latency_ms=fastest.latency_ms, size_bytes=10**9).key == fastest.key
    with pytest.raises(nas.UserError, match=rf"within size_bytes=1\. There are: .*{fastest.key}"):
        run.best(size_bytes=1)


def test_a_run_that_is_not_finished_says_so(own_run: Path) -> None:
    (own_run / "front.json").unlink()
    run = nas.open(own_run)
    assert not run.members
    assert len(run.trials)
    with pytest.raises(nas.UserError, match="no network on its front yet"):
        run.best()
    with pytest.raises(nas.UserError, match="this is not a run directory"):
        nas.open(own_run / "front")


def test_a_report_is_made_where_there_is_none(own_run: Path) -> None:
    page = nas.open(own_run).report()
    assert page == own_run / "report/report.html"
    page.write_text("kept")
    assert nas.open(own_run).report().read_text() == "kept"


def test_a_notebook_shows_plot_and_table(finished_run: Path) -> None:
    run = nas.open(finished_run)
    shown = run._repr_html_()
    assert shown.startswith("<iframe")
    assert "plot-front" in shown
    assert all(key in shown for key in run.members)
    assert shown.count("<") == 2  # the page inside is an attribute
    assert repr(run) == f"Run('{finished_run}')"


def test_what_the_package_offers_is_listed() -> None:
    assert set(nas.__all__) <= set(dir(nas))
    with pytest.raises(AttributeError, match="no attribute 'serach'"):
        _ = nas.serach
