"""Finding the files of a data set on this machine."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from nas.data._base import MissingDataError

_log = logging.getLogger(__name__)


def find_folder(
    name: str, files: Sequence[str], *, data_dir: Path | None, installed: Path, package: str
) -> Path:
    """The first folder that holds all of `files`.

    Searched in this order: `data_dir`, the folder that the environment variable NAS_DATA names (in
    both first in a sub-folder called `name`, because file names of data sets clash), `installed`.

    Args:
        name: The data set's name.
        files: File names, without a folder.
        data_dir: The user's folder, if there is one.
        installed: Where Debian's package puts the files.
        package: The name of that package.

    Raises:
        MissingDataError: If no folder holds them all.
    """
    roots = [data_dir, Path(os.environ["NAS_DATA"]) if os.environ.get("NAS_DATA") else None]
    folders = [folder for root in roots if root for folder in (root / name, root)] + [installed]
    for folder in folders:
        if not _absent(folder, files):
            _log.info("data '%s': read from '%s'.", name, folder)
            return folder
    searched = "".join(f"\n  {_found(folder, files)}" for folder in folders)
    raise MissingDataError(
        f"data '{name}' is not on this machine. It needs the files {', '.join(files)}. "
        f"Searched:{searched}\n"
        f"  Run: apt-get install {package}, or name the folder with --data-dir or NAS_DATA."
    )


def _found(folder: Path, files: Sequence[str]) -> str:
    absent = _absent(folder, files)
    if len(absent) == len(files):
        return f"'{folder}': {'none of them' if os.path.isdir(folder) else 'no such folder'}"
    return f"'{folder}': all but {', '.join(absent)}"


def _absent(folder: Path, files: Sequence[str]) -> list[str]:
    # NOTE: os.path, because Path.is_file raises in a folder that may not be read.
    return [file for file in files if not os.path.isfile(folder / file)]
