"""Writing files so that a crash, a kill or a full disk leaves the old content or the new, whole."""

import json
import os
from pathlib import Path
from typing import Any

from search_spaces import UserError


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
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(
            f"'{path}' is not a JSON document ({error}). "
            "Restore it from a copy, or delete it to compute it again."
        ) from error


def append_line(path: Path, document: Any) -> None:
    """Append one JSON document as a line, synced to disk before this returns.

    If the line cannot be written whole, the file is cut back to what it was.
    """
    line = (json.dumps(document, separators=(",", ":")) + "\n").encode()
    with path.open("ab") as file:
        before = file.tell()
        try:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            os.truncate(path, before)
            raise


def read_lines(path: Path) -> list[Any]:
    """The JSON documents of a file's lines; a torn last line (a kill while writing) is cut off.

    Raises:
        UserError: If any other line is damaged.
    """
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        os.truncate(path, len(whole))
    documents = []
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            documents.append(json.loads(line))
        except ValueError as error:
            raise UserError(
                f"line {number} of '{path}' is damaged ({error}). Restore it from a copy, or "
                "delete that line and all after it to compute them again."
            ) from error
    return documents
