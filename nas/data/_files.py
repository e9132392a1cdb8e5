"""Finding the files of a data set on this machine, and what is said when one cannot be read."""

import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nas.data._base import MissingDataError
from search_spaces import UserError

LAYOUTS = (
    "Allowed: a folder of class folders, or of train/, test/ and val/ with class folders in them; "
    "a Parquet file with images, or a folder of such; an .npz file with images and labels; images "
    "and masks of the same names in images/ and masks/, or in such folders of each split."
)
OWN_PATH = "the path that --data names"
"""Where images of the user's own come from."""

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLIT_OF_WORD = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "dev": VALIDATION,
    "test": TEST,
    "testing": TEST,
}

SHOWN_DAMAGED = 10

_log = logging.getLogger(__name__)


class DamagedError(UserError):
    """A file, or an image in it, cannot be read.

    Attributes:
        short: Which, and why, for a list of several.
    """

    short: str = ""


def refuse_damaged(damaged: Sequence[DamagedError], data: Path) -> None:
    """Name all that cannot be read at once, up to a number.

    Raises:
        UserError: If anything is damaged.
    """
    if len(damaged) == 1:
        raise UserError(f"{damaged[0]} Or leave it out with --skip-corrupt.")
    if damaged:
        shown = ", ".join(error.short for error in damaged[:SHOWN_DAMAGED])
        more = len(damaged) - SHOWN_DAMAGED
        raise UserError(
            f"data '{data}': {len(damaged)} images cannot be read: {shown}"
            f"{f' and {more} more' if more > 0 else ''}. Replace them with fresh copies, delete "
            "them, or leave them out with --skip-corrupt."
        )


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
    folders = [*usual_folders(name, data_dir), installed]
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


def usual_folders(name: str, data_dir: Path | None) -> list[Path]:
    """Where the files of a named data set may be, the first place first."""
    roots = [data_dir, Path(os.environ["NAS_DATA"]) if os.environ.get("NAS_DATA") else None]
    return [folder for root in roots if root for folder in (root / name, root)]


def find_parquet(folder: Path) -> list[tuple[str | None, Path]]:
    """The Parquet files of a data set, each with its split if its name or its folder's says so.

    They lie in the folder itself, in its split folders, or likewise in one folder of any name below
    it, as the Hugging Face Hub has them; `data` is preferred if there are several.

    Returns:
        Sorted by path; nothing if there are none.

    Raises:
        UserError: If a folder cannot be read, or several folders below hold data sets.
    """
    with readable(folder):
        own = _parquet_in(folder)
        if own:
            return own
        below = {sub.name: _parquet_in(sub) for sub in contents(folder) if sub.is_dir()}
    found = {name: files for name, files in below.items() if files}
    if len(found) > 1 and "data" not in found:
        raise UserError(
            f"data '{folder}' has Parquet files in {len(found)} folders: {', '.join(found)}. "
            "Name one of them as the data."
        )
    return found.get("data") or next(iter(found.values()), [])


def contents(folder: Path) -> list[Path]:
    """What is in a folder, sorted by name, without what is hidden or is left by a Mac's archiver.

    Raises:
        OSError: If the folder cannot be read.
    """
    return sorted(e for e in folder.iterdir() if not e.name.startswith((".", "__MACOSX")))


@contextmanager
def readable(
    where: Path | str, remedy: str = "Replace it with a fresh copy, or delete it."
) -> Iterator[None]:
    """Turns whatever reading a file raises into one message that names it.

    Raises:
        UserError: Instead of any other exception.
    """
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"data file '{where}' is gone, or a link to nothing. {remedy}") from error
    except PermissionError as error:
        raise UserError(
            f"data file '{where}' may not be read by this user. Change its permissions."
        ) from error
    # NOTE: decoders that meet a damaged file raise anything, from struct.error to SyntaxError.
    except Exception as error:
        fact = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        damaged = DamagedError(f"data file '{where}' cannot be read: {fact}. {remedy}")
        damaged.short = f"'{where}' ({fact})"
        raise damaged from error


def _parquet_in(folder: Path) -> list[tuple[str | None, Path]]:
    found: list[tuple[str | None, Path]] = []
    # NOTE: names, not paths: a class folder may have a million images.
    for name in sorted(os.listdir(folder)):
        if _is_parquet(name):
            words = re.split(r"[^a-z]+", name.lower())
            split = next((SPLIT_OF_WORD[word] for word in words if word in SPLIT_OF_WORD), None)
            found.append((split, folder / name))
        elif name.lower() in SPLIT_OF_WORD and (folder / name).is_dir():
            files = [file for file in sorted(os.listdir(folder / name)) if _is_parquet(file)]
            found += [(SPLIT_OF_WORD[name.lower()], folder / name / file) for file in files]
    return found


def _is_parquet(name: str) -> bool:
    return name.lower().endswith(".parquet") and not name.startswith(".")


def _found(folder: Path, files: Sequence[str]) -> str:
    absent = _absent(folder, files)
    if len(absent) == len(files):
        return f"'{folder}': {'none of them' if os.path.isdir(folder) else 'no such folder'}"
    return f"'{folder}': all but {', '.join(absent)}"


def _absent(folder: Path, files: Sequence[str]) -> list[str]:
    # NOTE: os.path, because Path.is_file raises in a folder that may not be read.
    return [file for file in files if not os.path.isfile(folder / file)]
