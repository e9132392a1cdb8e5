"""The command `nas search`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.console import end_if_empty, make_reporter, print_front, say
from nas.cli.options import (
    AsJson,
    Budgets,
    Cache,
    ConfigFile,
    Data,
    DataDir,
    EventFiles,
    Further,
    Plugins,
    Precision,
    Resolution,
    Seed,
    SkipCorrupt,
    SpaceName,
    Sparsity,
    TargetName,
    Threads,
    Time,
    settings_of,
)
from nas.system.text import fractions, words

if TYPE_CHECKING:
    from nas.run.config import Config

ControllerName = Annotated[
    str | None,
    typer.Option(
        "--controller",
        help="predictor, evolution, local, nsga2, tpe, gp, reinforce, random or a plug-in's. "
        "[predictor]",
    ),
]
ExecutorName = Annotated[
    str | None,
    typer.Option(
        "--executor",
        help="Where candidates are scored: processes, inline or ray. [processes]",
    ),
]
Workers = Annotated[int | None, typer.Option(help="Scores at the same time. [one per core]")]
RayAddress = Annotated[
    str | None,
    typer.Option(help="Ray cluster: auto or HOST:PORT. [a Ray on this machine only]"),
]
Trials = Annotated[int | None, typer.Option(help="Candidates to score. [as many as fit the time]")]
Donor = Annotated[
    str | None,
    typer.Option(
        "--supernet",
        help="Run directory whose trained supernet is used; space, data, precision and "
        "sparsity are then its own unless given.",
    ),
]


def search(
    space: SpaceName = None,
    plugin: Plugins = None,
    budget: Budgets = None,
    data: Data = None,
    data_dir: DataDir = None,
    cache: Cache = None,
    resolution: Resolution = None,
    skip_corrupt: SkipCorrupt = False,
    target: TargetName = None,
    precision: Precision = None,
    sparsity: Sparsity = None,
    controller: ControllerName = None,
    executor: ExecutorName = None,
    workers: Workers = None,
    ray_address: RayAddress = None,
    trials: Trials = None,
    time: Time = None,
    supernet: Donor = None,
    seed: Seed = None,
    threads: Threads = None,
    out: Annotated[
        Path | None, typer.Option(help="Run directory. [runs/<space>-<data>-<hash>]")
    ] = None,
    config: ConfigFile = None,
    set_: Further = None,
    tensorboard: EventFiles = False,
    as_json: AsJson = False,
) -> None:
    """Train a supernet, search it, and write a Pareto report of real, measured files."""
    from nas.prepare.names import refuse_unknown
    from nas.prepare.reuse import with_inherited
    from nas.run.config import make_config

    flags = {
        "space": space,
        "plugins": tuple(plugin) if plugin else None,
        "budget": tuple(budget) if budget else None,
        "data": data,
        "data_dir": data_dir,
        "cache": cache,
        "resolution": resolution,
        "skip_corrupt": skip_corrupt or None,
        "target": target,
        "precision": words(precision),
        "sparsity": fractions(sparsity),
        "controller": controller,
        "executor": executor,
        "workers": workers,
        "ray_address": ray_address,
        "trials": trials,
        "time": time,
        "supernet": supernet,
        "seed": seed,
        "threads": threads,
    }
    resolved = make_config(with_inherited(settings_of(config, set_, flags), out))
    refuse_unknown(resolved)
    run_dir = out or resolved.default_out()
    _search(resolved, run_dir, tensorboard=tensorboard, as_json=as_json)


def _search(config: "Config", run_dir: Path, *, tensorboard: bool, as_json: bool) -> None:
    from nas.run.directory import read_front

    reporter = make_reporter(as_json, events_of=run_dir if tensorboard else None)
    try:
        from nas.search_flow import search as run_search
        from reports import build_report

        run_search(config, run_dir, reporter)
        reporter.phase("report", "writing the report")
        report = build_report(run_dir)
    finally:
        reporter.close()
    if as_json:
        say(json.dumps({"run": str(run_dir), "report": str(report), **read_front(run_dir)}))
        end_if_empty(run_dir)
        return
    from nas.front.continuing import more_command

    print_front(run_dir)
    say(f"report: {report}\nmore trials: {more_command(run_dir)}")
    end_if_empty(run_dir)
