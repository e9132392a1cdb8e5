"""The one door to data: from what a user wrote, a name or a path, to a data set.

A path is read by the plug-in of its layout:

- `image-folder`: a folder of class folders, or of split folders (train, test, val) of class folders
- `parquet`: a Parquet file in the Hugging Face image layout, or a folder of them
- `npz`: an .npz file of images and labels
- `mask-folder`: folders of images and of masks

Naming the plug-in and giving the path as the data folder is the same.
"""

import os
import re
from pathlib import Path
from typing import cast

from nas.data._asked import accepting, asked, larger
from nas.data._base import DATA, HELD_GB, AbstractData, Accept, DataSet, Progress, Request
from nas.data._files import LAYOUTS, contents, find_parquet, readable
from nas.data._mask_layout import MASK_LAYOUT, mask_places
from search_spaces import (
    AbstractImageTask,
    Resolution,
    Sides,
    UserError,
    did_you_mean,
    resolution_of,
    wanted_task,
)

DEFAULT_CACHE = Path("runs") / ".cache"
KIND_OF_SUFFIX = {".parquet": "parquet", ".npz": "npz"}
LONGEST_LABEL = 40


def load_data(
    data: str,
    *,
    task: str = "",
    resolution: Resolution | Sides | None = None,
    data_dir: Path | None = None,
    seed: int = 0,
    cache: Path | None = None,
    progress: Progress = lambda done, of, text: None,
    accept: Accept = lambda resolution, channels, num_outputs: None,
    skip_corrupt: bool = False,
    held_gb: float = HELD_GB,
) -> DataSet:
    """Read or generate a data set.

    Args:
        data: A data set's name, or the path of files in one of the layouts above.
        task: What is asked of the images, such as "super-resolution:scale=3", or what their labels
            must be for, such as "segmentation"; "" for what the labels say.
        resolution: Height and width in pixels of what networks see: 96, "96x128" or (96, 128); None
            for the data's own.
        data_dir: Where the files of a named data set are; None to search the usual places.
        seed: Decides what is held out, the order of images and all that is generated.
        cache: Folder for decoded images; None for `DEFAULT_CACHE`.
        progress: Told how far reading is.
        accept: Told resolution, channels and number of outputs of the user's own images before they
            are decoded; raises what speaks against them.
        skip_corrupt: Whether images of the user's own that cannot be read are left out.
        held_gb: Size of all decoded images, 10^9 bytes, above which those of train are decoded
            while training runs, not before.

    Raises:
        UserError: If there is no such data set, its files are missing or damaged, or the
            resolution or seed cannot be used.
    """
    size = None if resolution is None else resolution_of(resolution)
    question = wanted_task(task) if task else None
    if isinstance(question, AbstractImageTask):
        size = None if size is None else larger(size, question)
        accept = accepting(accept, question)
    if seed < 0:
        raise UserError(f"data '{data}': seed {seed} is negative. Use 0 or more.")
    cache = cache or DEFAULT_CACHE
    if cache.exists() and not cache.is_dir():
        raise UserError(f"cache '{cache}' is a file. Name a folder with --cache.")
    refuse_unknown_data(data)
    name, folder = data, data_dir
    if not is_name(data):
        folder = Path(absolute_if_path(data))
        name = kind_of(folder)
        if data_dir is not None:
            raise UserError(
                f"data '{data}' is a path, and a data folder '{data_dir}' is given too. "
                "Leave out --data-dir: it says where the files of a named data set are."
            )
    elif folder is not None and not os.path.exists(folder):
        raise UserError(
            f"data '{data}': the data folder '{data_dir}' is not a folder that exists. "
            "Give --data-dir the folder that holds the files."
        )
    plugin = cast(type[AbstractData], DATA.get(name))
    found = plugin().load(
        Request(
            resolution=size,
            data_dir=folder,
            seed=seed,
            cache=cache,
            progress=progress,
            accept=accept,
            skip_corrupt=skip_corrupt,
            held_gb=held_gb,
        )
    )
    if isinstance(question, AbstractImageTask):
        return asked(found, question, task.partition(":")[0])
    if task and found.task != task:
        raise UserError(
            f"data '{data}' has labels for {found.task}, and task '{task}' needs masks beside "
            f"images. Give --data digit-scenes, or a folder. {MASK_LAYOUT}"
        )
    return found


def is_name(data: str) -> bool:
    """Whether this names a plug-in; if not, it should be a path."""
    return data in DATA


def absolute_if_path(data: str) -> str:
    """A path that exists as an absolute one, so that it means the same everywhere; else unchanged.

    Raises:
        UserError: If the path cannot be written into a text file.
    """
    path = os.path.abspath(os.path.expanduser(data)) if data and "\0" not in data else ""
    if is_name(data) or not os.path.exists(path):
        return data
    try:
        path.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError(
            f"data {data!r}: the path has bytes that are not UTF-8. Rename it, or link to it."
        ) from error
    return path


def label_of(data: str) -> str:
    """What may stand for the data in a file's name: its name, or the last part of its path."""
    words = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(data).stem if os.sep in data else data)
    return words[:LONGEST_LABEL].strip("-.") or "data"


def kind_of(path: Path) -> str:
    """The plug-in that reads the layout at `path`.

    Raises:
        UserError: If no plug-in does.
    """
    if not path.is_dir():
        kind = KIND_OF_SUFFIX.get(path.suffix.lower())
        if kind is None:
            raise UserError(f"data '{path}' is a file of no kind that is known. {LAYOUTS}")
        return kind
    if find_parquet(path):
        return "parquet"
    if mask_places(path):
        return "mask-folder"
    with readable(path):
        entries = contents(path)
    if any(entry.is_dir() for entry in entries):
        return "image-folder"
    arrays = [entry.name for entry in entries if entry.suffix.lower() == ".npz"]
    if arrays:
        raise UserError(f"data '{path}' holds '{arrays[0]}'. Name the file itself as the data.")
    raise UserError(f"data '{path}': {_said(entries)}. {LAYOUTS}")


def _said(entries: list[Path]) -> str:
    if not entries:
        return "the folder is empty"
    names = ", ".join(f"'{entry.name}'" for entry in entries[:3])
    return f"it holds {len(entries)} files and no folder: {names}{', ...' if entries[3:] else ''}"


def refuse_unknown_data(data: str) -> None:
    """See that this names a data set, or is a path of something that exists.

    Raises:
        UserError: Naming what is known.
    """
    path = Path(absolute_if_path(data))
    if is_name(data) or (data and "\0" not in data and os.path.exists(path)):
        return
    if os.sep in data or path.suffix:
        raise UserError(f"data '{data}': there is no such file or folder. {LAYOUTS}")
    raise UserError(
        f"unknown data set '{data}', and no file or folder of that name. "
        f"{did_you_mean(data, DATA.names())} Or name the path of your own data, or a plug-in "
        "file with --plugin FILE.py."
    )
