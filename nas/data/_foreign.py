"""Folders of other tasks' images, which would pass for class folders: recognised and refused.

Known are images beside masks (segmentation), which `mask-folder` reads, and beside boxes in the
layouts of YOLO, COCO and Pascal VOC (detection).
"""

from collections.abc import Iterator
from pathlib import Path

from nas.data._files import LAYOUTS, SPLIT_OF_WORD, contents, readable
from search_spaces import UserError

IMAGES = ("images", "image", "imgs", "img", "jpegimages")
BESIDE = {
    "masks": "segmentation",
    "mask": "segmentation",
    "segmentations": "segmentation",
    "segmentationclass": "segmentation",
    "labels": "detection",
    "annotations": "detection",
}
"""Folders of what belongs to each image, and of which task they are."""

RECORDS = (".json", ".xml", ".txt")
"""What boxes are written in."""


def refuse_foreign(folder: Path) -> None:
    """Refuse a folder that is laid out for another task than classification.

    Raises:
        UserError: Naming what it was known by, and the layouts that are read.
    """
    for place, names in _places(folder):
        found = _sign(place, names)
        if found:
            raise UserError(
                f"data '{folder}': {found}. This is image classification: each image is of one "
                f"class. {LAYOUTS}"
            )


def _places(folder: Path) -> Iterator[tuple[Path, dict[str, Path]]]:
    """The folder and its split folders, with what is in them by name in small letters."""
    with readable(folder):
        names = {entry.name.lower(): entry for entry in contents(folder)}
        yield folder, names
        for name, entry in names.items():
            if name in SPLIT_OF_WORD and entry.is_dir():
                yield entry, {inner.name.lower(): inner for inner in contents(entry)}


def _sign(place: Path, names: dict[str, Path]) -> str:
    """What in a folder speaks for another task; "" if nothing does."""
    for name, path in names.items():
        if name.endswith(".coco.json"):
            return f"'{path}' has the boxes of object detection"
    images = next((names[name] for name in IMAGES if name in names), None)
    for name, task in BESIDE.items():
        if name in names and names[name].is_dir():
            if images is not None:
                return f"'{images.name}' beside '{names[name].name}' in '{place}' is for {task}"
            if _has_records_alone(names[name]):
                return f"'{names[name]}' has records for {task}, not images"
    return ""


def _has_records_alone(folder: Path) -> bool:
    suffixes = {entry.suffix.lower() for entry in contents(folder) if not entry.is_dir()}
    return bool(suffixes) and suffixes <= {*RECORDS}
