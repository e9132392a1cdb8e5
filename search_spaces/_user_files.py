"""Python files of the user's, a space or a plug-in: read, executed, their errors one message."""

import importlib.util
import logging
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from search_spaces._errors import UserError

_log = logging.getLogger(__name__)


def read_source(file: Path) -> str:
    """The text of a Python file.

    Raises:
        UnicodeDecodeError: If it is not UTF-8, as which runs keep it.
    """
    return file.read_text(encoding="utf-8-sig")


def execute(name: str, text: str, place: str) -> ModuleType:
    """Make the module of that name from a text; it is known by it unless its code raises.

    Args:
        name: Of the module.
        text: Of its file, which need not be there.
        place: Of the file, for tracebacks.
    """
    spec = importlib.util.spec_from_loader(name, _Text(name, text, place))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses and pickles look for it
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


@contextmanager
def as_user_error(what: str, place: str, remedy: str) -> Iterator[None]:
    """Turns all that the user's code raises in this context into one message.

    Where Ctrl-C stops it is said in a warning.

    Args:
        what: Whose code it is.
        place: Of its file.
        remedy: What to do.

    Raises:
        UserError: Instead of any exception.
    """
    try:
        yield
    except UserError as error:
        raise UserError(f"{what}: {error}") from error
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        where = _line_of(error, place)
        raise UserError(
            f"{what} failed with {type(error).__name__}: {error}{where}. {remedy}"
        ) from error
    except KeyboardInterrupt as error:
        _log.warning("%s was interrupted%s. %s", what, _line_of(error, place), remedy)
        raise


def _line_of(error: BaseException, place: str) -> str:
    """In brackets, the line of the file that was being executed; "" if none was."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == place]
    return f" (line {lines[-1]})" if lines else ""


class _Text(SourceFileLoader):
    """Loads a module from text instead of its file, without bytecode of it."""

    def __init__(self, name: str, text: str, place: str) -> None:
        super().__init__(name, place)
        self._text = text

    def get_data(self, path: str) -> bytes:
        """The text."""
        return self._text.encode()

    def path_stats(self, path: str) -> Mapping[str, Any]:
        """There is no file whose bytecode could be used."""
        raise OSError
