"""The command `nas report`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from nas.cli.console import make_reporter, print_front, print_table, say

EPSILONS = "1,2,4"


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run directories; several are compared.")
    ],
    filters: Annotated[
        bool,
        typer.Option(
            "--filters", help="First look for kernels that do nothing or repeat one another."
        ),
    ] = False,
    robustness: Annotated[
        bool,
        typer.Option(
            "--robustness",
            help="First ask networks about images moved against them; no security claim.",
        ),
    ] = False,
    epsilons: Annotated[
        str | None,
        typer.Option(
            help="How far --robustness moves images, in 1/255 of a pixel's range. [1,2,4]"
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Page of a comparison. [comparison.html]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Write report.html, report.md and pareto.csv of a run again, or compare finished runs."""
    from reports import build_report, front_rows
    from search_spaces import UserError

    if len(runs) > 1:
        if filters or robustness:
            raise UserError(
                "--filters and --robustness are of one run, and several were given. Give one "
                "after the other, and compare them then."
            )
        _compare(runs, out or Path("comparison.html"), as_json)
        return
    if out is not None:
        raise UserError(
            f"--out '{out}' names the page of a comparison, and one run was given: its report is "
            "written into the run. Give several runs, or leave --out away."
        )
    if epsilons is not None and not robustness:
        raise UserError(
            f"--epsilons '{epsilons}' says how far --robustness moves images. Add --robustness, or "
            "leave it out."
        )
    if filters or robustness:
        distances = _distances(epsilons or EPSILONS) if robustness else ()
        _measure(runs[0], filters, distances, as_json)
    path = build_report(runs[0])
    if as_json:
        document = {"run": str(runs[0]), "report": str(path), "rows": front_rows(runs[0])}
        say(json.dumps(document))
        return
    print_front(runs[0])
    _print_measured(runs[0], filters, robustness)
    say(f"report: {path}")


def _distances(text: str) -> tuple[float, ...]:
    """Numbers of a list with commas.

    Raises:
        UserError: If one is none, or there are none.
    """
    from nas.robustness import check_distances
    from nas.system.text import fractions

    return check_distances(fractions(text, "epsilons") or ())


def _measure(run: Path, filters: bool, distances: Sequence[float], as_json: bool) -> None:
    """Measures what the report then shows."""
    from nas.filter_diagnosis import diagnose_filters
    from nas.prepare.reopen import reopened
    from nas.robustness import measure_robustness

    reporter = make_reporter(as_json)
    try:
        trained = reopened(run, reporter)
        if filters:
            diagnose_filters(trained, reporter)
        if distances:
            measure_robustness(trained, distances, reporter)
    finally:
        reporter.close()


def _print_measured(run: Path, filters: bool, robustness: bool) -> None:
    """What was measured for this report, in short."""
    from reports import filter_lines, robustness_table
    from reports.robustness_page import LABEL

    for line in filter_lines(run) if filters else ():
        say(line)
    if robustness:
        say(f"on images that were moved against each network ({LABEL}):")
        print_table(*robustness_table(run))


def _compare(runs: Sequence[Path], out: Path, as_json: bool) -> None:
    from reports import build_comparison, compare, comparison_json, comparison_table

    comparison = compare(runs)
    page = build_comparison(comparison, out)
    if as_json:
        say(json.dumps({"page": str(page), **comparison_json(comparison)}))
        return
    print_table(*comparison_table(comparison))
    say(f"comparison: {page}")
