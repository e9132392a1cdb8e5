"""report.md: the front, what was run, and what is known about how far to trust it."""

from collections.abc import Sequence

from nas.system.text import printable
from reports import (
    bit_cost,
    confusions,
    efficiency,
    gains,
    kernels_page,
    portability,
    robustness_page,
    summary,
    text,
    verdict,
)
from reports.records import AGAINST, ALTERED, RunTables
from reports.tables import table_texts


def markdown(run: RunTables) -> str:
    """report.md: what was run, the table, and what is known about how far to trust it."""
    header, rows = table_texts(run)
    shown = run.task.shown
    table = [header, ["---"] * len(header), *rows]
    parts = [
        f"# {_plain(summary.title(run))}",
        _plain(verdict.sentence(run)),
        _plain(summary.headline(run)),
        *(_plain_list(AGAINST, found) if (found := gains.lines(run)) else []),
        *(_plain_list(ALTERED, run.altered) if run.altered else []),
        "## Front and references",
        "\n".join(_table_line(row) for row in table) if rows else "No network was exported yet.",
        f"{shown.axis}: {text.interval_of(shown)}. Selection used the `search` split and measured "
        "latency only; `test` decides nothing. fp32: the same pruned network before quantization.",
        *filter(None, [summary.loss_that_ranks(run), _plain(bit_cost.sentence(run))]),
        *_efficiency(run),
        *_elsewhere(run),
        *_diagnoses(run),
        *_classes(run),
        "## What was run",
        "\n".join(f"- {_plain(name)}: {_plain(value)}" for name, value in summary.facts(run)),
    ]
    return "\n\n".join(parts) + "\n"


def _plain_list(title: str, lines: Sequence[str]) -> list[str]:
    return [title, "\n".join(f"- {_plain(line)}" for line in lines)]


def _efficiency(run: RunTables) -> list[str]:
    """How far networks are from the machine's peak, where that was measured."""
    lines = efficiency.sentences(run)
    if flagged := efficiency.too_efficient(run):
        lines.append(f"Faster than the peaks allow, which no network is: {', '.join(flagged)}.")
    return ["## Efficiency", "\n".join(f"- {_plain(line)}" for line in lines)] if lines else []


def _elsewhere(run: RunTables) -> list[str]:
    """Latency on other targets, where there were any."""
    header, rows = portability.table(run)
    if not rows:
        return []
    lines = "\n".join(f"- {_plain(line)}" for line in portability.sentences(run))
    table = [header, ["---"] * len(header), *rows]
    return [
        "## Other targets",
        *([lines] if lines else []),
        "\n".join(_table_line(row) for row in table),
        portability.NOTE,
    ]


def _diagnoses(run: RunTables) -> list[str]:
    """Trained kernels, and moved images, where they were looked at."""
    found = []
    if lines := kernels_page.sentences(run):
        found += ["## Filters", "\n".join(f"- {_plain(line)}" for line in lines)]
    header, rows = robustness_page.table(run)
    if rows:
        table = [header, ["---"] * len(header), *rows]
        found += [
            f"## Moved images ({robustness_page.LABEL})",
            "\n".join(_table_line(row) for row in table),
            robustness_page.note(run),
        ]
    return found


def _classes(run: RunTables) -> list[str]:
    """What networks of the front take for what, where their cards say it."""
    known = confusions.known(run.front)
    if not known:
        return []
    lines = "\n".join(f"- {_plain(confusions.line(*pair))}" for pair in known)
    return ["## Classes", _plain(confusions.majority(*known[0])), lines]


def _table_line(row: Sequence[str]) -> str:
    return f"| {' | '.join(_plain(cell) for cell in row)} |"


def _plain(value: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    escaped = value.replace("&", "&amp;").replace("<", "&lt;").replace("\\", "\\\\")
    for mark in "|`*_[]":
        escaped = escaped.replace(mark, f"\\{mark}")
    return printable(" ".join(escaped.split()))
