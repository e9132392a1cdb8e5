"""Latencies on other targets stand in every form of the report, and nowhere where there are none."""

import json
from collections.abc import Callable
from pathlib import Path

from reports import page, portability
from reports.load import load_run
from reports.tables import markdown, pareto_csv, pareto_frame


def time_on_others(run: Path, factor: float) -> None:
    """The cards of a run as if its files had been timed on a second target, too."""
    for path in run.glob("*/*/card.json"):
        card = json.loads(path.read_text())
        for facts in card["files"].values():
            if "latency" in facts:
                ms = factor * facts["latency"]["median_ms"]
                there = {**facts["latency"], "median_ms": ms, "runtime": "openvino"}
                facts["elsewhere"] = {"openvino": there}
        path.write_text(json.dumps(card))


def test_other_targets_are_columns_and_a_table_with_their_rank_correlation(
    new_run: Callable[..., Path],
) -> None:
    folder = new_run()
    before = load_run(folder)
    assert portability.table(before)[1] == []
    assert "openvino" not in pareto_csv(before) + markdown(before) + page.render(before)
    time_on_others(folder, 0.5)
    run = load_run(folder)
    frame = pareto_frame(run)
    assert (frame["latency_ms@openvino"] == 0.5 * frame["latency_ms"]).all()
    header, rows = portability.table(run)
    assert header == ["key", "onnxruntime ms", "openvino ms", "ratio"]
    assert {row[-1] for row in rows} == {"0.500"}
    said = (
        f"openvino: 0.500 to 0.500 of the latency, Kendall tau 1.00 on {len(run.members)} networks"
    )
    for text in (markdown(run), page.render(run)):
        assert said in text


def test_a_budget_on_another_target_is_compared_with_latency_there(
    new_run: Callable[..., Path],
) -> None:
    from reports.limits import over_limits
    from reports.records import LimitRow

    folder = new_run()
    time_on_others(folder, 10.0)
    member = load_run(folder).front[0]
    ms = member.deployed.elsewhere["openvino"].median_ms
    assert ms is not None
    rows = [
        LimitRow(text=f"{x}", metric="latency_ms@openvino", max=x) for x in (0.9 * ms, 1.1 * ms)
    ]
    assert over_limits(member, rows) == (rows[0].text,)
