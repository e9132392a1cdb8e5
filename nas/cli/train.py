"""The command `nas train`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.console import make_reporter, say
from nas.cli.options import (
    AsJson,
    Budgets,
    Cache,
    ConfigFile,
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
    TargetName,
    TaskName,
    Threads,
    Time,
    computed_by,
    images_of,
    policy_of,
    problem_of,
    scored_by,
    settings_of,
)

if TYPE_CHECKING:
    from nas.run.config import Config

Out = Annotated[
    Path | None, typer.Option(help="Run directory. [runs/supernet-<space>-<data>-<hash>]")
]


def train(
    space: SpaceName = None,
    plugin: Plugins = None,
    budget: Budgets = None,
    data: Data = None,
    task: TaskName = None,
    data_dir: DataDir = None,
    cache: Cache = None,
    resolution: Resolution = None,
    skip_corrupt: SkipCorrupt = False,
    target: TargetName = None,
    precision: Precision = None,
    sparsity: Sparsity = None,
    fix: Fixed = None,
    pattern: Pattern = None,
    method: MethodName = None,
    executor: ExecutorName = None,
    ray_address: RayAddress = None,
    time: Time = None,
    profile: GivenProfile = None,
    seed: Seed = None,
    threads: Threads = None,
    device: Device = None,
    devices: Devices = None,
    out: Out = None,
    config: ConfigFile = None,
    set_: Further = None,
    tensorboard: EventFiles = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Train a supernet alone, with all of the time; `nas search --supernet RUN` searches it."""
    from nas.cli.running import tell_forecast
    from nas.prepare.names import refuse_unknown
    from nas.run.config import make_config

    flags = {
        **problem_of(space, plugin, budget),
        **images_of(
            *(data, task, *map(_absolute, (data_dir, cache)), resolution), skip_corrupt=skip_corrupt
        ),
        "target": target,
        **policy_of(precision, sparsity, pattern, fix=fix),
        "method": method,
        **scored_by(executor, ray_address),
        "time": time,
        "profile": profile,
        "seed": seed,
        **computed_by(threads, device, devices),
    }
    refuse_unknown(resolved := make_config(settings_of(config, set_, flags)))
    run_dir = out or _of_supernet(resolved.default_out())
    if dry_run:
        tell_forecast(resolved, run_dir, as_json=as_json, is_all=True)
    else:
        _train(resolved, run_dir, as_json=as_json, tensorboard=tensorboard)


def _train(config: "Config", run_dir: Path, *, as_json: bool, tensorboard: bool) -> None:
    """Trains, and says where the run is."""
    reporter = make_reporter(as_json, events_of=run_dir if tensorboard else None)
    try:
        from nas.train import train_supernet
        from reports import build_report

        found = train_supernet(config, run_dir, reporter)
        reporter.phase("report", "writing the report")
        report = build_report(run_dir)
    finally:
        reporter.close()
    text = f"report: {report}\nrun: {found['run']}\nnext: {found['next']}"
    say(json.dumps({**found, "report": str(report)}) if as_json else text)


def _of_supernet(usual: Path) -> Path:
    """The default directory, which tells the run from a search with the same settings."""
    return usual.with_name(f"supernet-{usual.name}")


def _absolute(path: str | None) -> str | None:
    """A folder as searches find it that are begun somewhere else; they inherit its name."""
    return str(Path(path).absolute()) if path else path
