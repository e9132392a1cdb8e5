"""The commands `nas space ...`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from nas.cli.console import print_table, say
from nas.cli.options import Budgets, Fixed, Plugins
from nas.system.text import fractions, words

space_app = typer.Typer(help="List, describe and check search spaces.", no_args_is_help=True)

PROBLEMS_FOUND = 1
Classes = Annotated[int, typer.Option(min=1, max=1_000_000, help="Number of classes.")]
Size = Annotated[
    str,
    typer.Option(
        "--resolution",
        metavar="PX|HxW",
        help="Size of the images in pixels: 96 for squares, 96x128 for height x width.",
    ),
]
Channels = Annotated[int, typer.Option(min=1, max=1024, help="Channels of the images.")]
Format = Annotated[
    str,
    typer.Option(
        "--format",
        help="nni for a search space; nasbench201, darts or cells (options by choices) for a cell.",
    ),
]


@space_app.command("list", epilog="Example: nas space list")
def space_list(
    plugin: Plugins = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The search spaces there are."""
    from search_spaces import SPACES, import_all_installed, load_plugins

    load_plugins(plugin or ())
    import_all_installed()  # `nas plugin list` says which fail
    spaces = {name: (SPACES.get(name).__doc__ or "").strip() for name in SPACES.names()}
    if as_json:
        say(json.dumps(spaces))
        return
    for name, text in spaces.items():
        say(f"{name:10} {text}")


