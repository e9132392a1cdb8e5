"""The page of `nas bench operators`: what operators learn, what they take, and which lose."""

from nas.bench.standings import Standing, Standings
from reports import legends, operators, tips
from reports.axes import SHAPES, Json, axis, score_axis
from reports.document import document
from reports.markup import Html, element, join, numbers, section
from reports.scatters import FAMILY_SHAPES
from reports.summary import plural


def render(standings: Standings) -> str:
    """The whole page."""
    sides = standings.rows[0].sides
    plots = {f"at{side}": _plot(standings, side) for side in sides}
    drawn = {name: plot for name, plot in plots.items() if plot is not None}
    losing = [row for row in standings.rows if row.beaten_by]
    num_seeds = len(standings.rows[0].alone)
    lead = (
        f"{len(losing)} lose to another: it is better by more than chance explains, and no slower "
        "at any size of images."
        if num_seeds > 1
        else "Which lose to another is not known of one training of each: ask for more seeds."
    )
    body = join(
        element(
            "header",
            element("p", "Operators in one trunk", class_="eyebrow"),
            element("h1", f"{len(standings.rows)} operators"),
            element("p", lead, class_="lead"),
            element("p", f"Equal steps, {plural(num_seeds, 'training')} of each.", class_="quiet"),
        ),
        *(_figure(side, name) for side, name in zip(sides, plots, strict=True) if name in drawn),
        section(
            "Numbers",
            element("div", numbers(*standings.table()), class_="scroll", tabindex=0),
            element(
                "p",
                "Alone: mean and standard error over trainings. Shared: the operator in all blocks "
                "of a supernet that has all operators. Latency is of whole networks.",
                class_="note",
            ),
        ),
    )
    return document(
        title=f"{len(standings.rows)} operators", body=body, data={"tips": [], "plots": drawn}
    )


def _plot(standings: Standings, side: int) -> Json | None:
    metric = standings.metric
    dots = [_dot(row, side, standings) for row in standings.rows if row.fastest_ms(side)]
    if not dots:
        return None
    return {
        "type": "dots",
        "x": axis(f"Latency at {side} px, ms", [dot["x"] for dot in dots], may_be_log=True),
        "y": score_axis(metric, [dot["y"] for dot in dots], " alone"),
        "hasDiagonal": False,
        "dots": dots,
    }


def _dot(row: Standing, side: int, standings: Standings) -> Json:
    metric, family = standings.metric, operators.family([row.name.partition(":")[0]])
    return {
        "x": row.fastest_ms(side),
        "y": metric.factor * row.mean,
        "kind": f"dot {family}",
        "shape": SHAPES[FAMILY_SHAPES[family]],
        "r": 4.5,
        "title": row.name,
        "facts": [
            (f"{metric.axis} alone", metric.text(row.mean)),
            (f"{metric.axis} shared", metric.text(row.shared)),
            *(
                (f"Latency, {timed.precision}", tips.time(timed.latency_ms))
                for timed in row.timed
                if timed.side == side
            ),
            ("Loses to", standings.losses(row) or "none"),
        ],
        "network": [],
    }


def _figure(side: int, name: str) -> Html:
    items = [
        legends.marker(shape, f"dot {family}", family) for family, shape in FAMILY_SHAPES.items()
    ]
    return section(
        f"Images of {side} px",
        legends.legend(items),
        element("div", id=f"plot-{name}", class_="plot"),
    )
