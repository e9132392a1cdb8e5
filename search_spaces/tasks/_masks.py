"""Tasks whose labels are masks: every pixel of an image is of a class, or ignored.

Networks see images as classifiers do, and answer with as many numbers at every pixel as there are
classes. An ignored pixel is no part of any metric, nor of a loss.

Shapes: N images, K classes, H W pixels, P pixels of an image in a row; masks are (N, 1, H, W).
"""

from typing import Any, ClassVar, final

import numpy as np

from search_spaces._errors import UserError
from search_spaces.tasks._base import TASKS, AbstractTask, Answers, task_of
from search_spaces.tasks._dense import AbstractDenseTask
from search_spaces.tasks._images import asked_task

IGNORED = 255
"""Label of a pixel that nobody says the class of."""

LEVELS = 255
"""Into which the mean number of classes is divided where answers are compared."""

AT_ONCE = 1 << 22
"""Numbers that are judged together."""

LEAST_SHARE = 1e-12
"""Of a class that no pixel is of."""

RIGHT, ANSWERED, LABELLED = range(3)
"""What is counted of a class: pixels of it that are called it, called it, and of it."""

Masks = np.ndarray


class AbstractMaskTask(AbstractDenseTask):
    """What networks answer about the pixels of images. Labels index a data set's `classes`."""

    asks: ClassVar[Answers] = "masks"
    untaught: ClassVar[str] = "one answer for all pixels"

    @final
    def num_outputs(self, num_classes: int) -> int:
        """Outputs at each pixel: one per class."""
        return num_classes

    @final
    def output_shape(self, labels: np.ndarray, num_outputs: int) -> tuple[int, ...]:
        """A map of the mask's size per output."""
        return len(labels), num_outputs, *labels.shape[2:]

    @final
    def answers(self, outputs_NK: np.ndarray) -> np.ndarray:
        """The mean number of the classes that the pixels are called, as a share of the last one's,
        0 to 255.
        """
        last = max(outputs_NK.shape[1] - 1, 1)
        means_N = outputs_NK.argmax(axis=1).mean(axis=(1, 2))
        levels_N: np.ndarray = np.rint(LEVELS * means_N / last).astype(np.int64)
        return levels_N

    @final
    def untaught_metrics(self, seen_NCHW: Masks, labels: Masks) -> tuple[Masks, Masks]:
        """Of every class as likely everywhere as it is frequent, in the mean image."""
        shares_K = np.maximum(shares_of_classes(labels), LEAST_SHARE)
        logits_1K11 = np.log(shares_K)[None, :, None, None]
        losses, shown = [], []
        for part in parts_of(len(labels), len(shares_K) * labels[0].size):
            masks = np.asarray(labels[part])
            outputs = np.broadcast_to(logits_1K11, self.output_shape(masks, len(shares_K)))
            losses_N, shown_N = self.judge(outputs, masks)
            losses.append(losses_N)
            shown.append(shown_N)
        return np.concatenate(losses), np.concatenate(shown)

    @final
    def tally(self, outputs_NK: np.ndarray, labels_N: np.ndarray) -> np.ndarray:
        """`counts_of_pixels` of all of the images together, (K, 3)."""
        counts_K3: np.ndarray = counts_of_pixels(outputs_NK, labels_N).sum(axis=0)
        return counts_K3

    @final
    def said_of(self, tally: np.ndarray) -> dict[str, Any]:
        """Of all pixels of a split together: the share that is right, the intersection over union
        of every class (null of one that is neither there nor answered), and their mean.
        """
        right_K, either_K = tally[:, RIGHT], unions(tally)
        ious = [
            float(right / either) if either else None
            for right, either in zip(right_K.tolist(), either_K.tolist(), strict=True)
        ]
        known = [iou for iou in ious if iou is not None]
        return {
            "pixels": {
                "fraction": float(right_K.sum() / max(tally[:, LABELLED].sum(), 1)),
                "mean_iou": sum(known) / len(known) if known else 0.0,
                "iou": ious,
            }
        }


def counts_of_pixels(outputs_NK: np.ndarray, labels_N: Masks) -> np.ndarray:
    """By image and class numbers of pixels, those that are ignored left out: (N, K, 3).

    Args:
        outputs_NK: (N, K, H, W).
        labels_N: (N, 1, H, W).
    """
    number, classes = outputs_NK.shape[:2]
    answers_NP = outputs_NK.argmax(axis=1).reshape(number, -1)
    labels_NP = labels_N.reshape(number, -1).astype(np.int64)
    is_known_NP = labels_NP != IGNORED
    image_NP = classes * np.arange(number)[:, None]

    def counted(which_NP: np.ndarray, of_NP: np.ndarray) -> np.ndarray:
        found = np.bincount((image_NP + of_NP)[which_NP], minlength=number * classes)
        return found.reshape(number, classes)

    is_right_NP = is_known_NP & (answers_NP == labels_NP)
    right_NK, answered_NK = counted(is_right_NP, answers_NP), counted(is_known_NP, answers_NP)
    return np.stack([right_NK, answered_NK, counted(is_known_NP, labels_NP)], axis=-1)


def unions(counts_K3: np.ndarray) -> np.ndarray:
    """Pixels that are of a class or called it, from `counts_of_pixels` of whatever images."""
    either: np.ndarray = counts_K3[..., ANSWERED] + counts_K3[..., LABELLED] - counts_K3[..., RIGHT]
    return either


def shares_of_classes(labels: Masks) -> np.ndarray:
    """How much of the known pixels of an image is of each class, in the mean over images: (K,)."""
    masks_NP = labels.reshape(len(labels), -1)
    counts_NV = np.stack([np.bincount(mask, minlength=IGNORED + 1) for mask in masks_NP])
    counts_NK = counts_NV[:, :IGNORED]
    shares_K = (counts_NK / np.maximum(counts_NK.sum(axis=1, keepdims=True), 1)).mean(axis=0)
    found: np.ndarray = shares_K[: 1 + int(np.flatnonzero(shares_K).max(initial=0))]
    return found


def parts_of(number: int, size: int) -> list[slice]:
    """So many images of so many numbers each, in parts of about `AT_ONCE` numbers."""
    step = max(1, AT_ONCE // size)
    return [slice(start, start + step) for start in range(0, number, step)]


def wanted_task(text: str) -> AbstractTask:
    """The task that `--task` names: one that any images can be asked, or one that labels are for.

    Raises:
        UserError: If it is neither, or has options that it does not have.
    """
    name, colon, _ = text.partition(":")
    if not issubclass(TASKS.get(name), AbstractMaskTask):
        return asked_task(text)
    if colon:
        raise UserError(f"task '{text}': '{name}' has no options. Write {name}.")
    return task_of(name)