@space_app.command(
    "describe", epilog="Example: nas space describe hybrid --resolution 224 --budget 4.5GFLOPs"
)
def space_describe(
    name: Annotated[str, typer.Argument(help="A search space.")] = "hybrid",
    plugin: Plugins = None,
    budget: Budgets = None,
    resolution: Size = "32",
    classes: Classes = 10,
    channels: Channels = 3,
    precision: Annotated[str, typer.Option(help="Formats a stage may have.")] = "fp32,int8",
    sparsity: Annotated[str, typer.Option(help="Fractions pruning may remove.")] = "0,0.25,0.5",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """How many networks there are, what they cost, and what a budget leaves of them."""
    from nas.inspect.describe import describe
    from search_spaces import check_precisions, load_plugins, load_space

    load_plugins(plugin or ())
    formats, shares = words(precision) or (), fractions(sparsity) or ()
    check_precisions(formats)
    space = load_space(name, resolution=resolution, channels=channels, num_classes=classes)
    found = describe(space, space.with_policy(formats, shares), tuple(budget or ()))
    if as_json:
        say(json.dumps(found.to_json()))
    else:
        say(str(found))


@space_app.command("operators", epilog="Example: nas space operators --width 96 --side 14")
def space_operators(
    name: Annotated[
        str, typer.Argument(help="An operator, for all there is to say about it. [list all]")
    ] = "",
    plugin: Plugins = None,
    width: Annotated[int, typer.Option(min=1, max=4096, help="Channels of a block.")] = 64,
    side: Annotated[int, typer.Option(min=1, max=1024, help="Of its map, pixels.")] = 14,
    picture: Annotated[
        Path | None, typer.Option(help="File to draw the operator's parts into, SVG. [none]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The operators that blocks may have: what each is, what it reads, and what a block costs.

    Options in brackets have a default; costs are with usual ones.
    """
    from dataclasses import asdict

    from nas.inspect.operators import described
    from search_spaces import UserError, load_plugins

    load_plugins(plugin or ())
    if name:
        _say_operator(name, width=width, side=side, picture=picture, as_json=as_json)
        return
    if picture is not None:
        raise UserError(
            f"--picture is of one operator, and none is named. Name it: nas space operators mbconv "
            f"--picture {picture}"
        )
    found = described(width=width, side=side)
    if as_json:
        say(json.dumps([asdict(one) for one in found]))
        return
    header = ["operator", "mixes by", "reads", "MMACs", "1000 parameters", "what it is"]
    rows = [
        [
            one.name,
            ", ".join(one.mixing),
            " ".join(one.reads),
            "-" if one.macs is None else f"{one.macs / 1e6:.2f}",
            "-" if one.params is None else f"{one.params / 1e3:.1f}",
            one.meaning,
        ]
        for one in found
    ]
    print_table(header, rows)


def _say_operator(name: str, *, width: int, side: int, picture: Path | None, as_json: bool) -> None:
    """One operator: what it is, its options, what a block costs, where it is from."""
    from dataclasses import asdict

    from nas.inspect.documented import documented
    from nas.system.files import write_text
    from search_spaces import UserError

    found = documented(name, width=width, side=side)
    if picture is not None:
        from nas.inspect.operator_pages import picture_of

        drawn = picture_of(name, is_alone=True)
        if not drawn:
            raise UserError(
                f"operator '{name}' cannot be drawn: its forward pass looks at numbers. Leave out "
                "--picture."
            )
        write_text(picture, drawn + "\n")
    if as_json:
        say(json.dumps(asdict(found)))
        return
    kind = "a mixer: the slot's channel part follows it" if found.is_mixer else "a block"
    say(f"{name}: {found.definition}. {found.more} It is {kind}.\n")
    rows = [[option.name, option.allowed, option.usual or "-"] for option in found.options]
    print_table(["option", "may be", "usual"], rows)
    say(f"\nMultiply-adds: {found.formula}")
    if found.macs is not None and found.params is not None:
        costs = f"{found.macs / 1e6:.2f} million, {found.params / 1e3:.1f} thousand parameters"
        say(f"At {width} channels and {side}x{side} positions: {costs}.")
    say(f"\n{found.source}")


@space_app.command("check", epilog="Example: nas space check my_space.py --resolution 64")
def space_check(
    file: Annotated[str, typer.Argument(help="A Python file with a space, or a space's name.")],
    plugin: Plugins = None,
    resolution: Size = "32",
    classes: Classes = 10,
    channels: Channels = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Size, costs and every option that is inactive, equivalent to another or slow.

    Exit code 1 if there is something to mend.
    """
    from nas.inspect.check import check
    from search_spaces import load_plugins, load_space

    load_plugins(plugin or ())
    space = load_space(file, resolution=resolution, channels=channels, num_classes=classes)
    found = check(space)
    say(json.dumps(found.to_json()) if as_json else str(found))
    return PROBLEMS_FOUND if found.findings else 0


@space_app.command(
    "import", epilog="Example: nas space import search_space.json --format nni --out space.json"
)
def space_import(
    file: Annotated[
        str,
        typer.Argument(
            help="A search space of another tool; of a cell the text of NAS-Bench-201, a JSON file "
            "with DARTS's genotype, or the card of a network."
        ),
    ],
    form: Format = "nni",
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write, for `nas bench controllers --space`; of a cell for `nas search "
            "--config`. [none]"
        ),
    ] = None,
    fix: Fixed = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Read a search space or a cell of another tool.

    A space becomes choices, for `nas bench controllers` on a table; it has no networks that could
    be trained. A cell becomes a configuration of a search: of the networks that are made of it.
    """
    from nas.inspect.genotypes import GENOTYPES, configuration
    from nas.inspect.interchange import described, interchange, write_space
    from nas.system.files import write_text
    from search_spaces import UserError

    if form in GENOTYPES:
        text = configuration(form, file, fix or ())
        if out is not None:
            write_text(out, text)
        say(json.dumps({"configuration": text}) if as_json else text.rstrip())
        return
    if fix:
        raise UserError(
            f"--fix is of the networks of a cell, and format '{form}' is one of spaces. "
            "Leave it out."
        )
    space = interchange(form).read(Path(file))
    if out is not None:
        write_space(space, out)
    say(json.dumps(space.to_json()) if as_json else described(space))


@space_app.command(
    "export", epilog="Example: nas space export hybrid --format nni --out search_space.json"
)
def space_export(
    name: Annotated[
        str,
        typer.Argument(
            help="A search space, or a Python file with one; of a cell the card of a network."
        ),
    ],
    form: Format = "nni",
    plugin: Plugins = None,
    resolution: Size = "32",
    classes: Classes = 10,
    channels: Channels = 3,
    precision: Annotated[str, typer.Option(help="Formats a stage may have.")] = "fp32,int8",
    sparsity: Annotated[str, typer.Option(help="Fractions pruning may remove.")] = "0,0.25,0.5",
    out: Annotated[Path | None, typer.Option(help="File to write. [print it]")] = None,
) -> None:
    """Write a search space as another tool reads it: every choice with its options, as JSON.

    Or the cell of a network: `nas space export RUN/front/KEY/card.json --format darts`.
    """
    from nas.inspect.genotypes import GENOTYPES, options_in
    from nas.inspect.interchange import interchange
    from nas.system.files import write_text
    from search_spaces import check_precisions, load_plugins, load_space

    load_plugins(plugin or ())
    if form in GENOTYPES:
        text = GENOTYPES[form].write(options_in(name))
    else:
        write = interchange(form).write
        formats, shares = words(precision) or (), fractions(sparsity) or ()
        check_precisions(formats)
        space = load_space(name, resolution=resolution, channels=channels, num_classes=classes)
        text = json.dumps(write(space.with_policy(formats, shares)), indent=1)
    if out is None:
        say(text)
    else:
        write_text(out, text + "\n")
