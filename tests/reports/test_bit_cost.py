"""Bit cost beside measured latency: where both agree, where they do not, and where it is not known."""

import json
from collections.abc import Callable
from pathlib import Path

from reports import bit_cost, load_run
from reports.bit_cost import Cost, largest_disagreement
from reports.charts import plots
from reports.markdown import markdown
from reports.page import render
from reports.tables import pareto_csv

NewRun = Callable[..., Path]


def changed(folder: Path, change: Callable[[str, dict[str, object]], object]) -> Path:
    for number, path in enumerate(sorted(folder.rglob("card.json"))):
        card = json.loads(path.read_text())
        change(str(number), card)
        path.write_text(json.dumps(card))
    return folder


def test_the_pair_that_disagrees_most_has_the_cheaper_one_first() -> None:
    costs = [Cost("a", 1.0, 4.0), Cost("b", 2.0, 1.0), Cost("c", 4.0, 3.9), Cost("d", 9.0, 9.0)]
    found = largest_disagreement(costs)
    assert found is not None
    assert [cost.key for cost in found] == ["a", "b"]
    assert largest_disagreement(costs[1:]) is None
    assert largest_disagreement(costs[:1]) is None


def test_the_report_says_how_far_both_rank_alike(new_run: NewRun) -> None:
    run = load_run(new_run())
    said = bit_cost.sentence(run)
    assert said.startswith("Bit cost and measured latency rank 13 networks alike with Kendall tau")
    assert "They disagree most on" in said
    assert "on paper" not in said, "int8 is multiplied in int8"
    assert said.split(".")[0] in markdown(run)
    assert said in render(run)


def test_weights_that_are_multiplied_in_fp32_are_cheaper_on_paper_only(new_run: NewRun) -> None:
    def in_int4w(_: str, card: dict[str, object]) -> None:
        card["policy"] = {"stage1.precision": "int4w"}

    run = load_run(changed(new_run(), in_int4w))
    assert "Weights in int4w are multiplied in fp32 here: cheaper on paper" in bit_cost.sentence(
        run
    )


def test_networks_of_earlier_versions_have_no_bit_cost(new_run: NewRun) -> None:
    run = load_run(changed(new_run(), lambda _, card: card.pop("bit_ops")))
    assert bit_cost.sentence(run) == ""
    assert plots(run)["front"]["bits"] is None
    assert "bit cost" not in markdown(run)
    assert "bit cost" not in render(run).partition("<script")[0]
    header, first = pareto_csv(run).splitlines()[:2]
    assert first.split(",")[header.split(",").index("bit_ops")] == ""


def test_the_plot_has_bit_cost_as_its_other_axis(new_run: NewRun) -> None:
    run = load_run(new_run())
    plot = plots(run)["front"]
    for point, member in zip(plot["points"], run.members, strict=True):
        assert point["bits"] == (member.bit_ops or 0) / 1e6
    low, high = plot["bits"]["x"]["domain"]
    assert all(low < point["bits"] < high for point in plot["points"])
