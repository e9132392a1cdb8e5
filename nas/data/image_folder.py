"""Folders of images: one folder per class, or train, test and val folders that hold class folders.

Class folders may have folders of their own; their images count as the class's. Images beside class
folders and files whose suffix is no image's are passed over, and counted; a file with an image's
suffix that cannot be decoded is an error, unless such are to be left out. Classes are sorted by
name. Links are followed.
"""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import final

import numpy as np

from nas.data._base import DATA, AbstractData, DataSet, MissingDataError, Request
from nas.data._decode import Content
from nas.data._files import LAYOUTS, OWN_PATH, SPLIT_OF_WORD, TRAIN, contents, readable
from nas.data._foreign import refuse_foreign
from nas.data._names import Names
from nas.data._source import AbstractSource, Index, stamp
from nas.data._store import load_source
from search_spaces import UserError

SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"),
    *(".pnm", ".jpe", ".jfif", ".jp2", ".j2k", ".avif", ".dib", ".tga"),
)

SHOWN = 3
"""Images named of those that have no class."""


@final
@DATA.register
class ImageFolder(AbstractData):
    """A folder of class folders; missing splits are held out of train."""

    def load(self, request: Request) -> DataSet:
        """List the folder and decode its images."""
        path = request.data_dir
        if path is None:
            raise MissingDataError(
                "data 'image-folder' needs a folder. Give its path: --data PATH. " + LAYOUTS
            )
        if not path.is_dir():
            raise UserError(f"data '{path}' is a file, not a folder of class folders. {LAYOUTS}")
        return load_source(FolderSource(path), request, name=path.resolve().name or "data")

    def where(self, data_dir: Path | None) -> str:
        """See `AbstractData.where`."""
        return OWN_PATH


@final
class FolderSource(AbstractSource):
    """The images below a folder, listed once."""

    def __init__(self, path: Path) -> None:
        refuse_foreign(path)
        self._path = path
        self._passed_over: Counter[str] = Counter()
        self._of_no_class: list[str] = []
        self._folders = {
            split: {folder.name: folder for folder in folders}
            for split, folders in self._class_folders().items()
        }
        self._files = {
            split: {name: self._images_in(folder) for name, folder in folders.items()}
            for split, folders in self._folders.items()
        }
        self._classes = tuple(sorted(self._files[TRAIN]))
        self._check_classes()

    @property
    def path(self) -> Path:
        """The folder."""
        return self._path

    def stamps(self) -> Iterator[str]:
        """One line per image."""
        return (stamp(where, self._path) for where, _ in self.images())

    def index(self) -> Index:
        """Classes are the names of the folders in train."""
        labels = {
            split: np.repeat(
                np.arange(len(self._classes)), [len(of.get(name, ())) for name in self._classes]
            )
            for split, of in self._files.items()
        }
        count = sum(self._passed_over.values())
        kinds = ", ".join(sorted(self._passed_over))
        notes = [f"{count} files or folders were passed over ({kinds})"] if count else []
        if self._of_no_class:
            first = ", ".join(f"'{name}'" for name in self._of_no_class[:SHOWN])
            more = ", ..." if self._of_no_class[SHOWN:] else ""
            notes.append(
                f"{len(self._of_no_class)} images beside class folders were passed over, as they "
                f"have no class: {first}{more}"
            )
        classes = tuple(os.fsencode(name).decode("utf-8", "replace") for name in self._classes)
        return Index(classes=classes, labels=labels, note="; ".join(notes))

    def images(self) -> Iterator[tuple[str, Content]]:
        """Paths; split by split, class by class."""
        for split, of in self._files.items():
            for name in self._classes:
                if name in of:
                    folder = os.path.join(self._folders[split][name], "")
                    yield from ((folder + file, folder + file) for file in of[name])

    def _class_folders(self) -> dict[str, list[Path]]:
        """The class folders of each split there is."""
        folders = _folders_in(self._path)
        named = [folder for folder in folders if folder.name.lower() in SPLIT_OF_WORD]
        below = {folder: _folders_in(folder) for folder in named}
        has_train = any(below[f] and SPLIT_OF_WORD[f.name.lower()] == TRAIN for f in named)
        if not has_train and (not named or len(named) < len(folders)):
            self._count_images_in(self._path)
            return {TRAIN: folders}
        found: dict[str, list[Path]] = {}
        for folder in named:
            split = SPLIT_OF_WORD[folder.name.lower()]
            if split in found:
                raise UserError(
                    f"data '{self._path}' has two folders for {split}, one is '{folder.name}'. "
                    "Join them into one."
                )
            if not below[folder]:
                raise UserError(
                    f"data '{folder}' has no class folders. Put its images into one folder per "
                    "class, or take it away."
                )
            self._count_images_in(folder)
            found[split] = below[folder]
        if TRAIN not in found:
            names = ", ".join(f"'{folder.name}'" for folder in named)
            raise UserError(
                f"data '{self._path}' has {names} but no 'train' folder. Add it, or name the "
                "folder that holds the class folders."
            )
        self._passed_over.update(f"{f.name}/" for f in folders if f not in below)
        return found

    def _count_images_in(self, folder: Path) -> None:
        """Note the images that lie directly in a folder of class folders."""
        with readable(folder):
            self._of_no_class += [
                os.path.relpath(entry, self._path)
                for entry in contents(folder)
                if entry.suffix.lower() in SUFFIXES and not entry.is_dir()
            ]

    def _images_in(self, folder: Path) -> Names:
        """A class's images, sorted by folder and name, by their paths below its folder."""
        found = Names()
        self._add_images(found, folder, "", frozenset())
        return found

    def _add_images(
        self, found: Names, folder: Path, prefix: str, above: frozenset[tuple[int, int]]
    ) -> None:
        """Adds the images in a folder, whose path below the class's is the prefix."""
        with readable(folder):
            status = os.stat(folder)
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        this = (status.st_dev, status.st_ino)
        if this in above:
            raise UserError(f"data folder '{folder}' is a link back to itself. Remove the link.")
        for entry in entries:
            suffix = os.path.splitext(entry.name)[1].lower()
            if entry.name.startswith((".", "__MACOSX")):
                continue
            if _is_folder(entry):
                inner = f"{prefix}{entry.name}{os.sep}"
                self._add_images(found, Path(entry.path), inner, above | {this})
            elif suffix in SUFFIXES:
                found.append(prefix + entry.name)
            else:
                self._passed_over[suffix or "no suffix"] += 1

    def _check_classes(self) -> None:
        for name, images in self._files[TRAIN].items():
            if not len(images):
                raise UserError(
                    f"data folder '{self._folders[TRAIN][name]}' has no image. Add images "
                    f"({', '.join(SUFFIXES[:7])}, ...), or delete the folder."
                )
        for split, of in self._files.items():
            foreign = sorted(of.keys() - self._files[TRAIN].keys())
            if foreign:
                raise UserError(
                    f"data '{self._path}': {split} has class '{foreign[0]}', which train does not "
                    f"have ({len(foreign)} such). Name class folders alike in every split."
                )


def _folders_in(folder: Path) -> list[Path]:
    with readable(folder):
        return [entry for entry in contents(folder) if entry.is_dir()]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: whoever reads it says so
        return False
