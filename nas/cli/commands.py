"""The commands of `nas`: a file each, which imports what it needs when it is given."""

from typing import Annotated, Any

import typer

from nas.cli.agent import agent
from nas.cli.bench import bench_app
from nas.cli.compress import compress
from nas.cli.console import say
from nas.cli.doctor import doctor
from nas.cli.exits import exits
from nas.cli.expand import expand
from nas.cli.export import export
from nas.cli.fidelity import fidelity
from nas.cli.finetune import finetune
from nas.cli.plugin import plugin_app
from nas.cli.profile import profile
from nas.cli.report import report
from nas.cli.search import search
from nas.cli.space import space_app
from nas.cli.stitch import stitch
from nas.cli.sweep import sweep
from nas.cli.train import train
from nas.system.environment import version_of

app = typer.Typer(
    help="Search architectures jointly with quantization and pruning, against measured latency.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(space_app, name="space")
app.add_typer(plugin_app, name="plugin")
app.add_typer(bench_app, name="bench")
app.command(
    epilog="Example: nas search --space hybrid --budget 4.5GFLOPs\n\n"
    "The same command continues an interrupted run."
)(search)
app.command(
    epilog="Example: nas train --space hybrid --budget 20MFLOPs --time 8h\n\n"
    "The same command continues an interrupted run."
)(train)
app.command(
    epilog="Example: nas compress my_models.py:resnet --weights resnet.safetensors --data photos "
    "--budget 50%MACs\n\nThe same command continues an interrupted run."
)(compress)
app.command(
    epilog="Example: nas stitch small.onnx large.onnx --data photos --out family.safetensors"
)(stitch)
app.command(epilog="Example: nas finetune runs/my-run --key 0a1b2c --epochs 20")(finetune)
app.command(
    epilog="Example: nas expand runs/my-run --key 0a1b2c --sizes 4 --epochs 10\n\n"
    "The same command continues an interrupted one."
)(expand)
app.command(
    epilog="Example: nas exits runs/my-run --key 0a1b2c --budget 60%MACs\n\n"
    "The same command continues an interrupted one."
)(exits)
app.command(
    epilog="Example: nas export runs/my-run --key 0a1b2c\n\n"
    "Example: nas export runs/my-run --arch network.json --out deployed"
)(export)
app.command(
    epilog="Example: nas report runs/hybrid-digit-pairs-1a2b3c4d\n\n"
    "Example: nas report runs/a runs/b --out comparison.html"
)(report)
app.command(epilog="Example: nas fidelity runs/my-run --subnets 15 --time 30m")(fidelity)
app.command(
    epilog="Example: nas profile model.onnx model.int8.onnx --time 1m\n\n"
    "Example: nas profile --space hybrid --time 10m\n\n"
    "The same command continues an interrupted profile of a space."
)(profile)
app.command(
    epilog="Example: nas sweep sweep.toml --dry-run\n\n"
    "The same command continues an interrupted sweep."
)(sweep)
app.command(
    epilog="Example: nas agent --port 8477\n\n"
    "On the other machine: nas profile model.onnx --target remote:127.0.0.1:8477"
)(agent)
app.command(epilog="Example: nas doctor")(doctor)

USAGE_ERROR: Any = typer.BadParameter.__base__
"""Its own class, because typer may come with a copy of click rather than use the installed one."""


def _say_version(is_asked: bool) -> None:
    if is_asked:
        say(f"pareto-nas {version_of('pareto-nas') or 'of a checkout that is not installed'}")
        raise typer.Exit


@app.callback()
def nas(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Say which it is."),
    ] = False,
) -> None:
    """What all commands have in common; `--version` has done its work."""
