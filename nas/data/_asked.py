"""A data set whose images are asked for images, whatever its labels are: `--task`.

Networks see what the task makes of every image, and are to give the image back. Its classes are
forgotten; that every split begins with a class-balanced sample stays true. Networks answer in
shares of white and see the same: nothing is subtracted or divided by. Training mirrors images with
their labels and shifts none, as what comes in beyond a border is not what was made of a mirrored
image.
"""

from dataclasses import replace

import numpy as np

from nas.data._base import NUM_CALIBRATION_IMAGES, Accept, DataSet, Split
from search_spaces import (
    AbstractImageTask,
    Resolution,
    UserError,
    read_sides,
    written_sides,
)


def asked(data: DataSet, task: AbstractImageTask, name: str) -> DataSet:
    """The data set, asked for images.

    Args:
        data: With its own labels.
        task: What is asked.
        name: Of the task.

    Raises:
        UserError: If its training images are decoded while training runs.
    """
    if not isinstance(data.train.images_NCHW, np.ndarray):
        raise UserError(
            f"data '{data.name}': task '{name}' makes what networks see of all images before "
            "training, and these are decoded while training runs. Raise held_gb in --config "
            "FILE.toml above their size, or give a lower --resolution."
        )
    train, search, test = (
        _questions(split, task) for split in (data.train, data.search, data.test)
    )
    before = "" if data.resize == "none" else f"{data.resize}; "
    return replace(
        data,
        classes=(),
        mean=(0.0,) * data.channels,
        std=(1.0,) * data.channels,
        can_flip=True,
        crop_padding=0,
        resize=f"{before}{task.rule}",
        train=train,
        search=search,
        calibration=train.take(NUM_CALIBRATION_IMAGES),
        test=test,
        is_balanced=False,
        task=name,
    )


def larger(resolution: Resolution, task: AbstractImageTask) -> Resolution:
    """The size of images of which the task makes ones of this size."""
    height, width = read_sides(resolution)
    return written_sides((task.scale * height, task.scale * width))


def accepting(accept: Accept, task: AbstractImageTask) -> Accept:
    """Told of images as they are, `accept` is told of what networks see and answer."""

    def told(resolution: Resolution, channels: int, num_outputs: int) -> object:
        height, width = read_sides(resolution)
        seen = written_sides((height // task.scale, width // task.scale))
        return accept(seen, channels, channels * task.scale**2)

    return told


def _questions(split: Split, task: AbstractImageTask) -> Split:
    return Split(*task.question(np.asarray(split.images_NCHW)))
