"""What the plots show."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reports import axes, charts, curves, front_plot, load_run, scatters, tips
from reports.cards import _quality
from reports.document import as_script
from reports.records import RunTables
from search_spaces import task_of
from tests.search_spaces.test_tasks import Steps

TASK = task_of("classification")

NewRun = Callable[..., Path]


@pytest.fixture
def run(new_run: NewRun) -> RunTables:
    return load_run(new_run())


def test_stairs_hold_only_points_that_none_beats() -> None:
    points = [(3.0, 50.0), (1.0, 40.0), (2.0, 39.0), (1.0, 38.0), (4.0, 50.0), (5.0, 70.0)]
    assert front_plot.stairs(points, TASK.shown) == [(1.0, 40.0), (3.0, 50.0), (5.0, 70.0)]
    assert front_plot.stairs([], TASK.shown) == []
    assert front_plot.line_of(points, TASK.shown)[-1] == (max(x for x, _ in points), 70.0)
    assert front_plot.line_of([(1.0, 70.0), (2.0, 60.0)], TASK.shown) == [(1.0, 70.0), (2.0, 70.0)]
    assert front_plot.line_of([], TASK.shown) == []
    assert front_plot.stairs(points, Steps.shown) == [(1.0, 38.0)]


def test_the_plot_shows_measured_members_and_predicted_trials(run: RunTables) -> None:
    plot = front_plot.front_plot(run)
    assert plot is not None
    assert len(plot["points"]) == 13
    assert len(plot["trials"]) == 58
    first = plot["points"][0]
    assert first["x"] == run.front[0].deployed.latency.median_ms
    assert first["y"] == 100 * (run.front[0].deployed.search.shown or 0)
    low, high = run.front[0].deployed.search.interval or (0, 0)
    assert first["yRange"] == pytest.approx((100 * low, 100 * high))
    told = tips.tips(run)
    assert told[first["tip"]]["title"].startswith(run.front[0].key)
    assert told[plot["trials"][0]["tip"]]["title"] == f"{run.trials[0].key} · trial 0"
    assert first["tags"][0].startswith("precision:")


def test_everything_drawn_lies_within_the_axes(run: RunTables) -> None:
    plot = front_plot.front_plot(run)
    assert plot is not None
    (left, right), (bottom, top) = plot["x"]["domain"], plot["y"]["domain"]
    for item in plot["points"] + plot["trials"]:
        assert left <= item["x"] <= right
        assert bottom <= item["y"] <= top
    for point in plot["points"]:
        assert left <= point["xRange"][0] <= point["xRange"][1] <= right
        assert bottom <= point["yRange"][0] <= point["yRange"][1] <= top


def test_references_are_drawn_in_shapes_of_their_own(run: RunTables) -> None:
    shapes = {member.name: front_plot.shape(front_plot.kind(member)) for member in run.members}
    assert shapes["front member"] == "circle"
    assert len({shapes[name] for name in ("largest fp32", "largest int8", "random 1")}) == 3
    assert shapes["random 1"] == shapes["random 3"]


def test_larger_files_have_larger_markers() -> None:
    radius = front_plot.radius_of([80_000, None, 2_400_000])
    sizes = [radius(size) for size in (80_000, 300_000, 2_400_000)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[1] < sizes[2] == front_plot.LARGEST_RADIUS
    assert radius(None) == front_plot.SMALLEST_RADIUS


def test_a_limit_far_beyond_every_network_does_not_squeeze_the_plot(new_run: NewRun) -> None:
    folder = new_run()
    limit = {"text": "90ms", "metric": "latency_ms", "max": 90, "binds": False}
    (folder / "plan.json").write_text(json.dumps({"limits": [limit]}))
    plot = front_plot.front_plot(load_run(folder))
    assert plot is not None
    assert plot["x"]["domain"][1] < 10
    assert plot["limits"] == [{"value": 90.0, "text": "limit 90ms"}]


def test_one_point_still_has_a_range() -> None:
    for values in ([0.0], [3.0], [100.0]):
        low, high = axes.padded(values)
        assert low <= values[0] <= high
        assert low < high
    low, high = axes.padded([2.0], is_log=True)
    assert 0 < low < 2.0 < high


def test_ties_join_two_drawn_points(run: RunTables) -> None:
    plot = front_plot.front_plot(run)
    assert plot is not None
    ((a, b),) = plot["ties"]
    assert run.members[a].tied_with == (run.members[b].key,)


def test_long_training_logs_are_thinned_and_keep_their_end(new_run: NewRun) -> None:
    folder = new_run(trials=5, front=1)
    rows = [{"step": step, "loss": 1 / step} for step in range(1, 5_001)]
    (folder / "train_log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    plot = curves.training_plot(load_run(folder))
    assert plot is not None
    (line,) = plot["series"]
    assert len(line["points"]) <= curves.MAX_CURVE_POINTS
    assert line["points"][-1][0] == 5_000


def test_nothing_measured_draws_nothing(new_run: NewRun) -> None:
    plots = charts.plots(load_run(new_run(trials=0, front=0, references=False)))
    drawn = [name for name, plot in plots.items() if plot is not None]
    assert drawn == ["latency", "training"]


def test_a_run_with_everything_has_every_plot(new_run: NewRun) -> None:
    plots = charts.plots(load_run(new_run(extras=True)))
    assert None not in plots.values()


def test_the_data_block_cannot_end_its_script(new_run: NewRun) -> None:
    run = load_run(new_run(key=lambda key: f"<!--<script>{key}"))
    block = as_script({"tips": tips.tips(run), "plots": charts.plots(run)})
    assert "<" not in block
    assert json.loads(block)["tips"][0]["title"].startswith("<!--<script>")


def test_exported_files_stand_beside_what_the_profile_measured(run: RunTables) -> None:
    plot = scatters.latency_plot(run)
    assert plot is not None
    kinds = [dot["kind"] for dot in plot["dots"]]
    assert kinds.count("dot held-out") == 6  # not the 60 that an earlier fit had seen
    assert "dot" not in kinds
    files = sum(file.latency.median_ms is not None for m in run.members for file in m.files)
    assert kinds.count("dot exported") == files > 13


def test_trials_are_drawn_by_the_family_of_their_operators(run: RunTables) -> None:
    plot = scatters.operator_mix_plot(run)
    assert plot is not None
    assert len(plot["dots"]) == 58
    families = {dot["kind"].removeprefix("dot ") for dot in plot["dots"]}
    assert families == set(scatters.families_of(run))
    assert {"convolution", "mixed"} <= families


def test_more_right_answers_than_images_have_no_interval() -> None:
    assert _quality({"fraction": 1.2, "correct": 12, "total": 10}, TASK).interval is None
