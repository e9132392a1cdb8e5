"""The entry point of the `nas` command.

A user's mistake is one message and exit code 2; a full disk, a lack of memory, another failure of
the machine or an empty front one message and exit code 1; Ctrl-C exit code 130; output that nobody
reads any more (`| head`) silence and exit code 141, as the shell has it. Anything else is a bug and
keeps its traceback. The commands are imported inside, so that Ctrl-C is understood meanwhile.
"""

import io
import logging
import os
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any, NoReturn, final

from nas.cli.codes import FAILED, INTERRUPTED, OK, UNREAD, WRONG_USE
from nas.system.cores import share_the_cores
from nas.system.text import printable
from supernets.device import is_helper, num_launched

SHARER = "multiprocessing.resource_sharer"

FOR_RANKS = ("train", "search", "compress")
"""Commands whose training processes of torchrun share."""

NOTHING_DONE = {"--help", "-h", "--dry-run"}
"""Flags with which they share nothing."""

LACK_OF_MEMORY = (
    *("allocate memory", "out of memory", "bad_alloc", "failed to map segment"),
    *("can't start new thread", "could not create a primitive"),
)
"""What libraries say that have no error of their own for it; the last is oneDNN's."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the `nas` command."""
    try:
        _open_streams()
        sys.excepthook = _print_uncaught
        share_the_cores()
        code = _run(arguments)
    except KeyboardInterrupt:
        if is_helper():
            sys.exit(INTERRUPTED)  # the first of torchrun's processes says so
        _exit("nas: interrupted; the same command continues.", INTERRUPTED)
    sys.exit(code)


def _run(arguments: Sequence[str] | None) -> int:
    from typer import Abort

    from nas.cli.commands import USAGE_ERROR, app
    from search_spaces import UserError

    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_Printable())
    try:
        code = _command(app, arguments)
        sys.stdout.flush()
    except UserError as error:
        _exit(f"nas: {error}", WRONG_USE)
    except USAGE_ERROR as error:
        error.show()
        sys.exit(WRONG_USE)
    except Abort as error:
        raise KeyboardInterrupt from error
    except BrokenPipeError:
        _end_unread()
    except SystemExit as error:  # which typer and rich make of it
        if isinstance(error.__context__, BrokenPipeError):
            _end_unread()
        raise
    except (MemoryError, RuntimeError, ImportError, OSError) as error:
        message = _message_of(error)
        if not message:
            raise
        _exit(f"nas: {message}", FAILED)
    return code if isinstance(code, int) else OK


def _command(app: Any, arguments: Sequence[str] | None) -> object:
    """What the command gives back; in one of torchrun's processes, with the others."""
    if num_launched() == 1:
        return _carried_out(app, arguments)
    if not _is_for_ranks(sys.argv[1:] if arguments is None else arguments):
        return _refuse_ranks()
    from nas.system.environment import num_cores
    from supernets.ranks import commanding, serve

    if is_helper():
        serve()
        return OK
    with commanding(threads=num_cores()):
        return _carried_out(app, arguments)


def _is_for_ranks(arguments: Sequence[str]) -> bool:
    """Whether a command has something to share."""
    name = next(iter(arguments), "")
    return name in FOR_RANKS and NOTHING_DONE.isdisjoint(arguments)


def _refuse_ranks() -> int:
    """One message, by the first of torchrun's processes.

    Raises:
        UserError: There.
    """
    from search_spaces import UserError

    if is_helper():
        return OK  # at a failure torchrun would end the first one in the middle of its message
    raise UserError(
        f"torchrun has started {num_launched()} processes, and this command needs one. Give it "
        f"without torchrun; with it, `nas {FOR_RANKS[0]}`, `nas {FOR_RANKS[1]}` and "
        f"`nas {FOR_RANKS[2]}` share the steps of training."
    )


def _carried_out(app: Any, arguments: Sequence[str] | None) -> object:
    code = app(args=arguments, standalone_mode=False)
    if code == INTERRUPTED:  # typer makes an exit code of Ctrl-C
        raise KeyboardInterrupt
    return code


def _print_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """A traceback, but for that of the thread that passes on shared memory: whoever wanted it was
    interrupted, too."""
    place = trace.tb_frame.f_globals.get("__name__") if trace is not None else ""
    if place == SHARER and issubclass(kind, EOFError | OSError):
        return
    sys.__excepthook__(kind, error, trace)


@final
class _Printable(logging.Formatter):
    """Warnings have names in them, too."""

    def format(self, record: logging.LogRecord) -> str:
        """The message alone."""
        return printable(super().format(record))


def _open_streams() -> None:
    """Give closed streams (`>&-`) somewhere to go, or a file of ours would get their number.

    Of text that a stream's encoding lacks, something else is written.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _end_unread() -> NoReturn:
    """Who read our output has gone, such as `| head`."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(UNREAD)


def _message_of(error: Exception) -> str:
    """What to say of a failure of the machine; "" if it is none."""
    text = str(error)
    if isinstance(error, MemoryError) or any(words in text for words in LACK_OF_MEMORY):
        fact = f" ({text.splitlines()[0]:.200})" if text else ""
        return (
            f"there is not enough memory{fact}. Nothing recorded is lost; close other programs and "
            "give the same command to continue, or ask for less: a lower --resolution, fewer "
            "--threads or --workers."
        )
    if not isinstance(error, OSError) or not (error.filename or error.errno or text):
        return ""
    where = f" '{error.filename}'" if error.filename else ""
    fact = f"cannot read or write{where}: {error.strerror}" if error.strerror else text
    return f"{fact}. Nothing recorded is lost; mend it and give the same command to continue."


def _exit(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"{printable(message)}\n")
    sys.exit(code)
