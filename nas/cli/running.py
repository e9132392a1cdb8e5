"""What the commands that search do once they know what: the search, the report, the front."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nas.cli.console import make_reporter, print_gains, print_table, say, tell_front
from nas.prepare.names import refuse_unknown
from nas.run.config import Config
from nas.run.directory import read_front
from nas.run.growth import has_front
from supernets._worker import import_ahead


def run_search(config: Config, run_dir: Path, *, as_json: bool, tensorboard: bool = False) -> None:
    """Search, or continue to, and say what was found.

    Args:
        config: What for.
        run_dir: Where.
        as_json: Whether the result is printed as JSON.
        tensorboard: Whether event files are written, too.

    Raises:
        UserError: If a name is unknown, or what was asked cannot be done.
    """
    refuse_unknown(config)
    reporter = make_reporter(as_json, events_of=run_dir if tensorboard else None)
    try:
        if not has_front(run_dir):
            import_ahead()  # beside what this process imports now
        from nas.search_flow import search
        from reports import build_report

        search(config, run_dir, reporter)
        reporter.phase("report", "writing the report")
        report = build_report(run_dir)
    finally:
        reporter.close()
    from nas.front.continuing import more_command

    def further() -> None:
        print_gains(run_dir)
        say(f"report: {report}\nmore trials: {more_command(run_dir)}")

    document = {"run": str(run_dir), "report": str(report), **read_front(run_dir)}
    tell_front(run_dir, document, further, as_json=as_json)


def tell_forecast(config: Config, run_dir: Path, *, as_json: bool, is_all: bool = False) -> None:
    """Say what a command would do, and what that takes.

    Args:
        config: What was asked.
        run_dir: Where it would be done; nothing is written there.
        as_json: Whether it is said as JSON.
        is_all: Whether nothing follows training.

    Raises:
        UserError: As the command would.
    """
    refuse_unknown(config)
    from nas.inspect.forecast import forecast
    from nas.train import refuse_search_run, refuse_supernet_run
    from reports import text

    if is_all:
        refuse_search_run(config, run_dir)
    else:
        refuse_supernet_run(run_dir)

    reporter = make_reporter(True)  # on stderr: reading images may take long
    try:
        found = forecast(config, run_dir, reporter, is_all=is_all)
    finally:
        reporter.close()
    if as_json:
        say(json.dumps(found.to_json()))
        return
    shown: dict[str, Callable[[Any], str]] = {
        "s": text.seconds,
        "ms": "{:.2f} ms".format,
        "bytes": text.size,
        "": str,
    }
    rows = [
        [line.part, line.about, shown.get(line.unit, "{:,.0f}".format)(line.value), line.basis]
        for line in found.lines
    ]
    print_table(["", "what", "value", "basis"], rows)
    for warning in found.warnings:
        say(f"warning: {warning}", err=True)
