"""Latencies on other targets stand in every form of the report, and nowhere where there are none."""

import json
from collections.abc import Callable
from pathlib import Path

from reports import page, portability
from reports.load import load_run
from reports.markdown import markdown
from reports.tables import front_table, pareto_csv, pareto_frame


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


def measured_again(run: Path, there: dict[str, float]) -> None:
    """As if `nas profile RUN` had timed the front with two threads: by key how many times as long."""
    cards = [json.loads(path.read_text()) for path in sorted(run.glob("*/*/card.json"))]
    latencies = {card["key"]: card["files"]["model.onnx"]["latency"] for card in cards}
    elsewhere = {
        key: {
            **latency,
            "threads": 2,
            "median_ms": there.get(key, 1.0) * latency["median_ms"],
            "interval_ms": [there.get(key, 1.0) * ms for ms in latency["interval_ms"]],
        }
        for key, latency in latencies.items()
    }
    document = {
        "schema": 1,
        "own": "onnxruntime",
        "targets": {"onnxruntime": latencies, "onnxruntime:threads=2": elsewhere},
    }
    path = run / "portability" / "portability.json"
    path.parent.mkdir()
    path.write_text(json.dumps(document))


def test_the_winner_changes_where_another_network_is_the_fastest(
    new_run: Callable[..., Path],
) -> None:
    folder = new_run(references=False)
    first, *_, last = load_run(folder).front
    measured_again(folder, {last.key: 0.01, first.key: 10.0})
    run = load_run(folder)
    (sentence,) = portability.sentences(run)
    assert f"the winner changes from {first.key} to {last.key}" in sentence
    assert "overlap" not in sentence
    assert f"{first.key}" in sentence.partition("; the winner")[2].partition("is on the front")[0]
    frame = pareto_frame(run)
    assert "latency_ms@onnxruntime:threads=2" in frame
    assert "latency_ms@onnxruntime" not in frame


def test_a_batch_compares_by_the_image(new_run: Callable[..., Path]) -> None:
    folder = new_run()
    measured_again(folder, {})
    path = folder / "portability" / "portability.json"
    document = json.loads(path.read_text())
    here = document["targets"]["onnxruntime"]
    eight = {key: {**ms, "batch": 8, "median_ms": 4 * ms["median_ms"]} for key, ms in here.items()}
    document["targets"] = {"onnxruntime": here, "onnxruntime:batch=8": eight}
    path.write_text(json.dumps(document))
    header, rows = portability.table(load_run(folder))
    assert header[2] == "onnxruntime:batch=8 ms"
    assert {row[-1] for row in rows} == {"0.500"}
    assert "on both" in portability.sentences(load_run(folder))[0]


def test_tables_of_the_front_have_a_column_for_every_target(new_run: Callable[..., Path]) -> None:
    folder = new_run()
    for is_brief in (False, True):
        assert "openvino ms" not in front_table(folder, is_brief=is_brief)[0]
    time_on_others(folder, 0.5)
    for is_brief in (False, True):
        header, rows = front_table(folder, is_brief=is_brief)
        assert "openvino ms" in header
        assert {len(row) for row in rows} == {len(header)}


def test_energy_has_a_column_where_the_machine_counts_it(new_run: Callable[..., Path]) -> None:
    folder = new_run()
    assert "mJ" not in front_table(folder)[0]
    for path in folder.glob("*/*/card.json"):
        card = json.loads(path.read_text())
        for facts in card["files"].values():
            if "latency" in facts:
                facts["latency"]["energy_mj"] = 2.5
        path.write_text(json.dumps(card))
    run = load_run(folder)
    assert set(pareto_frame(run)["energy_mj"]) == {2.5}
    assert "2.50 mJ" in page.render(run)
    assert "mJ" in front_table(folder)[0]
