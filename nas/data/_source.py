"""A user's own images: where they are, which class each has, and who gets which.

A source gives one or more published splits. What is missing is held out of train, from each class
in its share and at least one image: 10 % for search, up to 5,000 images; 15 % for test, up to
10,000.

Shape suffixes: N images, K classes.
"""

import abc
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.data._base import Int64Array, stratified_order
from nas.data._decode import Content
from nas.data._files import TEST, TRAIN, VALIDATION, readable
from nas.data._foreign import IMAGES
from search_spaces import UserError

SEARCH_SHARE, MAX_SEARCH_IMAGES = 0.1, 5_000
TEST_SHARE, MAX_TEST_IMAGES = 0.15, 10_000
HELD_OUT = {VALIDATION: "search", TEST: "test"}
"""What our splits are called that may have to be held out, by the published split."""

SHOWN = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class Index:
    """What is known of a source's images without looking at them.

    Attributes:
        classes: What each class index means.
        labels: By published split (train, validation, test), the class of each image (N,), in the
            order in which the source reads them.
        note: What else its user should know; may be empty.
    """

    classes: tuple[str, ...]
    labels: Mapping[str, Int64Array]
    note: str = ""

    @property
    def num_images(self) -> int:
        """Of all splits."""
        return sum(map(len, self.labels.values()))


class AbstractSource(abc.ABC):
    """Images of one layout in one place."""

    @property
    @abc.abstractmethod
    def path(self) -> Path:
        """The place, as its user named it."""

    @abc.abstractmethod
    def stamps(self) -> Iterator[str]:
        """One line per file that changes when the file does; see `stamp`."""

    @abc.abstractmethod
    def index(self) -> Index:
        """Classes and labels.

        Raises:
            UserError: If a file is damaged, or its labels cannot be used.
        """

    @abc.abstractmethod
    def images(self) -> Iterator[tuple[str, Content]]:
        """What each image is called in a message, and the image; split by split as in the index.

        Raises:
            UserError: If a file is damaged.
        """


def stamp(path: str, root: Path) -> str:
    """A line that changes when the file does: its name below `root`, size and time of change.

    Raises:
        UserError: If there is no such file.
    """
    with readable(path):
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("it is no ordinary file")
    return f"{path.removeprefix(str(root))}\0{found.st_size}\0{found.st_mtime_ns}\n"


def check_index(index: Index, path: Path) -> None:
    """Refuse labels with which nothing can be learnt or measured.

    Raises:
        UserError: Naming the classes and what to do.
    """
    note = f" Note: {index.note}." if index.note else ""
    for split, labels_N in index.labels.items():
        if not len(labels_N):
            raise UserError(
                f"data '{path}': {split} has no image. Add images, or take it away.{note}"
            )
    num_classes = len(index.classes)
    if num_classes < 2:
        name = index.classes[0]
        masks = " Masks of images belong into a folder 'masks' beside it."
        raise UserError(
            f"data '{path}' has one class, '{name}'. There must be at least two to tell apart."
            f"{masks if name.lower() in IMAGES else ''}"
        )
    repeated = [name for name, count in Counter(index.classes).items() if count > 1]
    if repeated:
        raise UserError(f"data '{path}' has two classes called '{repeated[0]}'. Rename one.")
    counts_K = np.bincount(index.labels[TRAIN], minlength=num_classes)
    held_out = [word for split, word in HELD_OUT.items() if split not in index.labels]
    needed = 1 + len(held_out)
    (few,) = np.nonzero(counts_K < needed)
    if len(few):
        shown = [f"'{index.classes[i]}' has {counts_K[i]}" for i in few[:SHOWN]]
        more = f" and {len(few) - SHOWN} more classes" if len(few) > SHOWN else ""
        why = f", one each for train, {' and '.join(held_out)}" if held_out else ""
        raise UserError(
            f"data '{path}': too few images to train on: class {', '.join(shown)}{more}. "
            f"Each needs at least {needed}{why}. Add images to it, or take the class out.{note}"
        )


def deal(index: Index, seed: int) -> dict[str, Int64Array]:
    """Which image is in which of our splits.

    Returns:
        For train, search and test, the places of the images in reading order, stratified.
    """
    rng = np.random.default_rng(seed)
    starts = dict(
        zip(index.labels, np.cumsum([0, *map(len, index.labels.values())]).tolist(), strict=False)
    )
    labels_N = index.labels[TRAIN]
    rank_N = _rank_in_class(labels_N, rng)
    counts_K = np.bincount(labels_N, minlength=len(index.classes))
    taken_K = np.zeros_like(counts_K)
    rows: dict[str, Int64Array] = {}
    shares = {
        TEST: min(TEST_SHARE, MAX_TEST_IMAGES / len(labels_N)),
        VALIDATION: min(SEARCH_SHARE, MAX_SEARCH_IMAGES / len(labels_N)),
    }
    for split, share in shares.items():
        if split in index.labels:
            rows[split] = np.arange(len(index.labels[split]))
            continue
        upto_K = taken_K + np.maximum(1, np.rint(share * counts_K).astype(np.int64))
        (rows[split],) = np.nonzero((taken_K[labels_N] <= rank_N) & (rank_N < upto_K[labels_N]))
        taken_K = upto_K
    (rows[TRAIN],) = np.nonzero(rank_N >= taken_K[labels_N])
    dealt = {}
    for split in (TRAIN, VALIDATION, TEST):
        origin = split if split in index.labels else TRAIN
        order_N = stratified_order(index.labels[origin][rows[split]], rng)
        dealt[HELD_OUT.get(split, split)] = starts[origin] + rows[split][order_N]
    return dealt


def splits_note(index: Index, num_test: int) -> str:
    """What is held out, and which classes a published split lacks, in words."""
    notes = [index.note] if index.note else []
    if TEST not in index.labels:
        notes.append(f"no test split: {num_test} images of train are held out for it")
    for split in (VALIDATION, TEST):
        if split in index.labels:
            lacking = len(index.classes) - len(np.unique(index.labels[split]))
            if lacking:
                notes.append(f"{split} has no image of {lacking} of {len(index.classes)} classes")
    return "; ".join(notes)


def _rank_in_class(labels_N: Int64Array, rng: np.random.Generator) -> Int64Array:
    """The place of each image in a random order of its class, from 0."""
    order_N = np.lexsort((rng.random(len(labels_N)), labels_N))
    sorted_N = labels_N[order_N]
    first_N = np.searchsorted(sorted_N, sorted_N, side="left")
    rank_N = np.empty(len(labels_N), np.int64)
    rank_N[order_N] = np.arange(len(labels_N)) - first_N
    return rank_N
