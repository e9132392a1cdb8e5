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
    Devices,
    DryRun,
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
    computed_by,
    images_of,
    policy_of,
    problem_of,
    scored_by,
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
    devices: Devices = None,
    out: RunFolder = None,
    config: ConfigFile = None,
    set_: Further = None,
    tensorboard: EventFiles = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Train a supernet, search it, and write a Pareto report of real, measured files."""
    from nas.cli.running import run_search, tell_forecast
    from nas.prepare.reuse import with_inherited
    from nas.run.config import make_config

    flags = {
        **problem_of(space, plugin, budget),
        **images_of(data, task, data_dir, cache, resolution, skip_corrupt=skip_corrupt),
        **targets_of(target),
        **policy_of(precision, sparsity, pattern, fix=fix),
        "method": method,
        "controller": controller,
        **scored_by(executor, ray_address, workers),
        "trials": trials,
        "time": time,
        "supernet": supernet,
        "profile": profile,
        "seed": seed,
        **computed_by(threads, device, devices),
    }
    resolved = make_config(with_inherited(settings_of(config, set_, flags), out))
    run_dir = out or resolved.default_out()
    if dry_run:
        tell_forecast(resolved, run_dir, as_json=as_json)
    else:
        run_search(resolved, run_dir, tensorboard=tensorboard, as_json=as_json)
