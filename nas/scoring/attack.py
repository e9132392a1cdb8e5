"""Images that are moved against a network by the sign of its gradient, and what it answers then.

Source: Goodfellow, Shlens and Szegedy, Explaining and Harnessing Adversarial Examples (2015),
section 4, the fast gradient sign method; Evaluating Adversarial Robustness: A Comparison Of FGSM,
Carlini-Wagner Attacks, And The Role of Distillation as Defense Mechanism (2024), for comparing
variants of a network by it. Departures: the attack of Carlini and Wagner, and training as a
defence, are left out; of quantized networks gradients pass rounding unchanged.

It is no security claim. One step is a weak attack, and a network whose gradient is masked by
rounding or clipping seems robust to it and is not. Shapes: B batch, C channels, H W space.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from nas.data._base import DataSet
from search_spaces import task_of
from supernets.tasks._base import loss_on

BATCH = 64
LARGEST = 255
"""Of a pixel; distances are in such steps."""


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """What a network answers on images that are moved against it.

    Attributes:
        shown: The metric that people are shown, by distance.
        without_gradient: Share of the images on which the network has none: they are not moved.
    """

    shown: tuple[float, ...]
    without_gradient: float


def robustness(
    network: nn.Module, data: DataSet, num_images: int, distances: Sequence[float]
) -> Robustness:
    """Judge a network on first images of the search split, moved by each of these distances.

    Args:
        network: In evaluation mode, on the CPU.
        data: With labels.
        num_images: Of the search split.
        distances: By which every value of every pixel moves, in 1/255 of its range; 0 for images as
            they are.
    """
    split, task = data.search.take(num_images), task_of(data.task)
    images_NCHW = torch.from_numpy(data.normalised(split.images_NCHW))
    black_C11, white_C11 = (torch.from_numpy(end) for end in _ends(data))
    shown, num_flat = np.zeros(len(distances)), 0
    for start in range(0, len(images_NCHW), BATCH):
        images_BCHW = images_NCHW[start : start + BATCH]
        labels_B = split.labels_N[start : start + BATCH]
        sign_BCHW = uphill(network, images_BCHW, torch.from_numpy(labels_B), data.task)
        num_flat += int((sign_BCHW == 0).flatten(1).all(1).sum())
        for place, distance in enumerate(distances):
            step_C11 = (white_C11 - black_C11) * (distance / LARGEST)
            moved_BCHW = images_BCHW + sign_BCHW * step_C11
            moved_BCHW = torch.minimum(torch.maximum(moved_BCHW, black_C11), white_C11)
            with torch.no_grad():
                outputs_BK = network(moved_BCHW).numpy()
            shown[place] += task.judge(outputs_BK, labels_B)[1].sum()
    total = len(images_NCHW)
    return Robustness(shown=tuple((shown / total).tolist()), without_gradient=num_flat / total)


def uphill(network: nn.Module, images_BCHW: Tensor, labels_B: Tensor, task: str) -> Tensor:
    """The sign of the gradient of the loss by images: 1, -1, or 0 where there is none."""
    images_BCHW = images_BCHW.detach().requires_grad_()
    with torch.enable_grad():
        loss = loss_on(task, network(images_BCHW), labels_B, smoothing=0.0)
        (gradient_BCHW,) = torch.autograd.grad(loss, images_BCHW)
    return gradient_BCHW.sign()


def _ends(data: DataSet) -> tuple[np.ndarray, np.ndarray]:
    """What the network sees of the least and of the largest value of each channel, (C, 1, 1)."""
    pixels = np.array([0, LARGEST], np.uint8).reshape(2, 1, 1, 1)
    black, white = data.normalised(np.repeat(pixels, data.channels, axis=1))
    return black, white
