"""The report of a sweep: small plots side by side that share their axes, and what they come to."""

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from reports import front_plot, legends, summary, text
from reports.axes import SHAPES, Json, axis, score_axis
from reports.document import document
from reports.hypervolumes import MEANING
from reports.markup import Html, element, join, numbers, section
from reports.records import Member
from reports.sweep import FINISHED, SEED, ComparableRuns, Setting, SweepRun, SweepTables
from reports.sweep_numbers import (
    best_table,
    failed_table,
    hypervolumes_by_run,
    mean,
    notes,
    setting_table,
    spread_text,
)
from reports.tips import member_tip
from search_spaces import Metric

RUN_SHAPES = ("circle", "square", "triangle", "diamond", "pentagon", "cross")
RADIUS, HEIGHT = 4.5, 230  # pixels
NOTE = (
    "All plots of this section have the same axes. ± and spread: sample standard deviation over "
    f"seeds. {MEANING} It is the share of the box between zero and the reference point that the "
    "measured front dominates, in {} and latency."
)
ALL = "all-runs"  # the line of the best networks of a group


def render(sweep: SweepTables) -> str:
    """The whole page."""
    groups = [_group(sweep, place) for place in range(len(sweep.groups))]
    waiting = [setting for setting in sweep.settings if setting.group is None]
    body = join(
        _header(sweep),
        *groups,
        _table("Settings without a finished run", setting_table(waiting)),
        _table("Best per budget", best_table(sweep)),
        _failed(sweep),
        _runs(sweep),
    )
    return document(
        title=f"Sweep: {sweep.name}", body=body, data={"tips": [], "plots": plots(sweep)}
    )


def _header(sweep: SweepTables) -> Html:
    counts = [f"{count} {status}" for status, count in sweep.counts.items() if count]
    varied = ", ".join(sweep.varying) or "nothing"
    return element(
        "header",
        element("h1", f"Sweep: {sweep.name}"),
        element("p", " · ".join([summary.plural(len(sweep.runs), "run"), *counts]), class_="lead"),
        element("p", f"Varied: {varied}", class_="quiet"),
    )


def _settings_of(sweep: SweepTables, group: ComparableRuns) -> dict[str, Setting]:
    """The settings of a group, by the names of their plots."""
    return {f"sweep{i}": s for i, s in enumerate(sweep.settings) if s.group is group}


def _captions(named: Mapping[str, Setting]) -> dict[str, str]:
    """Settings in words, without what all of them share."""
    seen: dict[str, set[str]] = {}
    for setting in named.values():
        for name, value in setting.values.items():
            seen.setdefault(name, set()).add(repr(value))
    shared = {name for name, values in seen.items() if len(values) == 1 and len(named) > 1}
    return {
        plot: " · ".join(
            f"{name} {text.setting(name, value)}"
            for name, value in setting.values.items()
            if name not in shared
        )
        or "all runs"
        for plot, setting in named.items()
    }


def plots(sweep: SweepTables) -> Json:
    """One plot per setting with finished runs; those of one group have the same axes."""
    marks = {seed: place for place, seed in enumerate(sweep.seeds)}
    found: Json = {}
    for group in sweep.groups:
        places = [_position(member) for run in group.runs for member in run.front]
        known = [place for place in places if place is not None]
        if not known:
            continue
        (xs, ys), shown = zip(*known, strict=True), group.task.shown
        shared = {
            "type": "dots",
            "height": HEIGHT,
            "x": axis("Latency, ms", xs, may_be_log=True),
            "y": score_axis(shown, ys, " on search"),
        }
        best = {"kind": ALL, "points": front_plot.stairs(known, shown)}
        for name, setting in _settings_of(sweep, group).items():
            drawn = [(run, marks[_seed(run)]) for run in setting.finished]
            found[name] = {
                **shared,
                "dots": [_dot(run, m, place) for run, place in drawn for m in _drawn(run)],
                "stairs": [best, *(_stairs(run, place, shown) for run, place in drawn)],
            }
    return found


def _seed(run: SweepRun) -> str:
    return text.shown(run.setting(SEED))


def _position(member: Member) -> tuple[float, float] | None:
    """Where a member stands; a time of nothing is no measurement."""
    found = front_plot.position(member)
    return found if found is not None and found[0] > 0 else None


def _drawn(run: SweepRun) -> list[Member]:
    return [member for member in run.front if _position(member) is not None]


def _stairs(run: SweepRun, place: int, shown: Metric) -> Json:
    points = [found for member in run.front if (found := _position(member)) is not None]
    return {"kind": _kind(place), "points": front_plot.stairs(points, shown)}


