"""Several teachers that answer as one: by the mean of their softmaxes.

Source: Shen and Savvides, MEAL V2: Boosting Vanilla ResNet-50 to 80%+ Top-1 Accuracy on ImageNet
without Tricks (2020), section 3: the student begins with trained weights and learns from the mean
softmax of several teachers alone, without one-hot labels and weight decay. Departures: labels,
decay and the discriminator (`discriminator.py`), which is off unless it is asked for, are settings
of the recipe (`nas/finalists/recipe.py`).

Shapes: B batch, M teachers, K classes.
"""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from supernets.teachers._base import AbstractTeacher, Asked


@final
@dataclass(frozen=True)
class EnsembleTeacher(AbstractTeacher):
    """The mean of teachers of classification.

    Attributes:
        teachers: At least one, which answer for images that the training draws.
    """

    teachers: tuple[AbstractTeacher, ...]

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """Those of all."""
        return tuple(network for teacher in self.teachers for network in teacher.networks)

    def __call__(self, asked: Asked) -> Tensor:
        """Logarithms of the mean softmax, whose softmax it is."""
        answers = [teacher(asked).float() for teacher in self.teachers]
        logs_MBK = torch.stack(answers).log_softmax(-1)
        return logs_MBK.logsumexp(0) - math.log(len(self.teachers))
