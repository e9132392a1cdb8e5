"""Where images lie beside masks: `images/` and `masks/`, or folders of splits around or in them.

Folders may have the other names that are usual, such as `JPEGImages` and `SegmentationClass`, or
`annotations` if there are pictures in it.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from nas.data._files import SPLIT_OF_WORD, TRAIN, contents, readable
from nas.data._foreign import BESIDE, IMAGES
from search_spaces import UserError

MASKS = tuple(name for name, task in BESIDE.items() if task == "segmentation")
MAYBE_MASKS = ("annotations", "labels")
"""Folders of masks if there are pictures in them, and else of boxes."""

MASK_SUFFIXES = (".png", ".tif", ".tiff", ".gif", ".bmp")
MASK_LAYOUT = (
    "Allowed: images/NAME.jpg and masks/NAME.png, or folders train/, val/ and test/ around both or "
    "inside of both."
)

Places = dict[str, tuple[Path, Path]]
"""Folders of images and of their masks, by published split."""


def mask_places(folder: Path) -> Places:
    """Where images and masks are; nothing if the folder has not both.

    Raises:
        UserError: If a folder cannot be read, or two are of one split.
    """
    with readable(folder):
        own = _beside(folder)
        if own is None:
            around = ((word, _beside(inner)) for word, inner in _split_folders(folder))
            return _by_split(folder, ((word, pair) for word, pair in around if pair))
        images, masks = own
        of_masks = dict(_split_folders(masks))
        inside = ((w, (f, of_masks[w])) for w, f in _split_folders(images) if w in of_masks)
        splits = _by_split(folder, inside)
    return splits if TRAIN in splits else {TRAIN: own}


def _beside(folder: Path) -> tuple[Path, Path] | None:
    """The folders of images and of masks in this one; None if there are not both."""
    folders = {entry.name.lower(): entry for entry in contents(folder) if entry.is_dir()}
    images = next((folders[name] for name in IMAGES if name in folders), None)
    found = [folders[name] for name in MASKS if name in folders]
    found += [folders[name] for name in MAYBE_MASKS if name in folders]
    masks = next((f for f in found if f.name.lower() in MASKS or _has_pictures(f)), None)
    return None if images is None or masks is None else (images, masks)


def _has_pictures(folder: Path) -> bool:
    """Whether there are some in a folder, or in folders of splits in it."""
    places = (folder, *(inner for _, inner in _split_folders(folder)))
    return any(e.suffix.lower() in MASK_SUFFIXES for place in places for e in contents(place))


def _split_folders(folder: Path) -> Iterator[tuple[str, Path]]:
    """Folders that are called like splits, by their names in small letters."""
    for entry in contents(folder):
        if entry.name.lower() in SPLIT_OF_WORD and entry.is_dir():
            yield entry.name.lower(), entry


def _by_split(folder: Path, found: Iterable[tuple[str, tuple[Path, Path]]]) -> Places:
    splits: Places = {}
    for word, pair in found:
        split = SPLIT_OF_WORD[word]
        if split in splits:
            raise UserError(
                f"data '{folder}' has two folders for {split}, one is '{word}'. Join them into one."
            )
        splits[split] = pair
    return splits
