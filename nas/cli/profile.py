"""The command `nas profile`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.console import make_reporter, print_table, say
from nas.cli.options import RUNTIME, AsJson, Budgets, Plugins
from nas.system.text import fractions, words

if TYPE_CHECKING:
    from nas.targets import ChosenTarget
    from search_spaces import Resolution

FILES_TIME, SPACE_TIME = "30s", "10m"

Models = Annotated[
    list[Path] | None,
    typer.Argument(
        help="ONNX files to time against each other, or a run whose front is measured again.",
        show_default=False,
    ),
]
Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        help=f"{RUNTIME} Of a run: other targets to time its files on; repeatable. [onnxruntime]",
    ),
]
Space = Annotated[
    str | None,
    typer.Option(
        "--space",
        help="Instead of files: a search space, or a Python file with one, of which a latency "
        "profile is made for `nas search --profile`.",
    ),
]
Time = Annotated[str | None, typer.Option(help="30s, 20m, 1.5h. [30s for files, 10m for a space]")]
Size = Annotated[
    str | None,
    typer.Option(
        "--resolution",
        help="Images, in pixels: 224, or height and width as 96x128. [the file's; 32 for a space]",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder for numbers and samples. [none for files, runs/profile-... else]"),
]
Formats = Annotated[
    str | None, typer.Option("--precision", help="Of a space: formats. [fp32,int8]")
]
Pruned = Annotated[
    str | None, typer.Option("--sparsity", help="Of a space: fractions. [0,0.25,0.5]")
]
Classes = Annotated[
    int | None, typer.Option(min=1, max=1_000_000, help="Of a space: number of classes. [10]")
]
Channels = Annotated[
    int | None, typer.Option(min=1, max=1024, help="Of a space: channels of the images. [3]")
]


def profile(
    models: Models = None,
    space: Space = None,
    plugin: Plugins = None,
    target: Targets = None,
    time: Time = None,
    resolution: Size = None,
    budget: Budgets = None,
    precision: Formats = None,
    sparsity: Pruned = None,
    classes: Classes = None,
    channels: Channels = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Measure latency: of files, of a run's front, or of a search space for all its searches."""
    from nas.run.config import Config
    from nas.run.own_files import CONFIG
    from nas.system.text import parse_time
    from nas.targets import choose
    from search_spaces import UserError, load_plugins, resolution_of

    _refuse_both_or_neither(models, space)
    if out is not None and out.exists() and not out.is_dir():
        raise UserError(f"nas profile: --out '{out}' is a file. Name a folder.")
    load_plugins(plugin or ())
    targets = target or []
    is_run = models is not None and any((path / CONFIG).is_file() for path in models[:1])
    if len(targets) > 1 and not is_run:
        raise UserError(
            f"nas profile: --target is given {len(targets)} times. Files and spaces are measured "
            "on one; a run's front on several: nas profile RUN."
        )
    chosen = choose(targets[0] if targets else Config().target)
    seconds = parse_time(time or (FILES_TIME if models else SPACE_TIME))
    size = None if resolution is None else resolution_of(resolution)
    of_space = {
        "budget": tuple(budget) if budget else None,
        "precision": words(precision),
        "sparsity": fractions(sparsity),
        "num_classes": classes,
        "channels": channels,
    }
    given = {name: value for name, value in of_space.items() if value is not None}
    if models:
        _refuse_of_space(list(given))
        if is_run:
            of_files = {"--time": time, "--resolution": resolution, "--out": out}
            _refuse_of_run(models, [name for name, value in of_files.items() if value is not None])
            _profile_run(models[0], targets, as_json)
            return
        _profile_files(models, chosen, size, seconds, out, as_json)
        return
    assert space is not None
    sides = {} if size is None else {"resolution": size}
    common = {"target": chosen.text, "seconds": seconds}
    _profile_space(space, {**given, **sides, **common}, out, as_json)


