"""Documents on disk: written whole or not at all; whatever is wrong with one is one message.

After a crash, a kill or a full disk a file has the old content or the new. A document is a JSON
object. It may say by which schema it is written, and it ends with a checksum of its other fields,
so that a number that changed on disk is never taken for one that was measured. config.toml ends
with one in a comment. Documents without schema or checksum are read as they are.
"""

import errno
import hashlib
import json
import logging
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from search_spaces import UserError
from supernets.files import replacing

if TYPE_CHECKING:
    from filelock import BaseFileLock

Record = TypeVar("Record")
Json = dict[str, Any]

_log = logging.getLogger(__name__)

SCHEMA = 1
"""Of the documents of a run; one with another number is refused."""

CHECKSUM = "crc32"
TEXT_CHECKSUM = f"# {CHECKSUM} = "
ALTERED = "its content is not what was written (the checksum differs)"
DELETE = "or delete it to compute it again"
IN_THE_WAY = (IsADirectoryError, NotADirectoryError, FileExistsError)
MAKE_WAY = "Move what is in its place away, and give the same command again."
DAMAGES = (
    *(LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError),
    AssertionError,
)
"""What reading a document of another shape raises; types assert what only they write."""


class OtherVersionError(UserError):
    """A document that another version of this program wrote."""


def write_text(path: Path, text: str) -> None:
    """Replace a file's content as a whole.

    Raises:
        OSError: If the disk is full or the folder cannot be written; the old content is untouched.
    """
    try:
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _naming(path, error) from error


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Replace a file's content by a JSON document."""
    write_text(path, json.dumps(sealed(document), indent=1) + "\n")


def read_json(path: Path) -> Json:
    """The JSON document in a file.

    Raises:
        UserError: If the file is damaged, or another version's.
    """
    with understood(f"'{path}'"):
        return unsealed(json.loads(path.read_text(encoding="utf-8")))


def given_object(text: str, what: str) -> Json:
    """The JSON object in a text of the user that is one, or in the file that it names.

    Args:
        text: Either.
        what: How messages call it.

    Raises:
        UserError: If there is no such file, or no object in it.
    """
    is_json = text.lstrip().startswith("{")
    place = what if is_json else f"{what} '{text}'"
    try:
        document = json.loads(text if is_json else Path(text).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"{place} cannot be read: {error.strerror}. Give a JSON file.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{place} is not JSON: {error}. Give a JSON object.") from error
    if not isinstance(document, dict):
        raise UserError(f"{place} is {document!r:.40}. It must be a JSON object.")
    return document


def sealed(document: Mapping[str, Any]) -> Json:
    """A document with its checksum."""
    return {**document, CHECKSUM: _checksum(document)}


def unsealed(document: Any) -> Json:
    """A document without its checksum, if that is right.

    Raises:
        OtherVersionError: If its schema is not ours.
        ValueError: If it is no object, or not what was written.
    """
    if not isinstance(document, dict):
        raise ValueError(f"expected a JSON object, found {document!r:.40}")
    check_schema(document)
    content = {name: value for name, value in document.items() if name != CHECKSUM}
    if document.get(CHECKSUM, found := _checksum(content)) != found:
        raise ValueError(ALTERED)
    return content


def sealed_text(text: str) -> str:
    """A text of whole lines with its checksum as a comment of TOML."""
    return f"{text}{TEXT_CHECKSUM}{zlib.crc32(text.encode())}\n"


def check_text(text: str) -> None:
    """Compare a text with the checksum that it may end with.

    Raises:
        ValueError: If it is not what was written.
    """
    content, mark, found = text.rpartition(TEXT_CHECKSUM)
    if mark and found.strip() != str(zlib.crc32(content.encode())):
        raise ValueError(ALTERED)


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_schema(document: Mapping[str, Any]) -> None:
    """Refuse a document that another version wrote.

    Raises:
        OtherVersionError: Saying which schema it has.
    """
    schema = document.get("schema", SCHEMA)
    if schema != SCHEMA or isinstance(schema, bool):
        raise OtherVersionError(
            f"has schema {schema!r:.40}, this version reads {SCHEMA}. Use the version of "
            "pareto-nas that wrote it, or begin a new run with --out."
        )


