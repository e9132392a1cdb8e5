"""Writing files so that a crash, a kill or a full disk leaves the old content or the new, whole."""

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from search_spaces import UserError

Record = TypeVar("Record")


def write_text(path: Path, text: str) -> None:
    """Replace a file's content: temporary file, fsync, rename.

    Raises:
        OSError: If the disk is full or the folder cannot be written; the old content is untouched.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise _naming(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, document: Any) -> None:
    """Replace a file's content by a JSON document."""
    write_text(path, json.dumps(document, indent=1) + "\n")


def read_json(path: Path) -> Any:
    """The JSON document in a file.

    Raises:
        UserError: If the file is damaged.
    """
    with understood(f"'{path}'"):
        return json.loads(path.read_text(encoding="utf-8"))


def append_line(path: Path, document: Any) -> None:
    """Append one JSON document as a line, synced to disk before this returns.

    A torn last line is cut off first. If the line cannot be written whole, the file is cut back to
    what it was.
    """
    line = (json.dumps(document, separators=(",", ":")) + "\n").encode()
    cut_torn_line(path)
    # NOTE: not buffered, or closing the file would write what did not fit once more.
    with path.open("ab", buffering=0) as file:
        before = file.seek(0, os.SEEK_END)
        try:
            if file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())
        except OSError as error:
            os.truncate(path, before)
            raise _naming(path, error) from error


def read_lines(path: Path, parse: Callable[[Any], Record]) -> list[Record]:
    """What the lines of a file say; a torn last line (a kill while writing) is cut off.

    Args:
        path: The file; no lines if there is none.
        parse: From one line's JSON document to what it says.

    Raises:
        UserError: If any other line is damaged.
    """
    if not path.exists():
        return []
    cut_torn_line(path)
    records = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        remedy = "or delete that line and all after it to compute them again"
        with understood(f"line {number} of '{path}'", remedy):
            records.append(parse(json.loads(line)))
    return records


@contextmanager
def understood(place: str, remedy: str = "or delete it to compute it again") -> Iterator[None]:
    """Turns what a document lacks, or has too much, into one message.

    Args:
        place: The document's file, for the message.
        remedy: What helps if there is no copy of it.

    Raises:
        UserError: Instead of the errors that reading a damaged document raises.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        fact = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise UserError(
            f"{place} is damaged: {fact.rstrip('.')}. Restore it from a copy, {remedy}."
        ) from error


def cut_torn_line(path: Path) -> None:
    """Cut off what a kill left of the line that was being written; does nothing to whole files."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - 1))
        if end and file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


def _naming(path: Path, error: OSError) -> OSError:
    """The error with the file's name, which writing to an open file does not give."""
    return OSError(error.errno, error.strerror or str(error), str(path))
