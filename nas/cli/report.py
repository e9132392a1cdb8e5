"""The command `nas report`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from nas.cli.console import print_front, print_table, say


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run directories; several are compared.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Page of a comparison. [comparison.html]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Write report.html, report.md and pareto.csv of a run again, or compare finished runs."""
    from reports import build_report, front_rows
    from search_spaces import UserError

    if len(runs) > 1:
        _compare(runs, out or Path("comparison.html"), as_json)
        return
    if out is not None:
        raise UserError(
            f"--out '{out}' names the page of a comparison, and one run was given: its report is "
            "written into the run. Give several runs, or leave --out away."
        )
    path = build_report(runs[0])
    if as_json:
        document = {"run": str(runs[0]), "report": str(path), "rows": front_rows(runs[0])}
        say(json.dumps(document))
        return
    print_front(runs[0])
    say(f"report: {path}")


def _compare(runs: Sequence[Path], out: Path, as_json: bool) -> None:
    from reports import build_comparison, compare, comparison_json, comparison_table

    comparison = compare(runs)
    page = build_comparison(comparison, out)
    if as_json:
        say(json.dumps({"page": str(page), **comparison_json(comparison)}))
        return
    print_table(*comparison_table(comparison))
    say(f"comparison: {page}")
