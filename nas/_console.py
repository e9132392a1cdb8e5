"""How commands print tables."""

from collections.abc import Sequence

import typer


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns for people on a terminal, tabs between the cells for programs."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        for row in [header, *rows]:
            typer.echo("\t".join(row))
        return
    table = Table(*map(escape, header))
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)
