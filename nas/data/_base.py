"""What a data set is: four splits of uint8 images with what is needed to train on them.

The four splits and what they are for:

- `train`: weights are fitted on it.
- `search`: held out of train; candidates are scored, ranked and selected on it.
- `calibration`: the first images of train; batch norm and quantizers are calibrated on it.
- `test`: printed beside a result, never selects anything.

Every split is stored in a stratified order (see `stratified_order`), so its first n images are a
class-balanced sample for every n. Images may lie in a file that is mapped into memory, and those of
train may be decoded as they are asked for (`nas.data._streamed`), so who reads a split takes what
is needed at a time. `DATA` holds the data sets by file name.

Shape suffixes: N images, C channels, H W pixels.
"""

import abc
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from search_spaces import (
    DEFAULT_TASK,
    AbstractClassTask,
    AbstractDenseTask,
    AbstractImageTask,
    AbstractMaskTask,
    Registry,
    Resolution,
    Sides,
    UserError,
    naming_task,
    task_of,
    written_sides,
)

UInt8Array = npt.NDArray[np.uint8]
Int64Array = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]

Ranges = Mapping[str, tuple[float, float]]
"""Black and white by kind of values; see `nas.data._ranges`."""

Progress = Callable[[int, int, str], None]
"""Told how many are done, of how many, and of what."""

Accept = Callable[[Resolution, int, int], object]
"""Told the resolution, the channels and the number of outputs."""

NUM_CALIBRATION_IMAGES = 512
HELD_GB = 16.0
"""Images that take more than that once they are decoded are decoded while training runs."""

PIXELS_AT_ONCE = 1 << 22


class MissingDataError(UserError):
    """The files of a data set are not on this machine."""


@dataclass(frozen=True, eq=False)
class Split:
    """Images (N, C, H, W) as uint8 with their labels.

    Labels are indices of classes, int64 (N,); or images, uint8 of four axes; or masks, such images
    of one channel.
    """

    images_NCHW: UInt8Array
    labels_N: npt.NDArray[Any]

    def __post_init__(self) -> None:
        assert self.images_NCHW.dtype == np.uint8, self.images_NCHW.dtype
        assert self.images_NCHW.ndim == 4, self.images_NCHW.shape
        axes = {np.dtype(np.int64): 1, np.dtype(np.uint8): 4}
        assert self.labels_N.ndim == axes.get(self.labels_N.dtype), self.labels_N.dtype
        assert len(self.labels_N) == len(self.images_NCHW), self.labels_N.shape

    def __len__(self) -> int:
        return len(self.labels_N)

    def take(self, n: int) -> "Split":
        """The first n images, a class-balanced sample; the whole split if it has fewer."""
        return self.between(0, n)

    def between(self, start: int, stop: int | None) -> "Split":
        """The images from index `start` up to, and without, `stop` (None: to the end)."""
        return Split(self.images_NCHW[start:stop], self.labels_N[start:stop])

    def copied(self) -> "Split":
        """The same images in memory of their own, wherever these lie."""
        return Split(np.array(self.images_NCHW), np.array(self.labels_N))

    def stratified(self, rng: np.random.Generator) -> "Split":
        """The same images in a stratified order."""
        order_N = stratified_order(self.labels_N, rng)
        return Split(self.images_NCHW[order_N], self.labels_N[order_N])


