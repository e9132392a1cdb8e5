"""Two sections of the report: how far networks are from the machine's peak, and where time goes."""

from nas.latency.peaks import is_impossible
from reports import efficiency as facts
from reports import legends, text, waterline_picture
from reports.axes import Json
from reports.markup import Html, element, join, section
from reports.records import DEPLOYED, FileEfficiency, Member, RunTables

MEANING = (
    "Ideal: multiply-adds at the peak of this runtime on this machine. Waterline: every kernel "
    "takes what its multiply-adds take at the peak or what its bytes take at the bandwidth, "
    "whichever is more. Perfectly fused: the same with the kernels of each block as one. All files "
    "were timed again, together."
)
CLASSES_MEANING = (
    "Operators are timed apart, by the runtime, which makes them slower. Covered: their time "
    "together as a share of the latency; where it is far above 100 % (!), timing an operator takes "
    "as long as the operator, and classes of many small ones look slower than they are. Attention: "
    "softmax and products of two activations. Other: activations, additions, pooling, "
    "quantization, moving data."
)
COVERED = (0.95, 1.25)
"""Shares of the latency outside of which operators' times are flagged."""


def efficiency(run: RunTables, plots: Json) -> Html | None:
    """The gap between ideal and measured latency, and the waterline of two networks."""
    rows = facts.rows_of(run)
    if not rows:
        return None
    flagged = facts.too_efficient(run)
    return section(
        "Efficiency",
        element("ul", *(element("li", line) for line in facts.sentences(run)), class_="plain"),
        element(
            "p",
            f"Faster than the peaks allow, which no network is: {', '.join(flagged)}. The machine "
            "was slower while its peaks were measured, or their convolutions are faster than the "
            "matrix product that is taken for the peak.",
            class_="warning",
        )
        if flagged
        else None,
        _gap(plots),
        _table(rows),
        element("p", MEANING, class_="note"),
        *(_picture(member, found) for member, found in _pictured(run)),
    )


def classes(run: RunTables, plots: Json) -> Html | None:
    """What the time of each network goes into, before and after compression."""
    rows = facts.classes_of(run)
    if not rows:
        return None
    slowest_ms = max(sum(file.classes.values()) for _, file in rows)
    colours = {name: f"op{i}" for i, name in enumerate(facts.NAMES)}
    keys = [element("li", element("span", class_=f"swatch {c}"), n) for n, c in colours.items()]
    bars = [
        part
        for member, file in rows
        for part in (element("dt", *_named(member, file)), _bar(file, slowest_ms, colours))
    ]
    return section(
        "Time by class of operator",
        legends.legend(keys),
        element("dl", *bars, class_="bars stacks"),
        _classes_table(rows),
        element("p", CLASSES_MEANING, class_="note"),
    )


def _gap(plots: Json) -> Html | None:
    if plots["gap"] is None:
        return None
    return join(
        legends.legend(
            [
                legends.marker("circle", "ideal front", "at ideal latency", radius=5),
                legends.marker("circle", "mark front", "at measured latency", radius=5),
            ]
        ),
        element("div", id="plot-gap", class_="plot"),
    )


def _table(rows: list[tuple[Member, FileEfficiency]]) -> Html:
    head = ("Network", "Measured ms", "Ideal ms", "Efficiency", "Waterline ms", "Fused ms", "Bound")
    body = []
    for member, found in rows:
        e = found.efficiency
        shown: object = text.MISSING if e is None else f"{e:.2f}"
        if is_impossible(e):
            shown = element("span", f"{shown} (!)", class_="warning")
        times = (found.waterline_ms, found.fused_ms)
        share = found.memory_bound_share
        cells = [
            text.significant(found.latency_ms),
            text.significant(found.ideal_ms),
            shown,
            *map(text.significant, times),
            text.MISSING if share is None else f"{100 * share:.0f} % by memory",
        ]
        body.append(_row(member, found, cells))
    return _scrolled(head, body, "Efficiency of each network")


def _classes_table(rows: list[tuple[Member, FileEfficiency]]) -> Html:
    head = ("Network", *(f"{name} ms" for name in facts.NAMES), "Together ms", "Covered")
    body = []
    for member, file in rows:
        share = facts.covered(file)
        shown: object = f"{100 * share:.0f} %"
        if not COVERED[0] <= share <= COVERED[1]:
            shown = element("span", f"{shown} (!)", class_="warning")
        times = [text.significant(ms, 2) for ms in facts.by_group(file).values()]
        together = text.significant(sum(file.classes.values()))
        body.append(_row(member, file, [*times, together, shown]))
    return _scrolled(head, body, "Time by class of operator")


def _row(member: Member, file: FileEfficiency, cells: list[object]) -> Html:
    return element(
        "tr",
        element("th", *_named(member, file), scope="row"),
        *(element("td", cell, class_="number") for cell in cells),
    )


def _named(member: Member, file: FileEfficiency) -> list[object]:
    """The key, and what the network and the file are beside that."""
    words = [member.role] if member.role else []
    words += [] if file.file == DEPLOYED else ["before quantization"]
    key = element("span", member.key, class_="key")
    return [key, " ", element("small", ", ".join(words))] if words else [key]


def _scrolled(head: tuple[str, ...], body: list[Html], name: str) -> Html:
    top = element("tr", *(element("th", cell, scope="col") for cell in head))
    table = element("table", element("thead", top), element("tbody", *body), class_="checks")
    return element("div", table, class_="scroll", tabindex=0, role="region", aria_label=name)


def _bar(file: FileEfficiency, slowest_ms: float, colours: dict[str, str]) -> Html:
    parts = [
        element(
            "span",
            class_=colours[name],
            style=f"width: {100 * ms / slowest_ms:.2f}%",
            title=f"{name} {text.significant(ms)} ms",
        )
        for name, ms in facts.by_group(file).items()
        if ms
    ]
    total = text.with_unit(text.significant(sum(file.classes.values())), "ms")
    return element(
        "dd", element("div", *parts, class_="stack"), element("span", total, class_="bar-text")
    )


def _pictured(run: RunTables) -> list[tuple[Member, FileEfficiency]]:
    """The first reference, which mostly is the largest network, and the knee or the best member."""
    rows = [(m, found) for m, found in facts.rows_of(run) if found.kernels]
    shown = run.task.shown
    front = [row for row in rows if not row[0].is_reference]
    best = [row for row in front if row[0].is_knee] or sorted(
        front, key=lambda row: shown.signed(row[0].deployed.search.shown or 0.0)
    )
    return [*[row for row in rows if row[0].is_reference][:1], *best[:1]]


def _picture(member: Member, found: FileEfficiency) -> Html:
    share = found.memory_bound_share or 0.0
    return element(
        "figure",
        element(
            "figcaption",
            element("h3", f"Waterline of {member.key}", element("small", f" {member.name}")),
            element(
                "small",
                "A bar per kernel in the order in which they run: width operations, height bytes "
                "per operation, so area is bytes. What rises above the line waits for memory: "
                f"{100 * share:.0f} % of the time.",
            ),
        ),
        waterline_picture.picture(found),
    )