def _refuse_both_or_neither(models: list[Path] | None, space: str | None) -> None:
    """See that either files or a run are given, or a space.

    Raises:
        UserError: If not.
    """
    from search_spaces import UserError

    if bool(models) == (space is not None):
        found = "both are" if models else "neither is"
        raise UserError(
            f"nas profile measures files or a search space, and {found} given. Write "
            "`nas profile MODEL.onnx OTHER.onnx`, `nas profile RUN`, or `nas profile --space "
            "hybrid`."
        )


def _refuse_of_space(names: list[str]) -> None:
    """Refuse settings of a search space where files are given.

    Raises:
        UserError: If there are any.
    """
    from search_spaces import UserError

    if names:
        flags = ", ".join(f"--{name.replace('num_', '')}" for name in names)
        raise UserError(
            f"nas profile: {flags} {'says' if len(names) == 1 else 'say'} what a search space "
            "has, and files are given. Leave it out, or give --space instead of the files."
        )


def _refuse_of_run(models: list[Path], flags: list[str]) -> None:
    """Refuse what is said of files when a run is given.

    Raises:
        UserError: If there is more than the run, or one of these flags.
    """
    from search_spaces import UserError

    if len(models) > 1:
        raise UserError(f"nas profile: '{models[0]}' is a run. Give it alone, or give files.")
    if flags:
        raise UserError(
            f"nas profile: {', '.join(flags)} {'is' if len(flags) == 1 else 'are'} of files and "
            "spaces, and a run is given. Leave it out: its files, and a place in it, are known."
        )


def _profile_run(path: Path, targets: list[str], as_json: bool) -> None:
    from nas.cli._profile_tables import print_efficiency
    from nas.profiling.run import profile_run
    from reports import build_report, portability_table

    reporter = make_reporter(as_json)
    try:
        found = profile_run(path, targets, reporter)
    finally:
        reporter.close()
    report = build_report(path)
    if as_json:
        say(json.dumps({"run": str(path), "report": str(report), **found}))
        return
    if found["efficiency"] is not None:
        print_efficiency(found["efficiency"])
    header, rows, sentences = portability_table(path)
    if rows:
        say("")
        print_table(header, rows)
        for sentence in sentences:
            say(f"- {sentence}")
    say(f"report: {report}")


def _profile_files(
    models: list[Path],
    chosen: "ChosenTarget",
    size: "Resolution | None",
    seconds: float,
    out: Path | None,
    as_json: bool,
) -> None:
    from nas.cli._profile_tables import print_files
    from nas.profiling.files import SAMPLES, check_folder, profile_files, write_profile
    from search_spaces import read_sides

    if out is not None:
        check_folder(out)
    replaced = ", in place of earlier ones" if out is not None and (out / SAMPLES).exists() else ""
    reporter = make_reporter(as_json)
    try:
        found = profile_files(
            models,
            chosen=chosen,
            resolution=None if size is None else read_sides(size),
            seconds=seconds,
            reporter=reporter,
        )
    finally:
        reporter.close()
    if out is not None:
        write_profile(found, out)
    if as_json:
        say(json.dumps(found.to_json()))
        return
    print_files(found)
    if out is not None:
        say(f"numbers and samples{replaced}: {out}")


def _profile_space(
    space: str,
    settings: dict[str, Any],
    out: Path | None,
    as_json: bool,
) -> None:
    from nas.profiling.space import Request, profile_space, said_of_profile
    from search_spaces import is_space_file

    place = str(Path(space).resolve()) if is_space_file(space) else space
    asked = Request(space=place, **settings)
    folder = out or asked.default_out()
    reporter = make_reporter(as_json)
    try:
        document = profile_space(asked, folder, reporter)
    finally:
        reporter.close()
    if as_json:
        shown = ("held_out", "macs_alone", "slots")
        say(json.dumps({"profile": str(folder), **{name: document[name] for name in shown}}))
        return
    for sentence in said_of_profile(document):
        say(f"- {sentence}")
    target = "" if asked.target == Request.target else f" --target {asked.target}"
    say(f"profile: {folder}\nuse it: nas search --space {space}{target} --profile {folder}")
