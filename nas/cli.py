"""The command line. The only module that may import everything, and it does so inside commands.

A user's mistake is one message and exit code 2, a full disk or another failure of the machine one
message and exit code 1, Ctrl-C exit code 130; anything else is a bug and keeps its traceback.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    help="Search architectures jointly with quantization and pruning, against measured latency.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
space_app = typer.Typer(help="List, describe and check search spaces.", no_args_is_help=True)
app.add_typer(space_app, name="space")

OK, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130
USAGE_ERROR: Any = typer.BadParameter.__base__
"""Its own class, because typer may come with a copy of click rather than use the installed one."""

Budgets = Annotated[
    list[str] | None,
    typer.Option(
        "--budget",
        help="A limit; repeat for several: 4.5GFLOPs (multiply-adds), 300MMACs, 5Mparams, 2MB, "
        "12ms, 60%MACs (of the largest network).",
    ),
]
SpaceName = Annotated[
    str | None,
    typer.Option("--space", help="Search space, or a Python file with one. [hybrid]"),
]
Resolution = Annotated[
    int | None, typer.Option(help="Side of the images in pixels. [the data's own]")
]


@app.command(
    epilog="Example: nas search --space hybrid --budget 4.5GFLOPs\n\n"
    "The same command continues an interrupted run."
)
def search(
    space: SpaceName = None,
    budget: Budgets = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="digit-pairs, digits, fashion-mnist or cifar10, or your own: the path of a folder "
            "of class folders (or of train, test and val with these), of Parquet files, or of an "
            ".npz file. [digit-pairs]"
        ),
    ] = None,
    data_dir: Annotated[
        str | None, typer.Option(help="Where the files of fashion-mnist or cifar10 are.")
    ] = None,
    cache: Annotated[
        str | None, typer.Option(help="Folder for decoded images. [runs/.cache]")
    ] = None,
    resolution: Resolution = None,
    target: Annotated[str | None, typer.Option(help="Runtime to time on. [onnxruntime]")] = None,
    precision: Annotated[
        str | None, typer.Option(help="Formats a stage may have. [fp32,int8]")
    ] = None,
    sparsity: Annotated[
        str | None, typer.Option(help="Fractions pruning may remove. [0,0.25,0.5]")
    ] = None,
    controller: Annotated[
        str | None, typer.Option(help="evolution, nsga2, tpe or random. [evolution]")
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Candidates to score. [as many as fit the time]")
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="For all phases together: 90s, 20m, 1.5h. [5m]")
    ] = None,
    supernet: Annotated[
        str | None, typer.Option(help="Run directory whose trained supernet is used.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random. [0]")] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads of training and scoring. [all cores]")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run directory. [runs/<space>-<data>-<hash>]")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file with the same names as these flags.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other setting, such as learning_rate=0.002; repeatable."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON, progress on stderr.")
    ] = False,
) -> None:
    """Train a supernet, search it, and write a Pareto report of real, measured files."""
    from nas.config import make_config, read_config
    from nas.run import read_front

    flags = {
        "space": space,
        "budget": tuple(budget) if budget else None,
        "data": data,
        "data_dir": data_dir,
        "cache": cache,
        "resolution": resolution,
        "target": target,
        "precision": _words(precision),
        "sparsity": _fractions(sparsity),
        "controller": controller,
        "trials": trials,
        "time": time,
        "supernet": supernet,
        "seed": seed,
        "threads": threads,
    }
    settings = read_config(config) if config else {}
    settings |= {name: value for name, value in flags.items() if value is not None}
    if set_:
        settings["set"] = {**settings.get("set", {}), **dict(map(_setting, set_))}
    resolved = make_config(settings)
    run_dir = out or resolved.default_out()
    reporter = _reporter(as_json)
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
    else:
        _print_front(run_dir)
        typer.echo(f"report: {report}")


@app.command(epilog="Example: nas report runs/hybrid-digit-pairs-1a2b3c4d")
def report(
    run: Annotated[Path, typer.Argument(help="A run directory.")],
) -> None:
    """Write report.html, report.md and pareto.csv of a run again."""
    from reports import build_report

    path = build_report(run)
    _print_front(run)
    typer.echo(f"report: {path}")


@space_app.command("list", epilog="Example: nas space list")
def space_list(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The search spaces there are."""
    from search_spaces import SPACES

    spaces = {name: (SPACES.get(name).__doc__ or "").strip() for name in SPACES.names()}
    if as_json:
        typer.echo(json.dumps(spaces))
        return
    for name, text in spaces.items():
        typer.echo(f"{name:10} {text}")


