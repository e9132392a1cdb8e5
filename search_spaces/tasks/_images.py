"""Tasks whose labels are images: what networks see is made of them, and they are to be given back.

So any data set can be asked, whatever its own labels are. Values are shares of white: a pixel of
255 is 1.0. A task is a frozen dataclass whose fields are its options, whole numbers, as
"super-resolution:scale=3". Shapes: N images, C channels, H W pixels.
"""

import dataclasses
from abc import abstractmethod
from typing import ClassVar, final

import numpy as np

from search_spaces._errors import UserError
from search_spaces._given import given_options
from search_spaces.tasks._base import TASKS, Answers
from search_spaces.tasks._dense import AbstractDenseTask, Images

WHITE = 255
AT_ONCE = 256
"""Images that are judged together."""


class AbstractImageTask(AbstractDenseTask):
    """What networks answer with images of as many channels as they see."""

    asks: ClassVar[Answers] = "images"

    scale: int
    """By how much longer the sides of an answer are than those of what is seen."""

    @abstractmethod
    def question(self, images_NCHW: Images) -> tuple[Images, Images]:
        """What networks see of images, and what they are to answer: uint8 both.

        The sides of an answer are `scale` times those of what is seen. Images that do not divide by
        it may be cut.
        """

    @property
    @abstractmethod
    def rule(self) -> str:
        """What `question` does, in words."""

    @abstractmethod
    def untaught_answers(self, seen_NCHW: Images, scale: int) -> Images:
        """What needs no learning, float, in shares of white.

        Args:
            seen_NCHW: uint8.
            scale: Of these images; a record may be of another one than this task's option.
        """

    @final
    def untaught_metrics(self, seen_NCHW: Images, labels: Images) -> tuple[Images, Images]:
        """Both metrics of every image of `untaught_answers`, (N,) each."""
        losses, shown = [], []
        scale = labels.shape[2] // seen_NCHW.shape[2]
        for start in range(0, len(labels), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            answers = self.untaught_answers(np.asarray(seen_NCHW[part]), scale)
            losses_N, shown_N = self.judge(answers, np.asarray(labels[part]))
            losses.append(losses_N)
            shown.append(shown_N)
        return np.concatenate(losses), np.concatenate(shown)

    @final
    def output_shape(self, labels: np.ndarray, num_outputs: int) -> tuple[int, ...]:
        """That of the labels."""
        return labels.shape


def asked_task(text: str) -> AbstractImageTask:
    """The task of a text such as "super-resolution:scale=3".

    Raises:
        UserError: If it is no task that can be asked of any images, or an option is unknown, given
            twice or out of range.
    """
    name, colon, rest = text.partition(":")
    cls = TASKS.get(name)
    if not issubclass(cls, AbstractImageTask):
        able = [one for one in TASKS.names() if issubclass(TASKS.get(one), AbstractImageTask)]
        raise UserError(
            f"task '{name}' is what the labels of a data set are for, and cannot be asked of other "
            f"images. Tasks that can: {', '.join(able)}. Leave out --task for what the labels say."
        )
    kinds = {field.name: field.type for field in dataclasses.fields(cls)}
    options = given_options(rest, f"task '{name}'", kinds) if colon else {}
    task: AbstractImageTask = cls(**options)
    return task
