"""report.html: one offline file made of sections.

A section is a function from the run and its plots to markup; SECTIONS is the page from top to
bottom.
"""

from collections.abc import Callable, Sequence

from reports import (
    background_page,
    bit_cost,
    charts,
    checks_page,
    confusion_page,
    efficiency_page,
    evidence_page,
    filters,
    front_plot,
    gains,
    kernels_page,
    legends,
    members_page,
    pixels_page,
    portability,
    robustness_page,
    summary,
    text,
    verdict,
)
from reports.axes import Json
from reports.document import document
from reports.markup import Html, element, join, section
from reports.records import AGAINST, ALTERED, UNTUNED, Member, RunTables
from reports.tips import tips

Section = Callable[[RunTables, Json], Html | None]


def embedded(run: RunTables) -> str:
    """Plot, table and networks of the front as an element of another page, such as a notebook."""
    # NOTE: without this base, a link inside of the frame would lead to the page around it.
    page = render(run, IN_OTHER_PAGES).replace("<head>", '<head><base href="about:srcdoc">', 1)
    style = "width: 100%; height: 720px; border: 0"
    return element("iframe", srcdoc=page, title=f"Front: {summary.title(run)}", style=style)


def render(run: RunTables, sections: Sequence[Section] | None = None) -> str:
    """The page of these sections, of all if there are none."""
    plots = charts.plots(run)
    return document(
        title=f"Pareto report: {summary.title(run)}",
        body=join(*(part(run, plots) for part in sections or SECTIONS)),
        data={"tips": tips(run), "plots": plots},
    )


def header(run: RunTables, plots: Json) -> Html:
    """What this is, and whether the search decided anything."""
    return element(
        "header",
        element("p", "Pareto report", class_="eyebrow"),
        element("h1", summary.title(run)),
        element("p", *_verdict(run), class_="lead"),
        element("p", summary.headline(run), class_="lead"),
        _gains(run),
        element("p", "Measured on: ", summary.measured_on(run), class_="quiet"),
        _altered(run),
    )


def _gains(run: RunTables) -> Html | None:
    """What members gain against the network that was brought."""
    found = gains.lines(run)
    if not found:
        return None
    lines = element("ul", *(element("li", line) for line in found), class_="plain")
    return element("div", element("p", AGAINST, class_="lead"), lines)


def _altered(run: RunTables) -> Html | None:
    if not run.altered:
        return None
    lines = element("ul", *(element("li", line) for line in run.altered), class_="plain")
    return element("div", element("p", ALTERED, class_="warning"), lines, role="alert")


def _verdict(run: RunTables) -> tuple[Html, str]:
    claim, colon, evidence = verdict.sentence(run).partition(":")
    return element("b", claim), colon + evidence


def tiles(run: RunTables, plots: Json) -> Html | None:
    """The members that people ask for first."""
    timed = [m for m in run.front if m.deployed.latency.median_ms is not None]
    scored = [m for m in run.front if m.deployed.search.shown is not None]
    sized = [m for m in run.front if m.deployed.bytes is not None]
    picks = [
        ("most accurate", min(scored, key=_badness, default=None)),
        ("knee", next((m for m in run.front if m.is_knee), None)),
        ("fastest", timed[0] if timed else None),
        ("smallest file", min(sized, key=lambda m: m.deployed.bytes or 0, default=None)),
    ]
    merits: dict[str, list[str]] = {}
    for merit, member in picks:
        if member is not None:
            merits.setdefault(member.key, []).append(merit)
    by_key = {member.key: member for member in run.front}
    cards = [_tile(", ".join(names), by_key[key]) for key, names in merits.items()]
    return element("div", *cards, class_="tiles") if cards else None


def _badness(member: Member) -> float:
    return member.task.shown.signed(member.deployed.search.shown or 0.0)


def _tile(name: str, member: Member) -> Html:
    deployed, shown = member.deployed, member.task.shown
    score = text.score(deployed.search.shown, shown)
    return element(
        "div",
        element("p", name.capitalize(), class_="tile-name"),
        element(
            "p",
            element("b", text.with_unit(score, shown.unit)),
            element("b", text.with_unit(text.significant(deployed.latency.median_ms), "ms")),
            element("b", text.size(deployed.bytes)),
        ),
        element("a", member.key, href=f"#{members_page.anchor(member)}", class_="key"),
        class_="tile",
    )


