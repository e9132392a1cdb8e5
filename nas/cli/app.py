"""The command line. The only module that may import everything, and it does so inside commands.

A user's mistake is one message and exit code 2, a full disk or another failure of the machine one
message and exit code 1, Ctrl-C exit code 130, and output that nobody reads any more (`| head`) is
silence and exit code 141, as the shell has it; anything else is a bug and keeps its traceback.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from nas.cli.bench import bench
from nas.cli.console import make_reporter, print_table
from nas.cli.export import export
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
    SpaceName,
    Sparsity,
    TargetName,
    Threads,
    Time,
    settings_of,
)
from nas.cli.plugin import plugin_app
from nas.cli.space import space_app
from nas.cli.sweep import sweep
from nas.cli.train import train
from nas.system.text import fractions, words

app = typer.Typer(
    help="Search architectures jointly with quantization and pruning, against measured latency.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(space_app, name="space")
app.add_typer(plugin_app, name="plugin")
app.command(
    epilog="Example: nas bench --table nas-bench-macro.csv --choices 'layer*' --maximize test_acc "
    "--minimize macs --reference 80,max"
)(bench)
app.command(
    epilog="Example: nas train --space hybrid --budget 20MFLOPs --time 8h\n\n"
    "The same command continues an interrupted run."
)(train)
app.command(
    epilog="Example: nas export runs/my-run --key 0a1b2c\n\n"
    "Example: nas export runs/my-run --arch network.json --out deployed"
)(export)
app.command(
    epilog="Example: nas sweep sweep.toml --dry-run\n\n"
    "The same command continues an interrupted sweep."
)(sweep)

OK, FAILED, WRONG_USE, INTERRUPTED, UNREAD = 0, 1, 2, 130, 141
USAGE_ERROR: Any = typer.BadParameter.__base__
"""Its own class, because typer may come with a copy of click rather than use the installed one."""


@app.command(
    epilog="Example: nas search --space hybrid --budget 4.5GFLOPs\n\n"
    "The same command continues an interrupted run."
)
def search(
    space: SpaceName = None,
    plugin: Plugins = None,
    budget: Budgets = None,
    data: Data = None,
    data_dir: DataDir = None,
    cache: Cache = None,
    resolution: Resolution = None,
    target: TargetName = None,
    precision: Precision = None,
    sparsity: Sparsity = None,
    controller: Annotated[
        str | None,
        typer.Option(
            help="predictor, evolution, local, nsga2, tpe, gp, reinforce, random or a plug-in's. "
            "[predictor]"
        ),
    ] = None,
    executor: Annotated[
        str | None,
        typer.Option(help="Where candidates are scored: processes, inline or ray. [processes]"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Scores at the same time. [one per core]")
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(help="Ray cluster: auto or HOST:PORT. [a Ray on this machine only]"),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Candidates to score. [as many as fit the time]")
    ] = None,
    time: Time = None,
    supernet: Annotated[
        str | None,
        typer.Option(
            help="Run directory whose trained supernet is used; space, data, precision and "
            "sparsity are then its own unless given."
        ),
    ] = None,
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
    from nas.prepare.reuse import with_inherited
    from nas.run.config import make_config
    from nas.run.directory import read_front

    flags = {
        "space": space,
        "plugins": tuple(plugin) if plugin else None,
        "budget": tuple(budget) if budget else None,
        "data": data,
        "data_dir": data_dir,
        "cache": cache,
        "resolution": resolution,
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
    run_dir = out or resolved.default_out()
    reporter = make_reporter(as_json, events_of=run_dir if tensorboard else None)
    try:
        from nas.search import search as run_search
        from reports import build_report

        run_search(resolved, run_dir, reporter)
        reporter.phase("report", "writing the report")
        report = build_report(run_dir)
    finally:
        reporter.close()
    if as_json:
        front = read_front(run_dir)
        typer.echo(json.dumps({"run": str(run_dir), "report": str(report), **front}))
        return
    from nas.front.continuing import more_command

    _print_front(run_dir)
    typer.echo(f"report: {report}\nmore trials: {more_command(run_dir)}")


@app.command(
    epilog="Example: nas report runs/hybrid-digit-pairs-1a2b3c4d\n\n"
    "Example: nas report runs/a runs/b --out comparison.html"
)
def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run directories; several are compared.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Page of a comparison. [comparison.html]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Write report.html, report.md and pareto.csv of a run again, or compare finished runs."""
    from reports import build_report, front_rows
    from search_spaces import UserError

    if len(runs) > 1:
        _compare(runs, out or Path("comparison.html"), as_json)
        return
    if out is not None:
        raise UserError(
            f"--out '{out}' names the page of a comparison, and one run was given: its report is "
            "written into the run. Give several runs, or leave --out away."
        )
    path = build_report(runs[0])
    if as_json:
        document = {"run": str(runs[0]), "report": str(path), "rows": front_rows(runs[0])}
        typer.echo(json.dumps(document))
        return
    _print_front(runs[0])
    typer.echo(f"report: {path}")