@space_app.command(
    "describe", epilog="Example: nas space describe hybrid --resolution 224 --budget 4.5GFLOPs"
)
def space_describe(
    name: Annotated[str, typer.Argument(help="A search space.")] = "hybrid",
    budget: Budgets = None,
    resolution: Annotated[int, typer.Option(help="Side of the images in pixels.")] = 32,
    classes: Annotated[int, typer.Option(min=1, help="Number of classes.")] = 10,
    channels: Annotated[int, typer.Option(min=1, help="Channels of the images.")] = 3,
    precision: Annotated[str, typer.Option(help="Formats a stage may have.")] = "fp32,int8",
    sparsity: Annotated[str, typer.Option(help="Fractions pruning may remove.")] = "0,0.25,0.5",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """How many networks there are, what they cost, and what a budget leaves of them."""
    from nas.description import describe
    from search_spaces import check_precisions, load_space

    formats, fractions = _words(precision) or (), _fractions(sparsity) or ()
    check_precisions(formats)
    space = load_space(name, resolution=resolution, channels=channels, num_classes=classes)
    found = describe(space, space.with_policy(formats, fractions), tuple(budget or ()))
    if as_json:
        typer.echo(json.dumps(found.to_json()))
    else:
        typer.echo(str(found))


@space_app.command("check", epilog="Example: nas space check my_space.py --resolution 64")
def space_check(
    file: Annotated[str, typer.Argument(help="A Python file with a space, or a space's name.")],
    resolution: Annotated[int, typer.Option(help="Side of the images in pixels.")] = 32,
    classes: Annotated[int, typer.Option(min=1, help="Number of classes.")] = 10,
    channels: Annotated[int, typer.Option(min=1, help="Channels of the images.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Size, costs and every option that is inactive, equivalent to another or slow.

    Exit code 1 if there is something to mend.
    """
    from nas.space_check import check
    from search_spaces import load_space

    space = load_space(file, resolution=resolution, channels=channels, num_classes=classes)
    found = check(space)
    typer.echo(json.dumps(found.to_json()) if as_json else str(found))
    return FAILED if found.findings else OK


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
    except BrokenPipeError:  # who read our output has gone, such as `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
    except OSError as error:
        if error.filename is None and error.errno is None and not str(error):
            raise
        _exit(f"nas: {_disk_message(error)}", FAILED)
    sys.exit(code if isinstance(code, int) else OK)


def _disk_message(error: OSError) -> str:
    where = f" '{error.filename}'" if error.filename else ""
    fact = f"cannot read or write{where}: {error.strerror}" if error.strerror else str(error)
    return f"{fact}. Nothing recorded is lost; mend it and give the same command to continue."


def _exit(message: str, code: int) -> None:
    typer.echo(message, err=True)
    sys.exit(code)


def _reporter(as_json: bool) -> Any:
    from rich.console import Console

    from nas.progress import Bars, Lines

    console = Console(stderr=as_json)
    return Bars(console) if console.is_terminal else Lines(console)


def _print_front(run_dir: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from reports import front_table

    header, rows = front_table(run_dir)
    console = Console()
    if not console.is_terminal:
        for row in [header, *rows]:
            typer.echo("\t".join(row))
        return
    table = Table(*header)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _words(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def _fractions(text: str | None) -> tuple[float, ...] | None:
    from search_spaces import UserError

    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise UserError(
            f"sparsity '{text}' is not a list of fractions. Write them with commas: 0,0.25,0.5"
        ) from error


def _setting(text: str) -> tuple[str, float | int | str]:
    from search_spaces import UserError

    name, separator, value = text.partition("=")
    if not separator or not name or not value:
        raise UserError(f"setting '{text}' has no value. Write --set name=value.")
    try:
        parsed = json.loads(value)
    except ValueError:
        parsed = value
    return name, parsed
