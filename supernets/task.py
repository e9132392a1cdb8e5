"""What the networks learn: losses for training, scores for judging.

Classification is the only task so far. Shapes: B batch, N images, K classes.
"""

from typing import NamedTuple

import numpy as np
from torch import Tensor
from torch.nn import functional as F


class Quality(NamedTuple):
    """How good logits are.

    Attributes:
        log_loss: Mean negative log-likelihood, natural logarithm.
        accuracy: Fraction of images whose largest logit is the label's.
        correct: Number of those images.
        total: Number of images.
    """

    log_loss: float
    accuracy: float
    correct: int
    total: int


def label_loss(logits_BK: Tensor, labels_B: Tensor, *, smoothing: float) -> Tensor:
    """Cross entropy with label smoothing, a scalar."""
    return F.cross_entropy(logits_BK.float(), labels_B, label_smoothing=smoothing)


def distillation_loss(logits_BK: Tensor, teacher_BK: Tensor) -> Tensor:
    """Cross entropy against the teacher's softmax at temperature 1, a scalar.

    Source: Hinton et al., Distilling the Knowledge in a Neural Network (2015).
    """
    return F.cross_entropy(logits_BK.float(), teacher_BK.float().softmax(-1))


def quality(logits_NK: np.ndarray, labels_N: np.ndarray) -> Quality:
    """Score of float logits, computed in float64."""
    shifted = logits_NK.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    log_sum_N = np.log(np.exp(shifted).sum(axis=1))
    likelihood_N = shifted[np.arange(len(labels_N)), labels_N] - log_sum_N
    correct = int((logits_NK.argmax(axis=1) == labels_N).sum())
    total = len(labels_N)
    return Quality(float(-likelihood_N.mean()), correct / total, correct, total)
