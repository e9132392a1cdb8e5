"""What the commands that search do once they know what: the search, the report, the front."""

from pathlib import Path

from nas.cli.console import make_reporter, print_gains, say, tell_front
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
