"""comparison.html: the fronts of several runs in one plot, and what they come to in one table."""

from reports import front_plot, hypervolumes, legends, summary, text
from reports.axes import SHAPES, Json
from reports.comparison import Comparison, comparison_table
from reports.document import document
from reports.markup import Html, element, join, numbers, section
from reports.records import Member
from reports.tips import member_tip

RUN_SHAPES = ("circle", "square", "triangle", "diamond", "pentagon", "cross")
RADIUS = 6.0  # pixels


def render(comparison: Comparison) -> str:
    """The whole page."""
    names = " and ".join(comparison.names)
    run = comparison.runs[0]
    body = join(
        element(
            "header",
            element("p", "Comparison", class_="eyebrow"),
            element("h1", summary.title(run).partition(" on ")[2] or summary.title(run)),
            element("p", names, class_="lead"),
            element("p", "Measured on: ", summary.measured_on(run), class_="quiet"),
        ),
        _fronts(comparison),
        _table(comparison),
    )
    return document(
        title=f"Comparison: {names}", body=body, data={"tips": [], "plots": plots(comparison)}
    )


def plots(comparison: Comparison) -> Json:
    """Every front as the main plot draws one."""
    points: list[Json] = []
    stairs: list[Json] = []
    for place, (name, run) in enumerate(zip(comparison.names, comparison.runs, strict=True)):
        own = [
            _point(name, place, member)
            for member in run.front
            if front_plot.position(member) is not None
        ]
        points += own
        steps = front_plot.stairs([(point["x"], point["y"]) for point in own], run.task.shown)
        stairs.append({"kind": f"run{place}", "points": steps})
    if not points:
        return {"front": None}
    return {
        "front": {
            "type": "front",
            **front_plot.axes(points, [], comparison.task.shown, limits=[]),
            "points": points,
            "trials": [],
            "stairs": stairs,
            "ties": [],
            "limits": [],
            "floors": [],
        }
    }


def _point(name: str, place: int, member: Member) -> Json:
    tip = member_tip(member)
    return {
        **front_plot.place(member),
        **tip,
        "title": f"{name} · {tip['title']}",
        "r": RADIUS,
        "kind": f"run{place}",
        "shape": SHAPES[RUN_SHAPES[place]],
        "label": "",
        "isKnee": member.is_knee,
    }


def _fronts(comparison: Comparison) -> Html:
    shown = comparison.task.shown
    items = [
        legends.marker(RUN_SHAPES[place], f"mark run{place}", name)
        for place, name in enumerate(comparison.names)
    ]
    return section(
        "Fronts",
        legends.legend(items),
        element("div", id="plot-front", class_="plot"),
        element(
            "p",
            f"Bars: {text.interval_of(shown)} of the {shown.title} on the search split; interval "
            "of the median latency over fresh processes. Ring: the knee.",
            class_="note",
        ),
    )


def _table(comparison: Comparison) -> Html:
    header, rows = comparison_table(comparison)
    drawn = numbers(header, rows)
    note = (
        f"{comparison.task.shown.axis}: search split. {hypervolumes.MEANING} It is "
        "the share of the box between zero and the reference point "
        f"({comparison.reference.words}) that the measured front dominates. "
        "Below the time: settings that differ."
    )
    return section(
        "Numbers",
        element(
            "div", drawn, class_="scroll", tabindex=0, role="region", aria_label="Runs in numbers"
        ),
        element("p", note, class_="note"),
    )