@dataclass(frozen=True, kw_only=True, eq=False)
class DataSet:
    """One data set at one resolution.

    Attributes:
        name: As in `--data`.
        classes: What each label means, or each number in masks; none where labels are images.
        mean: Per channel, of pixels / 255 over train.
        std: Per channel, of pixels / 255 over train; 1.0 for a channel that is constant.
        can_flip: A mirrored image still belongs to its class.
        crop_padding: Pixels by which training may shift an image, and its mask, in each direction.
        resize: In words, how images were brought to this resolution; "none" if untouched.
        note: What else its user should know, such as which split was held out; may be empty.
        task: Name of what is to be learnt of the labels.
        num_corrupt: Images that could not be read and were left out.
        ranges: Black and white of the 16-bit and float values that became pixels, where they were
            decided by the training images.
        is_balanced: Whether classes count alike in the loss that ranks candidates, however many
            images they have.
        train: Weights are fitted on it.
        search: Held out of train; candidates are ranked on it.
        calibration: The first images of train.
        test: Never selects anything.
    """

    name: str
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    can_flip: bool
    crop_padding: int
    resize: str
    train: Split
    search: Split
    calibration: Split
    test: Split
    note: str = ""
    task: str = DEFAULT_TASK
    num_corrupt: int = 0
    ranges: Ranges = field(default_factory=dict)
    is_balanced: bool = False

    @classmethod
    def of_splits(
        cls,
        name: str,
        classes: tuple[str, ...],
        *,
        can_flip: bool,
        crop_padding: int,
        resize: str,
        train: Split,
        search: Split,
        test: Split,
        task: str = DEFAULT_TASK,
    ) -> "DataSet":
        """Derive what follows from the splits: mean, std and the calibration images.

        Args:
            train: In stratified order, because calibration is its first images.
        """
        mean, std = channel_statistics(train.images_NCHW)
        return cls(
            name=name,
            classes=classes,
            mean=mean,
            std=std,
            can_flip=can_flip,
            crop_padding=crop_padding,
            resize=resize,
            train=train,
            search=search,
            calibration=train.take(NUM_CALIBRATION_IMAGES),
            test=test,
            task=task,
        )

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for RGB."""
        return self.train.images_NCHW.shape[1]

    @property
    def sides(self) -> Sides:
        """Height and width of every image, in pixels."""
        height, width = self.train.images_NCHW.shape[2:]
        return height, width

    @property
    def resolution(self) -> Resolution:
        """The same as it is written: 96, or "96x128"."""
        return written_sides(self.sides)

    @property
    def num_classes(self) -> int:
        """Number of classes; labels are 0 <= label < num_classes."""
        return len(self.classes)

    @property
    def guessing(self) -> tuple[float, float]:
        """Both metrics, on search, of what any network must beat that has learnt something.

        Where labels are classes, those of the best outputs that are the same for all images.
        """
        task = task_of(self.task)
        if isinstance(task, AbstractDenseTask):
            losses_N, shown_N = self.untaught["search"]
            return float(losses_N.mean()), float(shown_N.mean())
        assert isinstance(task, AbstractClassTask)
        counts_K = np.bincount(self.search.labels_N, minlength=self.num_classes)
        return task.guessing(counts_K.tolist())

    @cached_property
    def untaught(self) -> Mapping[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
        """Both metrics of every image that networks are judged on, by split, of what needs no
        learning; only where labels are images or masks.
        """
        task = task_of(self.task)
        if not isinstance(task, AbstractDenseTask):
            return {}
        return {
            name: task.untaught_metrics(split.images_NCHW, split.labels_N)
            for name, split in (("search", self.search), ("test", self.test))
        }

    @property
    def num_outputs(self) -> int:
        """Of the networks that learn it; at each position where they answer with maps."""
        task, labels = task_of(self.task), self.train.labels_N
        if isinstance(task, AbstractImageTask):
            return math.prod(labels.shape[1:]) // math.prod(self.sides)
        assert isinstance(task, AbstractClassTask | AbstractMaskTask)
        return task.num_outputs(self.num_classes)

    def normalised(self, images_NCHW: UInt8Array) -> FloatArray:
        """What the network sees."""
        return normalised(images_NCHW, self.mean, self.std)


def ranges_in_json(ranges: Ranges) -> dict[str, list[float]]:
    """As JSON types."""
    return {kind: list(pair) for kind, pair in ranges.items()}


def normalised(
    images_NCHW: UInt8Array, mean: Sequence[float], std: Sequence[float], *, scale: float = 255
) -> FloatArray:
    """(pixel / scale - mean) / std per channel, in float32."""
    x_NCHW = images_NCHW.astype(np.float32)
    x_NCHW /= np.float32(scale)
    x_NCHW -= np.asarray(mean, np.float32)[:, None, None]
    x_NCHW /= np.asarray(std, np.float32)[:, None, None]
    return x_NCHW


def identity(data: DataSet, kept: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What tells the images of a data set from others without reading them all, as JSON types.

    The mean and the deviation are those of all pixels of train, so other pixels show in them; where
    train is streamed, those of its first images.

    Args:
        data: The data set.
        kept: An identity to compare with; what its version did not write is left out.
    """
    has_ranges = bool(data.ranges) and (kept is None or "ranges" in kept)
    splits = {"train": data.train, "search": data.search, "test": data.test}
    return {
        **naming_task(data.task),
        "classes": list(data.classes),
        "channels": data.channels,
        "resolution": data.resolution,
        "sizes": {name: len(split) for name, split in splits.items()},
        "mean": list(data.mean),
        "std": list(data.std),
        "labels": {
            name: zlib.crc32(np.ascontiguousarray(split.labels_N).data)
            for name, split in splits.items()
        },
        **({"corrupt": data.num_corrupt} if data.num_corrupt else {}),
        **({"ranges": ranges_in_json(data.ranges)} if has_ranges else {}),
    }


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is wanted of a data set.

    Attributes:
        resolution: Height and width in pixels as they are written, 96 or "96x128"; None for the
            data's own.
        data_dir: Where the user keeps the files, a folder or one file; None for the usual places.
        seed: Decides what is held out, the order of images and all that is generated.
        cache: Folder for decoded images; created when it is needed.
        progress: Told how far reading is.
        accept: Told resolution, channels and number of outputs as soon as they are known, before
            images are decoded, except to find corrupt ones; raises what speaks against them.
        skip_corrupt: Whether images that cannot be read are left out, instead of refused.
        held_gb: Size of all decoded images, 10^9 bytes, from which on those of train are not kept
            but decoded while training runs, where the images are files or bytes of files.
    """

    resolution: Resolution | None
    data_dir: Path | None
    seed: int
    cache: Path
    progress: Progress
    accept: Accept = lambda resolution, channels, num_outputs: None
    skip_corrupt: bool = False
    held_gb: float = HELD_GB


class AbstractData(abc.ABC):
    """Where images come from: one plug-in file of this folder per data set or kind of files."""

    @abc.abstractmethod
    def load(self, request: Request) -> DataSet:
        """Read or generate the data set.

        Raises:
            MissingDataError: If the files are not on this machine.
            UserError: If a file is not what it should be.
        """

    def where(self, data_dir: Path | None) -> str:
        """Where its images come from, in words, found without reading them; "" if it does not say.

        Args:
            data_dir: Where the user keeps the files; None for the usual places.

        Raises:
            MissingDataError: If the files are not on this machine.
        """
        return ""


DATA = Registry("nas.data", "data set", AbstractData)


def stratified_order(labels_N: npt.NDArray[Any], rng: np.random.Generator) -> Int64Array:
    """A random order whose every prefix has each class in about its share of the whole.

    The k-th image drawn from a class of n is placed at (k + 1/2) / n of the way, ties in random
    order. With classes of equal size a prefix of a whole number of rounds is exactly balanced.
    Splitting such an order at any place is therefore a stratified split.

    Returns:
        A permutation of 0 .. N-1.
    """
    place_N = np.empty(len(labels_N))
    for label in np.unique(labels_N):
        (members_K,) = np.nonzero(labels_N == label)
        place_N[rng.permutation(members_K)] = (np.arange(len(members_K)) + 0.5) / len(members_K)
    return np.lexsort((rng.random(len(labels_N)), place_N)).astype(np.int64)


def channel_statistics(
    images_NCHW: UInt8Array,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of pixels / 255, rounded to six decimals.

    Computed from counts of the 256 pixel values, hence exact and the same on every machine.

    Returns:
        Two tuples of one number per channel. A constant channel has std 1.0, not 0.0.
    """
    return statistics_of(pixel_counts(images_NCHW))


def pixel_counts(images_NCHW: UInt8Array) -> Int64Array:
    """How often each channel has each of the 256 values: (C, 256)."""
    num_images, channels, height, width = images_NCHW.shape
    counts_CV = np.zeros((channels, 256), np.int64)
    step = max(1, PIXELS_AT_ONCE // (height * width))
    for channel in range(channels):
        for start in range(0, num_images, step):
            pixels = images_NCHW[start : start + step, channel].ravel()
            counts_CV[channel] += np.bincount(pixels, minlength=256)
    return counts_CV


def statistics_of(counts_CV: Int64Array) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel; see `channel_statistics`."""
    means, stds = [], []
    values = np.arange(256) / 255
    for counts in counts_CV:
        mean = float(counts @ values / counts.sum())
        variance = float(counts @ (values - mean) ** 2 / counts.sum())
        means.append(round(mean, 6))
        stds.append(round(variance**0.5, 6) or 1.0)
    return tuple(means), tuple(stds)
