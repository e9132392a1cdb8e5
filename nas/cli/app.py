"""The command line: a file per command, which imports what it needs when it is given.

A user's mistake is one message and exit code 2, a full disk or another failure of the machine one
message and exit code 1, Ctrl-C exit code 130, and output that nobody reads any more (`| head`) is
silence and exit code 141, as the shell has it; anything else is a bug and keeps its traceback.
"""

import io
import os
import sys
from collections.abc import Sequence
from typing import Any

import typer

from nas.cli.bench import bench
from nas.cli.export import export
from nas.cli.fidelity import fidelity
from nas.cli.finetune import finetune
from nas.cli.plugin import plugin_app
from nas.cli.report import report
from nas.cli.search import search
from nas.cli.space import space_app
from nas.cli.sweep import sweep
from nas.cli.train import train
from nas.system.cores import share_the_cores

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
    epilog="Example: nas search --space hybrid --budget 4.5GFLOPs\n\n"
    "The same command continues an interrupted run."
)(search)
app.command(
    epilog="Example: nas train --space hybrid --budget 20MFLOPs --time 8h\n\n"
    "The same command continues an interrupted run."
)(train)
app.command(epilog="Example: nas finetune runs/my-run --key 0a1b2c --epochs 20")(finetune)
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
    epilog="Example: nas sweep sweep.toml --dry-run\n\n"
    "The same command continues an interrupted sweep."
)(sweep)
app.command(
    epilog="Example: nas bench --table nas-bench-macro.csv --choices 'layer*' --maximize test_acc "
    "--minimize macs --reference 80,max"
)(bench)

OK, FAILED, WRONG_USE, INTERRUPTED, UNREAD = 0, 1, 2, 130, 141
USAGE_ERROR: Any = typer.BadParameter.__base__
"""Its own class, because typer may come with a copy of click rather than use the installed one."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the `nas` command."""
    from search_spaces import UserError

    share_the_cores()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # what its encoding cannot say
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
