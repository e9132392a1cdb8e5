"""A task: what number a digit is. An answer is the better, the nearer it is.

Output k says whether the label is above k. Source: Cheng, Wang, Pollastri, A Neural Network
Approach to Ordinal Regression (2008). Shapes: B batch, N images, K = classes - 1 outputs.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, final

import numpy as np
from scipy.special import xlogy
from torch import Tensor, arange
from torch.nn.functional import binary_cross_entropy_with_logits

from nas.data import DATA, AbstractData, DataSet, Request, load_data
from search_spaces import TASKS, AbstractClassTask, Metric
from supernets.tasks._base import LOSSES, AbstractLosses


@final
@TASKS.register
class Ordinal(AbstractClassTask):
    """One of several levels in order; the error is how many levels an answer is off."""

    loss: ClassVar[Metric] = Metric(name="threshold_loss", title="threshold loss", unit="nats")
    shown: ClassVar[Metric] = Metric(name="mean_error", title="mean error", unit="levels")

    def num_outputs(self, num_classes: int) -> int:
        return num_classes - 1

    def judge(self, outputs_NK: np.ndarray, labels_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sign_NK = np.where(labels_N[:, None] > np.arange(outputs_NK.shape[1]), -1.0, 1.0)
        losses_N = np.logaddexp(0.0, sign_NK * outputs_NK).mean(axis=1)
        return losses_N, np.abs(self.answers(outputs_NK) - labels_N).astype(np.float64)

    def answers(self, outputs_NK: np.ndarray) -> np.ndarray:
        return (outputs_NK > 0).sum(axis=1)

    def guessing(self, labels: Sequence[int]) -> tuple[float, float]:
        shares = np.array(labels) / sum(labels)
        above_K = np.clip(1 - shares.cumsum()[:-1], 0, 1)
        losses_K = -xlogy(above_K, above_K) - xlogy(1 - above_K, 1 - above_K)
        answer = (above_K > 0.5).sum()
        return losses_K.mean(), (shares * np.abs(np.arange(len(shares)) - answer)).sum()


@final
@LOSSES.register
class Thresholds(AbstractLosses):
    def label_loss(
        self,
        outputs_BK: Tensor,
        labels_B: Tensor,
        *,
        smoothing: float,
        weights_B: Tensor | None = None,
    ) -> Tensor:
        above_BK = (labels_B[:, None] > arange(outputs_BK.shape[1])).float()
        soft_BK = (1 - smoothing) * above_BK + smoothing / 2
        weights_B1 = None if weights_B is None else weights_B[:, None]
        return binary_cross_entropy_with_logits(outputs_BK.float(), soft_BK, weights_B1)

    def distillation_loss(self, outputs_BK: Tensor, teacher_BK: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(outputs_BK.float(), teacher_BK.float().sigmoid())


@final
@DATA.register
class OrderedDigits(AbstractData):
    def load(self, request: Request) -> DataSet:
        digits = load_data("digits", resolution=request.resolution, seed=request.seed)
        return replace(digits, name="ordinal", task="ordinal")