def make_folder(path: Path) -> Path:
    """The folder, made if it is missing.

    Raises:
        UserError: If something else is in its place.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _naming(path, error) from error
    return path


def append_line(path: Path, document: Mapping[str, Any]) -> None:
    """Append one JSON document as a line, synced to disk before this returns.

    A torn last line is cut off first. If the line cannot be written whole, the file is cut back to
    what it was.
    """
    line = (json.dumps(sealed(document), separators=(",", ":")) + "\n").encode()
    try:
        cut_torn_line(path)
        # NOTE: not buffered, or closing the file would write what did not fit once more.
        with path.open("ab", buffering=0) as file:
            before = file.seek(0, os.SEEK_END)
            try:
                if file.write(line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
            except OSError:
                os.truncate(path, before)
                raise
    except OSError as error:
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
    with understood(f"'{path}'"):
        cut_torn_line(path)
        lines = path.read_bytes().splitlines()
    records = []
    for number, line in enumerate(lines, start=1):
        remedy = "or delete that line and all after it to compute them again"
        with understood(f"line {number} of '{path}'", remedy):
            records.append(parse(unsealed(json.loads(line))))
    return records


def read_log(path: Path, parse: Callable[[Any], Record]) -> list[Record]:
    """What the whole lines of a file say on which no result depends: damaged ones are left out.

    Args:
        path: The file; no lines if there is none.
        parse: As for `read_lines`.

    Raises:
        UserError: If another version wrote it, or it is no file.
    """
    if not path.exists():
        return []
    records, num_damaged = [], 0
    with understood(f"'{path}'"):
        content = path.read_bytes()
        for line in content[: content.rfind(b"\n") + 1].splitlines():
            try:
                records.append(parse(unsealed(json.loads(line))))
            except OtherVersionError:
                raise
            except DAMAGES:
                num_damaged += 1
    if num_damaged:
        _log.warning(
            "'%s': %d damaged lines are left out; no result depends on them.", path, num_damaged
        )
    return records


@contextmanager
def understood(place: str, remedy: str = DELETE) -> Iterator[None]:
    """Turns what a document lacks, or has too much, into one message.

    Args:
        place: The document's file, for the message.
        remedy: What helps if there is no copy of it.

    Raises:
        UserError: Instead of the errors that reading a damaged document raises.
    """
    try:
        yield
    except OtherVersionError as error:
        raise UserError(f"{place} {error}") from error
    except IN_THE_WAY as error:
        raise UserError(f"{place} is no file: {error.strerror}. {MAKE_WAY}") from error
    except DAMAGES as error:
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


def file_lock(path: Path) -> "BaseFileLock":
    """A lock for one process and thread at a time, not held yet.

    The operating system releases it however the process ends; the file stays. Any thread may
    release it.
    """
    from filelock import FileLock  # which agents on devices do without

    # NOTE: where a file system has no locks, the library would make do with a file's existence,
    # which outlives a process that is killed.
    return FileLock(path, thread_local=False, fallback_to_soft=False)


def _naming(path: Path, error: OSError) -> OSError | UserError:
    """The error with the file's name, which writing to an open file does not give."""
    if isinstance(error, IN_THE_WAY):
        return UserError(f"'{path}' cannot be written: {error.strerror}. {MAKE_WAY}")
    return OSError(error.errno, error.strerror or str(error), str(path))


def _checksum(document: Mapping[str, Any]) -> int:
    """Of what reading the document back gives, however it is laid out in the file."""
    read_back = json.loads(json.dumps(document))
    return zlib.crc32(json.dumps(read_back, sort_keys=True, separators=(",", ":")).encode())
