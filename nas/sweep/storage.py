"""Run directories that lie somewhere else: worked on in a copy, and put back whole."""

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nas.system.files import make_folder
from search_spaces import UserError

LATEST = "latest"


def is_url(place: str) -> bool:
    """Whether a place is an fsspec URL and no path."""
    return "://" in place


@contextmanager
def working_copy(place: str, *, is_read_only: bool = False) -> Iterator[Path]:
    """The folder at a place, to be read and changed.

    A path is that folder itself. Of a URL it is a copy, put back at the end however that comes; of
    a process that is killed nothing is put back.

    Args:
        place: A path or an fsspec URL.
        is_read_only: Whether nothing is put back.

    Raises:
        UserError: If the URL cannot be used.
    """
    if not is_url(place):
        yield Path(place)
        return
    with tempfile.TemporaryDirectory(prefix="nas-") as temporary:
        folder = Path(temporary, "run")
        fetch(place, folder)
        try:
            yield folder
        finally:
            if folder.exists() and not is_read_only:
                put_back(folder, place)


def fetch(url: str, folder: Path) -> None:
    """Replace a folder by a copy of what is at the URL; nothing changes if nothing is there."""
    system, path = _located(url)
    name = _latest(system, path)
    if not name:
        return
    shutil.rmtree(folder, ignore_errors=True)
    make_folder(folder)
    system.get(f"{path}/{name}/", f"{folder}/", recursive=True)


def put_back(folder: Path, url: str) -> None:
    """Replace what is at the URL by a copy of the folder.

    It gets a folder of its own, `latest` then names that, and the one before it is deleted:
    whenever this is killed, what `latest` names is whole.
    """
    system, path = _located(url)
    before, name = _latest(system, path), uuid.uuid4().hex[:12]
    system.makedirs(f"{path}/{name}", exist_ok=True)
    system.put(f"{folder}/", f"{path}/{name}/", recursive=True)
    system.pipe_file(f"{path}/{LATEST}", name.encode())
    if before:
        system.rm(f"{path}/{before}", recursive=True)


def _latest(system: Any, path: str) -> str:
    """Name of the copy that is whole; "" for none."""
    file = f"{path}/{LATEST}"
    return system.cat_file(file).decode() if system.exists(file) else ""


def _located(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it."""
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise UserError(
            f"storage '{url}' cannot be used: {error}. Name an fsspec URL whose package is "
            "installed, such as file:///mnt/sweeps, or s3://bucket/sweeps with s3fs."
        ) from error
    return system, path.rstrip("/")
