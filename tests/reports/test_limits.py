"""Budgets: as recorded, or computed again."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reports import load_run, summary
from reports.records import LimitRow
from search_spaces import UserError, load_space

NewRun = Callable[..., Path]


def rewrite_budgets(folder: Path, budgets: list[str], *, is_space_known: bool) -> None:
    """Takes the recorded limits out of the plan, and stores a real space if asked."""
    (folder / "plan.json").write_text('{"schema": 1}')
    (folder / "config.toml").write_text(f"budget = {json.dumps(budgets)}\n")
    if is_space_known:
        space = load_space("hybrid", resolution=32, channels=1, num_classes=100)
        (folder / "space.json").write_text(json.dumps(space.to_json()))


def test_limits_of_the_plan_are_taken_as_recorded(new_run: NewRun) -> None:
    macs, latency = load_run(new_run(trials=5, front=1)).limits
    assert (macs.metric, macs.max, macs.binds, macs.largest) == ("macs", 4.5e9, False, 5.81e7)
    assert (latency.metric, latency.binds) == ("latency_ms", True)


def test_without_a_record_budgets_are_compared_with_the_stored_space(new_run: NewRun) -> None:
    folder = new_run(trials=5, front=1)
    rewrite_budgets(folder, ["4.5GFLOPs", "50%params"], is_space_known=True)
    run = load_run(folder)
    macs, params = run.limits
    assert (macs.max, macs.binds) == (4.5e9, False)
    assert (params.max, params.binds) == (0.5 * (params.largest or 0.0), True)
    assert run.num_networks is not None
    assert run.num_networks > 1_000


def test_a_latency_budget_binds_once_a_network_was_slower(new_run: NewRun) -> None:
    folder = new_run()
    rewrite_budgets(folder, ["1.2ms"], is_space_known=True)
    assert load_run(folder).limits[0].binds is True
    rewrite_budgets(folder, ["100ms"], is_space_known=True)
    assert load_run(folder).limits[0].binds is None


def test_without_a_space_budgets_are_shown_as_written(new_run: NewRun) -> None:
    folder = new_run(trials=5, front=1)
    rewrite_budgets(folder, ["2MB"], is_space_known=False)
    assert load_run(folder).limits == (LimitRow(text="2MB", metric="size_bytes"),)


def test_a_budget_that_cannot_be_read_is_named(new_run: NewRun) -> None:
    folder = new_run(trials=5, front=1)
    rewrite_budgets(folder, ["4.5GFLOP"], is_space_known=True)
    with pytest.raises(UserError, match="budgets cannot be read"):
        load_run(folder)


def test_a_budget_says_in_words_whether_it_binds() -> None:
    limit = LimitRow(text="4.5GFLOPs", metric="macs", max=4.5e9, binds=False, largest=5.81e7)
    words = "4.5GFLOPs does not bind (at most 4.5 GMACs; largest network 58.1 MMACs"
    words += ": every network is within it, so it excludes none)"
    assert summary.budget(limit) == words
    assert summary.budget(LimitRow(text="2MB", metric="size_bytes")) == "2MB"
