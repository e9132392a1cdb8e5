"""The command `nas expand`."""

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.console import make_reporter, print_table, say, tell_front
from nas.cli.options import AsJson, Device, Plugins


def expand(
    run: Annotated[Path, typer.Argument(help="The directory of a finished run.")],
    key: Annotated[
        str, typer.Option(help="Which network is the first: its key in the report, or a beginning.")
    ],
    sizes: Annotated[
        int, typer.Option(min=2, max=32, help="Networks in all, with the first one.")
    ] = 3,
    epochs: Annotated[
        float,
        typer.Option(min=0.01, max=100_000, help="Passes over the training images, of each size."),
    ] = 5.0,
    threshold: Annotated[
        float,
        typer.Option(
            min=0, max=1e9, help="It expands where its score rises to more than this many times."
        ),
    ] = 1.0,
    device: Device = None,
    plugin: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Train one network that grows meanwhile: blocks and channels where they help most, with files
    of every size."""
    from nas.expand import Expanding
    from nas.expand import expand as run_expand
    from nas.finalists.recipe import Recipe
    from reports import build_report
    from search_spaces import load_plugins

    expanding = Expanding(sizes=sizes, threshold=threshold)
    load_plugins(plugin or ())
    reporter = make_reporter(as_json)
    try:
        found = run_expand(
            *(run, key, Recipe(epochs=epochs), expanding, reporter),
            plugins=plugin or (),
            device=device or "",
        )
    finally:
        reporter.close()
    report = build_report(run)
    rows = [
        [
            row["key"],
            row["expanded"],
            f"{row['parameters']:,}",
            "yes" if row["on_front"] else row["reason"],
        ]
        for row in found["sizes"]
    ]

    def further() -> None:
        print_table(["size", "more", "parameters", "on the front"], rows)
        say(f"report: {report}")

    tell_front(run, {**found, "report": str(report)}, further, as_json=as_json)
