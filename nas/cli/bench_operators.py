"""The command `nas bench operators`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from nas.cli.console import make_reporter, print_table, say
from nas.cli.options import RUNTIME, AsJson, Data, DataDir, Plugins, Resolution
from nas.system.text import words


def bench_operators(
    operators: Annotated[
        str,
        typer.Option(
            help="Operators with options, with commas: 'convnext,window:num_heads=4'. [all]"
        ),
    ] = "",
    data: Data = None,
    data_dir: DataDir = None,
    resolution: Resolution = None,
    time: Annotated[str, typer.Option(help="For all of it: 20m, 2h.")] = "2h",
    seeds: Annotated[int, typer.Option(min=1, max=100, help="Trainings of each alone.")] = 3,
    sides: Annotated[
        str, typer.Option(help="Images of networks that are timed, pixels, with commas.")
    ] = "32,96,224",
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    target: Annotated[str, typer.Option(help=RUNTIME)] = "onnxruntime",
    plugin: Plugins = None,
    out: Annotated[Path, typer.Option(help="Folder of trainings, numbers and page.")] = Path(
        "runs/operators"
    ),
    as_json: AsJson = False,
) -> None:
    """Train every operator in the same trunk for equal steps, alone and shared, and time it."""
    from nas.bench.tournament import Tournament
    from nas.run.config import make_config
    from reports import build_operators

    settings = {
        "data": data,
        "data_dir": data_dir,
        "resolution": resolution,
        "time": time,
        "seed": seed,
        "target": target,
        "plugins": tuple(plugin or ()),
    }
    config = make_config({name: value for name, value in settings.items() if value is not None})
    reporter = make_reporter(as_json)
    try:
        standings = Tournament(
            config=config,
            operators=words(operators) or (),
            seeds=seeds,
            sides=sides_of(sides),
            out=out,
            reporter=reporter,
        ).standings()
    finally:
        reporter.close()
    page = build_operators(standings, out / "operators.html")
    if as_json:
        say(json.dumps({"folder": str(out), "page": str(page), **standings.to_json()}))
        return
    print_table(*standings.table())
    say(f"page: {page}")


def sides_of(text: str) -> tuple[int, ...]:
    """Sizes of images, in the order given.

    Raises:
        UserError: If one is no size, or there are none.
    """
    from search_spaces import UserError, pyramid

    found = [int(word) if word.isdecimal() else 0 for word in words(text) or ()]
    try:
        for side in found or [0]:
            pyramid(side)
    except UserError as error:
        why = str(error).partition(". ")[0]
        raise UserError(
            f"sides '{text:.40}' are not sizes of images: {why}. Write 32,96,224."
        ) from error
    return tuple(dict.fromkeys(found))
