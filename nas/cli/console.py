"""How commands print, and where they say how far they are.

Names come from files and data of any origin: nothing that is printed steers the terminal.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from nas.cli.codes import FAILED
from nas.system.text import printable


def say(text: str, *, err: bool = False) -> None:
    """Print a line, or several; `err` is for what is no result."""
    typer.echo(printable(text), err=err)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns for people on a terminal, tabs between the cells for programs."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    header, rows = _cells(header), [_cells(row) for row in rows]
    console = Console()
    if not console.is_terminal:
        for row in [header, *rows]:
            say("\t".join(row))
        return
    table = Table(*map(escape, header))
    for column in table.columns:
        column.overflow = "fold"  # rather than cut
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)


def _cells(row: Sequence[str]) -> list[str]:
    return [printable(cell.replace("\t", " ").replace("\n", " ")) for cell in row]


def print_front(run_dir: Path) -> None:
    """The front of a finished run; on a terminal too narrow for it, some columns of it."""
    from rich.cells import cell_len
    from rich.console import Console

    from reports import front_table

    header, rows = front_table(run_dir)
    console = Console()
    widths = (max(map(cell_len, column)) for column in zip(header, *rows, strict=True))
    if not console.is_terminal or sum(widths) + 3 * len(header) + 1 <= console.width:
        print_table(header, rows)
        return
    print_table(*front_table(run_dir, is_brief=True))
    say("all columns: report.md and pareto.csv beside the report")


def print_gains(run_dir: Path) -> None:
    """What members gain against the network that was brought; nothing where none was."""
    from reports import AGAINST, gain_lines

    lines = gain_lines(run_dir)
    if lines:
        say("\n  ".join([AGAINST.lower(), *lines]))


def tell_front(
    run_dir: Path, document: Mapping[str, Any], further: Callable[[], None], *, as_json: bool
) -> None:
    """Say what a command has made of a run: the front, and what else there is; or a document.

    Ends with code 1 and the reason, if no network is on the front.

    Args:
        run_dir: Of a finished run.
        document: What is said as JSON.
        further: Says what else there is for people.
        as_json: Which of both is said.
    """
    from nas.run.directory import read_front

    if as_json:
        say(json.dumps(document))
    else:
        print_front(run_dir)
        further()
    failure = read_front(run_dir).get("failure")
    if failure:
        say(f"nas: run '{run_dir}': {failure}", err=True)
        raise typer.Exit(FAILED)


def make_reporter(as_json: bool, events_of: Path | None = None) -> Any:
    """Bars or lines; with `events_of`, a run directory, TensorBoard's event files too."""
    from rich.console import Console

    from nas.system.progress import display

    console = Console(stderr=as_json)
    if events_of is None:
        return display(console)
    from nas.run.tensorboard import WithEvents, summary_writer

    make_writer = summary_writer()  # may raise, so before bars are drawn
    return WithEvents(display(console), events_of, make_writer)
