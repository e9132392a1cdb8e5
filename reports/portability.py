"""Latency on other targets than the one of the search: in pareto.csv, and as a table of its own."""

from collections.abc import Sequence

from reports import text
from reports.axes import Json
from reports.markup import Html, element, section
from reports.records import Member, RunTables

NOTE = (
    "The same files on every target, each timed by the same protocol. Ratio: to the latency on the "
    "target of the search. Kendall tau: how alike two targets rank the networks."
)
FEWEST_TO_RANK = 3


def targets(run: RunTables) -> list[str]:
    """Other targets on which any network was timed."""
    return list(dict.fromkeys(name for m in run.members for name in m.deployed.elsewhere))


def columns(member: Member, names: Sequence[str]) -> dict[str, object]:
    """Of pareto.csv: latency and interval on each of these targets."""
    found: dict[str, object] = {}
    for name in names:
        latency = member.deployed.elsewhere.get(name)
        low, high = latency.interval_ms or (None, None) if latency else (None, None)
        found[f"latency_ms@{name}"] = latency.median_ms if latency else None
        found[f"latency_ms_low@{name}"], found[f"latency_ms_high@{name}"] = low, high
    return found


def table(run: RunTables) -> tuple[list[str], list[list[str]]]:
    """Header and a row per network, in the order of the front; no rows where nothing was timed."""
    names = targets(run)
    own = str(run.config.get("target", ""))
    header = ["key", f"{own} ms", *(head for n in names for head in (f"{n} ms", "ratio"))]
    return header, [_row(member, names) for member in run.members] if names else []


def sentences(run: RunTables) -> list[str]:
    """By target, how alike it ranks the networks and how far it is from the one of the search."""
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


def _row(member: Member, names: Sequence[str]) -> list[str]:
    own_ms = member.deployed.latency.median_ms
    cells = [member.key, text.significant(own_ms)]
    for name in names:
        latency = member.deployed.elsewhere.get(name)
        ms = latency.median_ms if latency else None
        cells += [text.significant(ms), text.significant(ms / own_ms if ms and own_ms else None)]
    return cells


def _sentence(run: RunTables, name: str) -> str:
    pairs = [
        (own_ms, other_ms)
        for member in run.members
        if (own_ms := member.deployed.latency.median_ms)
        and (latency := member.deployed.elsewhere.get(name))
        and (other_ms := latency.median_ms)
    ]
    if len(pairs) < FEWEST_TO_RANK:
        return ""
    from scipy.stats import kendalltau  # takes longer to import than to use

    ratios = sorted(other_ms / own_ms for own_ms, other_ms in pairs)
    tau = float(kendalltau(*zip(*pairs, strict=True)).statistic)
    return (
        f"{name}: {text.significant(ratios[0])} to {text.significant(ratios[-1])} of the latency, "
        f"Kendall tau {tau:.2f} on {len(pairs)} networks"
    )