def _compare(runs: Sequence[Path], out: Path, as_json: bool) -> None:
    from reports import build_comparison, compare, comparison_json, comparison_table

    comparison = compare(runs)
    page = build_comparison(comparison, out)
    if as_json:
        typer.echo(json.dumps({"page": str(page), **comparison_json(comparison)}))
        return
    print_table(*comparison_table(comparison))
    typer.echo(f"comparison: {page}")


@app.command(epilog="Example: nas finetune runs/my-run --key 0a1b2c --epochs 20")
def finetune(
    run: Annotated[Path, typer.Argument(help="The directory of a finished run.")],
    key: Annotated[
        str, typer.Option(help="Which network: its key in the report, or how that begins.")
    ],
    epochs: Annotated[
        float, typer.Option(min=0.01, help="Passes over the training images.")
    ] = 10.0,
    teacher: Annotated[
        str,
        typer.Option(
            help="What it learns from besides labels: none, largest (member of the supernet), or "
            "the path of an ONNX file."
        ),
    ] = "none",
    data: Annotated[
        str, typer.Option(help="Other training images, as in `nas search`. [the run's own]")
    ] = "",
    learning_rate: Annotated[
        float | None, typer.Option(min=1e-9, max=10.0, help="Peak. [the supernet's]")
    ] = None,
    plugin: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Train one network further, alone, and add it to the front: exported, measured, verified."""
    from nas.data._load import absolute_if_path
    from nas.finalists.recipe import Recipe
    from nas.finetune import finetune as run_finetune
    from reports import build_report
    from search_spaces import load_plugins

    load_plugins(plugin or ())
    recipe = Recipe(
        epochs=epochs,
        teacher=teacher,
        data=absolute_if_path(data) if data else "",
        learning_rate=learning_rate or 0.0,
    )
    reporter = make_reporter(as_json)
    try:
        found = run_finetune(run, key, recipe, reporter, plugins=plugin or ())
    finally:
        reporter.close()
    report = build_report(run)
    if as_json:
        typer.echo(json.dumps({**found, "report": str(report)}))
        return
    _print_front(run)
    place = "is on the front" if found["on_front"] else f"is not on the front: {found['reason']}"
    typer.echo(f"{found['key']} {place}\nreport: {report}")


@app.command(epilog="Example: nas fidelity runs/my-run --subnets 15 --time 30m")
def fidelity(
    run: Annotated[Path, typer.Argument(help="The directory of a finished run.")],
    subnets: Annotated[int, typer.Option(help="Networks to train alone.")] = 15,
    time: Annotated[str, typer.Option(help="For all of them: 90s, 20m, 1.5h.")] = "30m",
    as_json: AsJson = False,
) -> None:
    """Measure how far shared weights rank networks as training each alone does."""
    from nas.fidelity import fidelity as run_fidelity
    from nas.run.config import parse_time
    from reports import build_report

    seconds = parse_time(time)
    reporter = make_reporter(as_json)
    try:
        found = run_fidelity(run, subnets, seconds, reporter)
    finally:
        reporter.close()
    report = build_report(run)
    if as_json:
        typer.echo(json.dumps({**found, "report": str(report)}))
        return
    low, high = found["interval"]
    typer.echo(
        f"Kendall tau {found['kendall_tau']:.2f} (95 % interval {low:.2f} to {high:.2f}) over "
        f"{subnets} networks, each trained alone for {found['steps']} steps\nreport: {report}"
    )


def share_the_cores() -> None:
    """Let torch's threads wait for each other awake for some microseconds only.

    GNU OpenMP's default is to spin: alone on the machine that is 5 % faster, and where another job
    or another virtual machine holds one of the cores, ten times slower (see docs/decisions/0010).
    Read when torch is loaded, so it is set before; what the user has set stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "5000")


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the `nas` command."""
    from search_spaces import UserError

    share_the_cores()

    try:
        code = app(args=arguments, standalone_mode=False)
        sys.stdout.flush()
        if code == INTERRUPTED:  # typer makes an exit code of Ctrl-C
            raise KeyboardInterrupt
    except UserError as error:
        _exit(f"nas: {error}", WRONG_USE)
    except USAGE_ERROR as error:
        error.show()
        sys.exit(WRONG_USE)
    except (typer.Abort, KeyboardInterrupt):
        _exit("nas: interrupted; the same command continues.", INTERRUPTED)
    except BrokenPipeError:
        _end_unread()
    except SystemExit as error:  # which typer and rich make of it
        if isinstance(error.__context__, BrokenPipeError):
            _end_unread()
        raise
    except OSError as error:
        if error.filename is None and error.errno is None and not str(error):
            raise
        _exit(f"nas: {_disk_message(error)}", FAILED)
    sys.exit(code if isinstance(code, int) else OK)


def _end_unread() -> None:
    """Who read our output has gone, such as `| head`."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(UNREAD)


def _disk_message(error: OSError) -> str:
    where = f" '{error.filename}'" if error.filename else ""
    fact = f"cannot read or write{where}: {error.strerror}" if error.strerror else str(error)
    return f"{fact}. Nothing recorded is lost; mend it and give the same command to continue."


def _exit(message: str, code: int) -> None:
    typer.echo(message, err=True)
    sys.exit(code)


def _print_front(run_dir: Path) -> None:
    from reports import front_table

    print_table(*front_table(run_dir))
