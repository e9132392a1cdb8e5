"""The command `nas export`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from nas.cli.console import make_reporter, print_table, say
from nas.cli.options import AsJson


def export(
    run: Annotated[Path, typer.Argument(help="The directory of a run of `nas search` or `train`.")],
    key: Annotated[
        str, typer.Option(help="Which network: its key in the report, or how that begins.")
    ] = "",
    arch: Annotated[
        str,
        typer.Option(
            metavar="FILE.json|JSON",
            help="Or its options by names of choices, flat or in `arch` and `policy` as in a card.",
        ),
    ] = "",
    out: Annotated[
        Path | None, typer.Option(help="Folder for a copy of the files. [RUN/exports/<key>]")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the files of any network of a trained supernet: exported, timed and verified."""
    from nas.export import export as run_export
    from nas.front.card import read_card
    from nas.system.files import given_object
    from search_spaces import UserError

    if bool(key) == bool(arch):
        raise UserError(
            "say which network to export: give either --key, of a trial or a member of the front, "
            "or --arch, a JSON file of options by the names of choices."
        )
    document = given_object(arch, "--arch") if arch else None
    reporter = make_reporter(as_json)
    try:
        folder = run_export(run, reporter, key=key, arch=document, out=out)
    finally:
        reporter.close()
    card = read_card(folder / "card.json")
    if as_json:
        say(json.dumps({"folder": str(folder), "card": card}))
        return
    print_table(*_table(card))
    say(f"files of {card['key']}: {folder}")


def _table(card: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """A row per file."""
    from nas.problem.budget import format_value
    from search_spaces import task_in

    task, rows = task_in(card), []
    for name, facts in card["files"].items():
        shown = [name, format_value("size_bytes", facts["bytes"])]
        if "latency" in facts:
            splits = [facts["accuracy"].get(split) for split in ("search", "test")]
            shown.append(facts["precision"])
            values = [
                task.metrics_of(split)[task.shown.name] if split else None for split in splits
            ]
            shown += ["" if value is None else task.shown.text(value) for value in values]
            shown.append(format_value("latency_ms", facts["latency"]["median_ms"]))
        rows.append(shown + [""] * (6 - len(shown)))
    title = f"{task.shown.title} (search)"
    return ["file", "size", "precision", title, "test", "latency"], rows
