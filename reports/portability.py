"""Latency on other targets than the one of the search: in pareto.csv, and as a table of its own.

Of cards, where the search had several targets, and of portability.json, where `nas profile RUN` has
timed the same files elsewhere: on other runtimes, threads and batches. The latter times them again
on the run's own target, too, and ratios are to that.
"""

from collections.abc import Sequence
from dataclasses import replace

from reports import text
from reports.axes import Json
from reports.cards import read_latency
from reports.documents import Json as Document
from reports.documents import table_at
from reports.markup import Html, element, section
from reports.records import DEPLOYED, Latency, Member, RunTables

NOTE = (
    "The same files on every target, each timed by the same protocol; ms are those of a call, and "
    "with batch=8 that is eight images. Ratio: to the latency on the target of the search, per "
    "image. Kendall tau: how alike two targets rank the networks. The winner is the fastest one."
)
FEWEST_TO_RANK = 3


def targets(run: RunTables) -> list[str]:
    """Other targets on which any network was timed."""
    return list(dict.fromkeys(name for m in run.members for name in m.deployed.elsewhere))


def timed_elsewhere(member: Member, document: Document) -> Member:
    """The network with latencies that `nas profile RUN` has measured of its deployed file."""
    own = document.get("own")
    rows = {
        target: table_at(table_at(table_at(document, "targets"), target), member.key)
        for target in table_at(document, "targets")
    }
    found = {target: read_latency(row) for target, row in rows.items()}
    found = {target: latency for target, latency in found.items() if latency.median_ms}
    again = found.pop(own, Latency()) if isinstance(own, str) else Latency()
    if not found:
        return member
    return replace(
        member,
        files=tuple(
            replace(file, again=again, elsewhere={**file.elsewhere, **found})
            if file.name == DEPLOYED
            else file
            for file in member.files
        ),
    )


def columns(member: Member, names: Sequence[str]) -> dict[str, object]:
    """Of pareto.csv: latency and interval on each of these targets."""
    found: dict[str, object] = {}
    for name in names:
        latency = member.deployed.elsewhere.get(name)
        low, high = latency.interval_ms or (None, None) if latency else (None, None)
        found[f"latency_ms@{name}"] = latency.median_ms if latency else None
        found[f"latency_ms_low@{name}"], found[f"latency_ms_high@{name}"] = low, high
    return found


def texts(member: Member, names: Sequence[str]) -> list[str]:
    """Latency on each of these targets, for tables of the front."""
    found = [member.deployed.elsewhere.get(name) for name in names]
    return [text.significant(latency.median_ms if latency else None) for latency in found]


def heads(names: Sequence[str]) -> list[str]:
    """Of these columns."""
    return [f"{name} ms" for name in names]


def table(run: RunTables) -> tuple[list[str], list[list[str]]]:
    """Header and a row per network, in the order of the front; no rows where nothing was timed."""
    names = targets(run)
    own = str(run.config.get("target", ""))
    header = ["key", f"{own} ms", *(head for n in names for head in (f"{n} ms", "ratio"))]
    return header, [_row(member, names) for member in run.members] if names else []


def sentences(run: RunTables) -> list[str]:
    """By target, how alike it ranks the networks, how far it is from the search's, who wins."""
    return [line for name in targets(run) if (line := _sentence(run, name))]


def shown(run: RunTables, plots: Json) -> Html | None:
    """The section of the page; None where there are no other targets."""
    header, rows = table(run)
    if not rows:
        return None
    head = element("tr", *(element("th", name, scope="col") for name in header))
    body = [
        element(
            "tr",
            element("th", key, scope="row"),
            *(element("td", cell, class_="number") for cell in cells),
        )
        for key, *cells in rows
    ]
    drawn = element("table", element("thead", head), element("tbody", *body), class_="checks")
    return section(
        "Other targets",
        element("ul", *(element("li", line) for line in sentences(run)), class_="plain"),
        element(
            "div", drawn, class_="scroll", tabindex=0, role="region", aria_label="Other targets"
        ),
        element("p", NOTE, class_="note"),
    )


def _here(member: Member) -> Latency:
    """On the target of the search: measured together with the others, if it was."""
    deployed = member.deployed
    return deployed.again if deployed.again.median_ms else deployed.latency


def _ratio(here: Latency, there: Latency | None) -> float | None:
    """Of the time per image."""
    if there is None or not there.median_ms or not here.median_ms:
        return None
    return (there.median_ms / (there.batch or 1)) / (here.median_ms / (here.batch or 1))


def _row(member: Member, names: Sequence[str]) -> list[str]:
    here = _here(member)
    cells = [member.key, text.significant(here.median_ms)]
    for name in names:
        latency = member.deployed.elsewhere.get(name)
        cells.append(text.significant(latency.median_ms if latency else None))
        cells.append(text.significant(_ratio(here, latency)))
    return cells


def _sentence(run: RunTables, name: str) -> str:
    timed = [
        (member, here, there)
        for member in run.members
        if (here := _here(member)).median_ms
        and (there := member.deployed.elsewhere.get(name))
        and there.median_ms
    ]
    if len(timed) < FEWEST_TO_RANK:
        return ""
    from scipy.stats import kendalltau  # takes longer to import than to use

    ratios = sorted(_ratio(here, there) or 0.0 for _, here, there in timed)
    pairs = [(here.median_ms, there.median_ms) for _, here, there in timed]
    tau = float(kendalltau(*zip(*pairs, strict=True)).statistic)
    return (
        f"{name}: {text.significant(ratios[0])} to {text.significant(ratios[-1])} of the latency, "
        f"Kendall tau {tau:.2f} on {len(pairs)} networks; {_winner(timed)}{_beaten(timed)}"
    )


Timed = Sequence[tuple[Member, Latency, Latency]]


def _winner(timed: Timed) -> str:
    here = min(timed, key=lambda row: row[1].median_ms or 0.0)
    there = min(timed, key=lambda row: row[2].median_ms or 0.0)
    if here[0].key == there[0].key:
        return f"the winner is {here[0].key} on both"
    is_sure = _is_faster(here[1], there[1]) and _is_faster(there[2], here[2])
    return (
        f"the winner changes from {here[0].key} to {there[0].key}"
        f"{'' if is_sure else ', though their intervals overlap'}"
    )


def _beaten(timed: Timed) -> str:
    """Front members that another one is better and faster than there, but not here."""
    keys = [_beaten_on(timed, place) for place in (1, 2)]
    lost = [key for key in keys[1] if key not in keys[0]]
    if not lost:
        return ""
    them = "is" if len(lost) == 1 else "are"
    return f"; {', '.join(lost)} {them} on the front here, and beaten in both there"


def _beaten_on(timed: Timed, place: int) -> list[str]:
    front = [row for row in timed if not row[0].is_reference]
    return [row[0].key for row in front if any(_beats(other, row, place) for other in front)]


def _beats(
    one: tuple[Member, Latency, Latency], other: tuple[Member, Latency, Latency], place: int
) -> bool:
    """Whether one is surely faster, and no worse in the shown metric."""
    scores = [row[0].deployed.search.shown for row in (one, other)]
    if scores[0] is None or scores[1] is None:
        return False
    signed = one[0].task.shown.signed
    a, b = (row[1] if place == 1 else row[2] for row in (one, other))
    return signed(scores[0]) <= signed(scores[1]) and _is_faster(a, b)


def _is_faster(one: Latency, other: Latency) -> bool:
    """Whether all of its interval is below that of the other."""
    if one.interval_ms is None or other.interval_ms is None:
        return False
    return one.interval_ms[1] < other.interval_ms[0]
