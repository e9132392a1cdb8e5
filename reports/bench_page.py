"""The page of `nas bench controllers`: shares of a table's front after so many evaluations."""

from collections.abc import Mapping

from nas.bench.benchmark import Benchmark, Record, mean, table_of
from reports import legends, text
from reports.axes import Json
from reports.curves import line, lines
from reports.document import document
from reports.markup import Html, element, join, numbers, section


def render(benchmark: Benchmark, records: Mapping[str, Record]) -> str:
    """The whole page."""
    plot = lines(
        [
            line(name, place, [(n, 100 * mean(found)) for n, found in record.shares.items()])
            for place, (name, record) in enumerate(records.items())
        ],
        x="Evaluations",
        y="Hypervolume, % of the table's",
        is_marked=True,
    )
    goals = ", ".join(f"{o.goal} {o.metric}" for o in benchmark.objectives)
    reference = ", ".join(
        f"{o.metric} {text.significant(value)}"
        for o, value in zip(benchmark.objectives, benchmark.reference, strict=True)
    )
    num_seeds = len(next(iter(next(iter(records.values())).shares.values())))
    body = join(
        element(
            "header",
            element("p", "Controllers on a table", class_="eyebrow"),
            element("h1", benchmark.table.space.name),
            element("p", f"{len(benchmark.table):,} networks: {goals}", class_="lead"),
            element("p", f"Reference point: {reference}. Seeds: {num_seeds}.", class_="quiet"),
        ),
        _plot(plot),
        section(
            "Numbers", element("div", numbers(*table_of(records)), class_="scroll", tabindex=0)
        ),
    )
    return document(
        title=f"Controllers on {benchmark.table.space.name}",
        body=body,
        data={"tips": [], "plots": {"growth": plot}},
    )


def _plot(plot: Json | None) -> Html:
    assert plot is not None
    items = [legends.line(one["kind"], one["name"]) for one in plot["series"]]
    return section(
        "Hypervolume over evaluations",
        legends.legend(items),
        element("div", id="plot-growth", class_="plot"),
        element(
            "p",
            "Hypervolume says how good and how complete the networks that were found are as a "
            "whole: 100 % is the table's own front.",
            class_="note",
        ),
    )
