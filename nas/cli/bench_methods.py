"""The command `nas bench methods`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from nas.cli.console import make_reporter, print_table, say
from nas.cli.options import (
    AsJson,
    Budgets,
    Data,
    DataDir,
    Device,
    Further,
    Plugins,
    Resolution,
    SpaceName,
    TaskName,
    Threads,
    images_of,
    settings_of,
)
from nas.system.text import words

Methods = Annotated[
    str,
    typer.Option(
        help="Training methods with settings, with commas: "
        "'sandwich,delayed:largest_share=0.3'. [all that the task can have]"
    ),
]
Members = Annotated[
    int, typer.Option(min=1, max=10_000, help="Networks that are drawn to be judged.")
]
Images = Annotated[
    int, typer.Option(min=1, max=1_000_000, help="Of the search split, to judge on.")
]
Alone = Annotated[
    int,
    typer.Option(min=0, max=10_000, help="Of these networks, how many to train alone, for ranks."),
]


def bench_methods(
    methods: Methods = "",
    space: SpaceName = None,
    plugin: Plugins = None,
    budget: Budgets = None,
    data: Data = None,
    task: TaskName = None,
    data_dir: DataDir = None,
    resolution: Resolution = None,
    time: Annotated[str, typer.Option(help="For all of it: 20m, 2h.")] = "30m",
    seeds: Annotated[int, typer.Option(min=1, max=100, help="Trainings of each.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="The first one; also of the data.")] = 0,
    members: Members = 20,
    images: Images = 1000,
    alone: Alone = 0,
    threads: Threads = None,
    device: Device = None,
    further: Further = None,
    out: Annotated[Path, typer.Option(help="Folder of trainings, numbers and page.")] = Path(
        "runs/methods"
    ),
    as_json: AsJson = False,
) -> None:
    """Train supernets of one space by different methods in equal time, and judge members."""
    from nas.bench.method_entries import entries_of
    from nas.bench.methods import MethodsBenchmark
    from nas.run.config import make_config
    from reports import build_methods

    flags: Mapping[str, Any] = {
        "space": space,
        "plugins": tuple(plugin or ()),
        "budget": tuple(budget or ()),
        **images_of(data, task, data_dir, None, resolution, skip_corrupt=False),
        "time": time,
        "seed": seed,
        "threads": threads,
        "device": device,
    }
    config = make_config(settings_of(None, further, flags))
    reporter = make_reporter(as_json)
    try:
        standings = MethodsBenchmark(
            config=config,
            entries=entries_of(words(methods) or (), config),
            seeds=seeds,
            members=members,
            images=images,
            alone=alone,
            out=out,
            reporter=reporter,
        ).standings()
    finally:
        reporter.close()
    page = build_methods(standings, out / "methods.html")
    if as_json:
        say(json.dumps({"folder": str(out), "page": str(page), **standings.to_json()}))
        return
    print_table(*standings.table())
    say(f"page: {page}")
