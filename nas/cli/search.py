"""The command `nas search`."""

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.options import (
    AsJson,
    Budgets,
    Cache,
    ConfigFile,
    ControllerName,
    Data,
    DataDir,
    Device,
    EventFiles,
    ExecutorName,
    Fixed,
    Further,
    GivenProfile,
    MethodName,
    Pattern,
    Plugins,
    Precision,
    RayAddress,
    Resolution,
    Seed,
    SkipCorrupt,
    SpaceName,
    Sparsity,
    TargetNames,
    TaskName,
    Threads,
    Time,
    Trials,
    Workers,
    images_of,
    policy_of,
    settings_of,
    targets_of,
)

Donor = Annotated[
    str | None,
    typer.Option(
        "--supernet",
        help="Run directory whose trained supernet is used; space, data, precision and "
        "sparsity are then its own unless given.",
    ),
]
RunFolder = Annotated[
    Path | None, typer.Option("--out", help="Run directory. [runs/<space>-<data>-<hash>]")
]


def search(
    space: SpaceName = None,
    plugin: Plugins = None,
    budget: Budgets = None,
    data: Data = None,
    task: TaskName = None,
    data_dir: DataDir = None,
    cache: Cache = None,
    resolution: Resolution = None,
    skip_corrupt: SkipCorrupt = False,
    target: TargetNames = None,
    precision: Precision = None,
    sparsity: Sparsity = None,
    fix: Fixed = None,
    pattern: Pattern = None,
    method: MethodName = None,
    controller: ControllerName = None,
    executor: ExecutorName = None,
    workers: Workers = None,
    ray_address: RayAddress = None,
    trials: Trials = None,
    time: Time = None,
    supernet: Donor = None,
    profile: GivenProfile = None,
    seed: Seed = None,
    threads: Threads = None,
    device: Device = None,
    out: RunFolder = None,
    config: ConfigFile = None,
    set_: Further = None,
    tensorboard: EventFiles = False,
    as_json: AsJson = False,
) -> None:
    """Train a supernet, search it, and write a Pareto report of real, measured files."""
    from nas.cli.running import run_search
    from nas.prepare.reuse import with_inherited
    from nas.run.config import make_config

    flags = {
        "space": space,
        "plugins": tuple(plugin) if plugin else None,
        "budget": tuple(budget) if budget else None,
        **images_of(data, task, data_dir, cache, resolution, skip_corrupt=skip_corrupt),
        **targets_of(target),
        **policy_of(precision, sparsity, pattern, fix=fix),
        "method": method,
        "controller": controller,
        "executor": executor,
        "workers": workers,
        "ray_address": ray_address,
        "trials": trials,
        "time": time,
        "supernet": supernet,
        "profile": profile,
        "seed": seed,
        "threads": threads,
        "device": device,
    }
    resolved = make_config(with_inherited(settings_of(config, set_, flags), out))
    run_search(resolved, out or resolved.default_out(), tensorboard=tensorboard, as_json=as_json)