def _dot(run: SweepRun, member: Member, place: int) -> Json:
    found = _position(member)
    assert found is not None
    tip = member_tip(member)
    return {
        **tip,
        "title": f"{run.name} · {tip['title']}",
        "x": found[0],
        "y": found[1],
        "r": RADIUS,
        "kind": f"mark {_kind(place)}",
        "shape": SHAPES[_shape(place)],
    }


def _shape(place: int) -> str:
    return RUN_SHAPES[place % len(RUN_SHAPES)]


def _kind(place: int) -> str:
    """The colour moves on when the shapes are used up, so that 36 seeds can be told apart."""
    return f"run{(place + place // len(RUN_SHAPES)) % len(RUN_SHAPES)}"


def _group(sweep: SweepTables, place: int) -> Html:
    group = sweep.groups[place]
    named = _settings_of(sweep, group)
    captions = _captions(named)
    tables = group.runs[0].tables
    assert tables is not None
    sentences = [f"{note[0].upper()}{note[1:]}." for note in notes(group)]
    sentences.append(NOTE.format(group.task.loss.title))
    return section(
        f"Fronts: {group.name}",
        _legend(sweep, group),
        element("div", *(_plot(n, s, captions[n]) for n, s in named.items()), class_="multiples"),
        element("p", "Measured on: ", summary.measured_on(tables), ".", class_="note")
        if len(group.processors) == 1
        else None,
        element("h3", "Hypervolume per setting"),
        _scroll(f"Settings on {group.name}", setting_table([*named.values()])),
        *(element("p", sentence, class_="note") for sentence in sentences),
    )


def _legend(sweep: SweepTables, group: ComparableRuns) -> Html:
    drawn = {_seed(run) for run in group.runs}
    items = [
        legends.marker(_shape(place), f"mark {_kind(place)}", f"seed {seed}")
        for place, seed in enumerate(sweep.seeds)
        if seed in drawn and len(sweep.seeds) > 1
    ]
    return legends.legend([*items, legends.line(ALL, "best of all runs of this section")])


def _plot(name: str, setting: Setting, caption: str) -> Html:
    """One small plot below its setting and its hypervolume."""
    deviation = f" ± {spread_text(setting)}" if len(setting.hypervolumes) > 1 else ""
    share = text.with_unit(text.percent(mean(setting)) + deviation, "%")
    ended = f"{len(setting.finished)} of {summary.plural(len(setting.runs), 'run')}"
    head = element(
        "figcaption",
        element("b", caption),
        element("small", f"hypervolume {share}; {ended}"),
    )
    return element("figure", head, element("div", id=f"plot-{name}", class_="plot"))


def _table(title: str, table: tuple[Sequence[str], Sequence[Sequence[str]]]) -> Html | None:
    """A titled table; nothing if it has no rows."""
    return section(title, _scroll(title, table)) if table[1] else None


def _scroll(label: str, table: tuple[Sequence[str], Sequence[Sequence[str]]]) -> Html:
    return _region(label, numbers(*table))


def _region(label: str, table: Html, *, wraps: bool = False) -> Html:
    """A table that scrolls sideways where it is too wide, or wraps its cells."""
    names = "scroll" if wraps else "scroll steady"
    return element("div", table, class_=names, tabindex=0, role="region", aria_label=label)


def _failed(sweep: SweepTables) -> Html | None:
    title = "Runs that failed"
    table = numbers(*failed_table(sweep))
    return section(title, _region(title, table, wraps=True)) if sweep.failed else None


def _runs(sweep: SweepTables) -> Html:
    """Every run, with a link to its own report if that is there."""
    volumes = hypervolumes_by_run(sweep)
    names = ["run", "status", *sweep.varying, "networks", "hypervolume %"]
    head = element("tr", *(element("th", name, scope="col") for name in names))
    rows = [_run_row(sweep, run, volumes.get(run.name)) for run in sweep.runs]
    table = element("table", element("thead", head), element("tbody", *rows), class_="comparison")
    note = "Hypervolumes compare within one section only." if len(sweep.groups) > 1 else None
    return section(
        "All runs",
        _region("All runs", table) if rows else "No run is listed.",
        element("p", note, class_="note") if note else None,
    )


def _run_row(sweep: SweepTables, run: SweepRun, volume: float | None) -> Html:
    report = sweep.folder / "runs" / run.name / "report" / "report.html"
    link = f"runs/{quote(run.name, safe='')}/report/report.html"
    name = element("a", run.name, href=link) if report.is_file() else run.name
    cells = [
        *(text.setting(name, run.setting(name)) for name in sweep.varying),
        str(len(run.front)) if run.status == FINISHED else text.MISSING,
        text.percent(volume),
    ]
    warning = "warning" if run in sweep.failed else None
    return element(
        "tr",
        element("th", name, scope="row"),
        element("td", element("span", run.status, class_=warning)),
        *(element("td", cell, class_="number") for cell in cells),
    )
