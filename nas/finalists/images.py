"""Images that finalists are trained further on."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from nas.data import DataSet, Split
from nas.data._ranges import in_words
from nas.data._unlabelled import read_unlabelled
from nas.prepare.inputs import read_data
from nas.prepare.plan import training_images
from nas.prepare.reopen import Trained
from nas.system.reporter import Reporter
from search_spaces import DEFAULT_TASK, AbstractDenseTask, UserError, task_of
from supernets.images import Images


def images_of(data: str, trained: Trained, reporter: Reporter) -> Images:
    """The training images of this name, or the run's own, normalised like those of the run.

    Raises:
        UserError: If they are of other classes, or in other colours or values.
    """
    own = training_images(trained.data)
    if not data:
        return own
    config = dataclasses.replace(trained.config, data=data, resolution=trained.data.resolution)
    other = read_data(config, reporter)
    if _facts(other) != _facts(trained.data):
        raise UserError(
            f"data '{data}' has {_kind(other)}; run '{trained.run.path}' has "
            f"{_kind(trained.data)}. Give images of the same classes, colours and values."
        )
    images = training_images(other)
    if not isinstance(images.images_NCHW, torch.Tensor):
        raise UserError(
            f"data '{data}' are decoded while training runs, and each of its images must be looked "
            f"at first: it may be one of the run's search or test split. Give fewer images than "
            f"{config.held_gb:g} GB, or leave them out to train on the run's own."
        )
    is_new_N = unseen(other.train, (trained.data.search, trained.data.test))
    if not is_new_N.all():
        reporter.note(
            f"{(~is_new_N).sum():,} of {len(is_new_N):,} images of '{data}' are in the "
            "run's search or test split, and left out"
        )
    return dataclasses.replace(
        images,
        images_NCHW=images.images_NCHW[torch.from_numpy(is_new_N)],
        labels_N=images.labels_N[torch.from_numpy(is_new_N)],
        mean=own.mean,
        std=own.std,
    )


def with_unlabelled(images: Images, folder: Path, trained: Trained, reporter: Reporter) -> Images:
    """Images, and those below a folder, of which nobody says what they are: their labels are 0.

    Args:
        images: In memory.
        folder: Of further ones.
        trained: The run, on whose search and test split no network is trained.
        reporter: Told of those that are left out.

    Raises:
        UserError: If there are none, they cannot be read, the others are not in memory, or labels
            are images.
    """
    own = images.images_NCHW
    if isinstance(task_of(trained.data.task), AbstractDenseTask):
        raise UserError(
            f"unlabelled '{folder}': labels of task '{trained.data.task}' are images, and there is "
            "no training without them. Leave it out; --data takes other images."
        )
    if not isinstance(own, torch.Tensor):
        raise UserError(
            f"unlabelled '{folder}': the run's own images are decoded while training runs, and "
            "others cannot be added to them. Leave out --unlabelled."
        )
    config, data = trained.config, trained.data
    pixels_NCHW = read_unlabelled(
        folder,
        data,
        held_gb=config.held_gb,
        skip_corrupt=config.skip_corrupt,
        progress=reporter.advance,
    )
    found = Split(pixels_NCHW, np.zeros(len(pixels_NCHW), np.int64))
    is_new_N = unseen(found, (data.search, data.test))
    reporter.note(
        f"{is_new_N.sum():,} images without labels from '{folder}', beside "
        f"{len(images.labels_N):,} others; {(~is_new_N).sum():,} more are in the run's search or "
        "test split, and left out"
    )
    return dataclasses.replace(
        images,
        images_NCHW=torch.cat([own, torch.from_numpy(pixels_NCHW[is_new_N])]),
        labels_N=torch.cat([images.labels_N, torch.from_numpy(found.labels_N[is_new_N])]),
    )


def unseen(split: Split, judged_on: Sequence[Split]) -> np.ndarray:
    """Which images of a split are in none of the others, pixel by pixel: booleans, (N,)."""
    known = {hash(image.tobytes()) for other in judged_on for image in other.images_NCHW}
    return np.array([hash(image.tobytes()) not in known for image in split.images_NCHW])


def _facts(data: DataSet) -> tuple[object, ...]:
    return data.task, data.classes, data.channels, data.ranges


def _kind(data: DataSet) -> str:
    first = ", ".join(data.classes[:3]) + (", ..." if data.num_classes > 3 else "")
    task = "" if data.task == DEFAULT_TASK else f" for {data.task}"
    values = f", {in_words(data.ranges)}" if data.ranges else ""
    return f"{data.num_classes} classes ({first}) in {data.channels} channels{task}{values}"
