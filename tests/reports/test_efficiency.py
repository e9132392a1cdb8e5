"""How far networks are from the machine's peak stands in the report, and nowhere where it is not known."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reports import efficiency, page
from reports.load import load_run
from reports.markdown import markdown
from reports.tables import pareto_csv, pareto_frame

NewRun = Callable[..., Path]


def test_a_run_that_was_not_profiled_says_nothing_of_efficiency(new_run: NewRun) -> None:
    run = load_run(new_run())
    assert run.efficiency is None
    assert "fficiency" not in pareto_csv(run) + markdown(run)
    assert "plot-gap" not in page.render(run)
    assert efficiency.gap_plot(run) is None


def test_every_network_stands_at_ideal_and_at_measured_latency(new_run: NewRun) -> None:
    run = load_run(new_run(extras=True))
    plot = efficiency.gap_plot(run)
    assert plot is not None
    assert plot["x"]["log"]
    assert len(plot["dots"]) == 2 * len(plot["stairs"]) == 2 * len(run.members)
    for (ideal, measured), member in zip(
        (stairs["points"] for stairs in plot["stairs"]), run.members, strict=True
    ):
        assert ideal[1] == measured[1]
        expected = 1.2 if member.name == "largest fp32" else 0.3
        assert ideal[0] / measured[0] == pytest.approx(expected)


def test_what_is_faster_than_the_peaks_allow_is_flagged(new_run: NewRun) -> None:
    run = load_run(new_run(extras=True))
    (key,) = efficiency.too_efficient(run)
    assert next(m.name for m in run.members if m.key == key) == "largest fp32"
    flagged = f"Faster than the peaks allow, which no network is: {key}."
    assert flagged in markdown(run)
    assert flagged in page.render(run)


def test_the_table_has_what_the_plots_are_drawn_from(new_run: NewRun) -> None:
    frame = pareto_frame(load_run(new_run(extras=True)))
    assert (frame["ideal_ms"] / frame["latency_ms_again"] - frame["efficiency"]).abs().max() < 1e-9
    assert frame["waterline_ms"].notna().all()


def test_time_by_class_has_files_before_quantization_and_adds_up(new_run: NewRun) -> None:
    run = load_run(new_run(extras=True))
    rows = efficiency.classes_of(run)
    assert {file.file for _, file in rows} == {"model.onnx", "model.fp32.onnx"}
    for _, file in rows:
        found = efficiency.by_group(file)
        assert list(found) == list(efficiency.NAMES)
        assert sum(found.values()) == pytest.approx(sum(file.classes.values()))
        assert efficiency.covered(file) == pytest.approx(0.97)
        assert found["other"] == pytest.approx(0.07 * file.latency_ms)


def test_half_of_a_document_makes_half_of_a_section(new_run: NewRun) -> None:
    folder = new_run(extras=True)
    path = folder / "efficiency" / "efficiency.json"
    document = json.loads(path.read_text())
    document["peaks"] = {"macs_per_s": []}
    document["files"][0] = {"key": document["files"][0]["key"], "file": "model.onnx"}
    del document["files"][1]["ideal_ms"], document["files"][1]["kernels"]
    path.write_text(json.dumps(document))
    shown = page.render(load_run(folder))
    assert "at most what is not known" in shown
    assert "97 %" in shown
