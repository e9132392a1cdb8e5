"""One of several classes at every pixel: the cross-entropy of pixels ranks, mIoU is shown.

Both are means over images. Of an image the loss is the mean over its pixels. Its mIoU is the mean,
over the classes that it has, of the pixels that are of a class and called it by those that are of
it or called it: a class that is answered and not there takes from those that are. So every image
counts alike, and intervals and tests follow from images, as of all tasks. Papers pool the pixels of
all images of a split first; cards have that, too, class by class (`AbstractMaskTask.said_of`).

Source: Wang et al., Revisiting Evaluation Metrics for Semantic Segmentation: Optimization and
Evaluation of Fine-grained Intersection over Union (2023), section 3: their mIoU of images.

Shapes: N images, K classes, H W pixels, P pixels of an image in a row.
"""

from typing import ClassVar, final

import numpy as np

from search_spaces.tasks._base import TASKS, Metric
from search_spaces.tasks._masks import (
    IGNORED,
    LABELLED,
    RIGHT,
    AbstractMaskTask,
    counts_of_pixels,
    parts_of,
    unions,
)


@final
@TASKS.register
class Segmentation(AbstractMaskTask):
    """A class per pixel; outputs are logits, one per class at every pixel."""

    loss: ClassVar[Metric] = Metric(name="log_loss", title="log-loss of pixels", unit="nats")
    shown: ClassVar[Metric] = Metric(name="miou", title="mIoU", goal="maximize", decimals=3)

    def judge(self, outputs_NK: np.ndarray, labels_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean negative log-likelihoods of pixels, natural logarithm, and mIoU of images.

        Args:
            outputs_NK: (N, K, H, W).
            labels_N: (N, 1, H, W); an image all of whose pixels are ignored has 0 of both.
        """
        parts = parts_of(len(labels_N), outputs_NK[0].size)
        judged = [_judged(outputs_NK[part], labels_N[part]) for part in parts]
        losses, shown = zip(*judged, strict=True)
        return np.concatenate(losses), np.concatenate(shown)


def _judged(outputs_NK: np.ndarray, labels_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    number, classes = outputs_NK.shape[:2]
    apart_NKP = outputs_NK.reshape(number, classes, -1).astype(np.float64)
    apart_NKP -= apart_NKP.max(axis=1, keepdims=True)
    labels_NP = labels_N.reshape(number, -1).astype(np.int64)
    is_known_NP = labels_NP != IGNORED
    own_N1P = np.where(is_known_NP, labels_NP, 0)[:, None]
    log_sums_NP = np.log(np.exp(apart_NKP).sum(axis=1))
    losses_NP = log_sums_NP - np.take_along_axis(apart_NKP, own_N1P, axis=1)[:, 0]
    losses_N = (losses_NP * is_known_NP).sum(axis=1) / np.maximum(is_known_NP.sum(axis=1), 1)
    counts_NK3 = counts_of_pixels(outputs_NK, labels_N)
    is_there_NK = counts_NK3[..., LABELLED] > 0
    ious_NK = counts_NK3[..., RIGHT] / np.maximum(unions(counts_NK3), 1)
    mious_N = (ious_NK * is_there_NK).sum(axis=1) / np.maximum(is_there_NK.sum(axis=1), 1)
    return losses_N, mious_N