def front(run: RunTables, plots: Json) -> Html:
    """The main plot with its legend and what it does not show."""
    title = f"{run.task.shown.axis} against measured latency"
    if plots["front"] is None:
        plot = element("p", "No network has a measured or predicted latency yet.", class_="empty")
        return section(title, plot)
    has_axes = plots["front"]["bits"] is not None
    return section(
        f"{title}, or bit cost" if has_axes else title,
        filters.bar(run),
        filters.axes() if has_axes else None,
        _legend(run),
        element("div", id="plot-front", class_="plot"),
        element("noscript", element("p", "The plots need JavaScript; the table does not.")),
        element("p", *_plot_notes(run), class_="note"),
    )


def _legend(run: RunTables) -> Html:
    kinds = {front_plot.kind(member): member for member in run.members}
    names = {"front": "front", "random": "random", "other": "other reference"}
    tuned = {front_plot.kind(member) for member in run.members if not member.is_untuned}
    items = [
        legends.marker(
            front_plot.shape(kind),
            f"mark {kind}",
            names.get(kind, member.name) + ("" if kind in tuned else f", {UNTUNED}"),
        )
        for kind, member in kinds.items()
    ]
    if run.trials:
        items.append(legends.marker("circle", "trial", "trial: latency predicted"))
    sizes = sorted(m.deployed.bytes for m in run.members if m.deployed.bytes)
    if sizes:
        radius = front_plot.radius_of(sizes)
        for num_bytes in dict.fromkeys([sizes[0], sizes[-1]]):
            label = text.size(num_bytes)
            items.append(legends.marker("circle", "size", label, radius=radius(num_bytes)))
    return legends.legend(items)


def _plot_notes(run: RunTables) -> list[str]:
    shown = run.task.shown
    notes = [
        f"Bars: {text.interval_of(shown)} of the {shown.title} on the search split; interval of "
        "the median latency over fresh processes. Marker size: bytes of the deployed file. "
    ]
    notes += [f"{said} " for said in [summary.loss_that_ranks(run)] if said]
    if bit_cost.is_known(run):
        notes.append(f"{bit_cost.MEANING}. {bit_cost.sentence(run)} ")
    images = run.images_per_score
    if run.trials:
        scored = f" and their {shown.title} is that of {images} images" if images else ""
        notes.append(f"Trials stand at their predicted latency{scored}. ")
    if len(run.front) > 1:
        side = "below" if shown.goal == "maximize" else "above"
        notes.append(
            f"Front members {side} the line are there for their size or their "
            f"{run.task.loss.title}. "
            "≈ joins members whose paired latencies cannot be told apart. "
        )
    if any(member.finetuned for member in run.front):
        notes.append(
            "Fine-tuned members were trained further; trials, and networks marked as "
            f"{UNTUNED}, have shared weights: their {shown.title} does not compare. "
        )
    hidden = sum(t.failure is None and t.latency_predicted_ms is None for t in run.trials)
    if hidden:
        notes.append(f"Without a latency prediction, not drawn: {hidden} trials. ")
    return notes


def table(run: RunTables, plots: Json) -> Html:
    """The front and the references in numbers."""
    if not run.members:
        empty = element("p", "No network was exported yet.", class_="empty")
        return section("Front and references", empty)
    return section(
        "Front and references",
        members_page.table(run.members, run.task.shown),
        element(
            "p",
            "Selection used the search split and measured latency only; test stands beside it and "
            "decides nothing. fp32: the same pruned network before quantization. Policy: precision "
            "of each stage, with the share of its channels that was removed.",
            _meaning_of_gains(run),
            summary.meaning_of_patterns(run),
            class_="note",
        ),
    )


def _meaning_of_gains(run: RunTables) -> str | None:
    if gains.brought(run.members) is None:
        return None
    return (
        " Against brought: the deployed file against the network as it was brought, in fp32; the "
        f"change is of {run.task.shown.title} on the search split, with the 95 % interval of the "
        "difference of two networks that answer other images, which is wider than that of these."
    )


def networks(run: RunTables, plots: Json) -> Html | None:
    """Every network stage by stage."""
    if not run.members:
        return None
    return section("Networks", members_page.networks(run.members))


SECTIONS: Sequence[Section] = (
    header,
    tiles,
    front,
    table,
    networks,
    confusion_page.classes,
    pixels_page.pixels,
    evidence_page.search_progress,
    checks_page.checks,
    efficiency_page.efficiency,
    efficiency_page.classes,
    portability.shown,
    kernels_page.filters,
    robustness_page.robustness,
    evidence_page.predictions,
    evidence_page.training,
    background_page.background,
)

IN_OTHER_PAGES: Sequence[Section] = (front, table, networks)
