"""The command `nas fidelity`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from nas.cli.console import make_reporter, say
from nas.cli.options import AsJson


def fidelity(
    run: Annotated[Path, typer.Argument(help="The directory of a finished run.")],
    subnets: Annotated[int, typer.Option(max=10_000, help="Networks to train alone.")] = 15,
    time: Annotated[str, typer.Option(help="For all of them: 90s, 20m, 1.5h.")] = "30m",
    as_json: AsJson = False,
) -> None:
    """Measure how far shared weights rank networks as training each alone does."""
    from nas.fidelity import fidelity as run_fidelity
    from nas.system.text import parse_time
    from reports import build_report

    seconds = parse_time(time)
    reporter = make_reporter(as_json)
    try:
        found = run_fidelity(run, subnets, seconds, reporter)
    finally:
        reporter.close()
    report = build_report(run)
    if as_json:
        say(json.dumps({**found, "report": str(report)}))
        return
    low, high = found["interval"]
    say(
        f"Kendall tau {found['kendall_tau']:.2f} (95 % interval {low:.2f} to {high:.2f}) over "
        f"{subnets} networks, each trained alone for {found['steps']} steps\nreport: {report}"
    )
