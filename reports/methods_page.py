"""The page of `nas bench methods`: how good members of every size are after each training."""

from statistics import mean

from nas.bench.method_standings import MethodStandings
from reports import legends
from reports.axes import Json
from reports.curves import line, lines
from reports.document import document
from reports.markup import Html, element, join, numbers, section
from reports.summary import plural

MEANING = (
    "Means over seeds with their standard errors. Accuracy and loss of drawn networks with shared "
    "weights, unpruned, in full precision. 1e9 MACs: multiply-adds of members' forward passes in "
    "training. Calibration error: the mean gap between how sure answers are and how often they "
    "are right. Tau: Kendall's, of losses with shared weights and of those after training alone. "
    "What it left: of networks that a method still trained at its end, where it had given up some."
)


def render(standings: MethodStandings) -> str:
    """The whole page."""
    plot = _plot(standings)
    num_seeds = len(standings.rows[0].trainings)
    best = standings.ranked()[0].name
    loss = standings.task.loss.title
    body = join(
        element(
            "header",
            element("p", "Training methods", class_="eyebrow"),
            element("h1", f"{plural(len(standings.rows), 'method')}, {standings.of}"),
            element("p", f"The lowest mean {loss}: {best}.", class_="lead"),
            element(
                "p",
                f"Equal time, {plural(num_seeds, 'training')} of each, "
                f"{plural(len(standings.sample), 'network')} judged.",
                class_="quiet",
            ),
        ),
        _figure(plot),
        section(
            "Numbers",
            element("div", numbers(*standings.table()), class_="scroll", tabindex=0),
            element("p", MEANING, class_="note"),
        ),
    )
    return document(
        title=f"{plural(len(standings.rows), 'training method')}, {standings.of}",
        body=body,
        data={"tips": [], "plots": {"sizes": plot}},
    )


def _plot(standings: MethodStandings) -> Json:
    metric = standings.task.shown
    sizes = sorted(standings.macs.items(), key=lambda item: item[1])
    series = [
        line(
            row.name,
            place,
            [
                (
                    float(f"{macs / 1e6:.3g}"),
                    metric.factor * mean(row.of_each(metric.name, [key])),
                )
                for key, macs in sizes
            ],
        )
        for place, row in enumerate(standings.ranked())
    ]
    plot = lines(
        series,
        x="Multiply-adds, 1e6",
        y=f"{metric.axis}, {metric.unit}".rstrip(", "),
        is_marked=True,
    )
    assert plot is not None
    return plot


def _figure(plot: Json) -> Html:
    items = [legends.line(one["kind"], one["name"]) for one in plot["series"]]
    return section(
        "Members by their size",
        legends.legend(items),
        element("div", id="plot-sizes", class_="plot"),
    )
