"""A small network that tells a student's answers from its teacher's, and is to be misled.

It learns a step in every batch, by plain gradient descent, to say which of two softmaxes is the
teacher's; the student's loss has a part that falls as its own is taken for that. Its weights are
what batches keep from step to step, so checkpoints hold them and a training continues as it was.

Source: Shen and Savvides, MEAL V2: Boosting Vanilla ResNet-50 to 80%+ Top-1 Accuracy on ImageNet
without Tricks (2020), section 3: three fully connected layers. Departures: the two learn from the
same batch at the same time; `HIDDEN` values inside; its rate does not fall.

Shapes: B batch, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from supernets.team import State

HIDDEN, LAYERS = 32, 3
RATE = 0.1
NAME, PARTS = "discriminator", ("weight", "bias")


@final
@dataclass(frozen=True, kw_only=True)
class Discriminator:
    """Its size, and how much it counts.

    Attributes:
        num_outputs: K.
        weight: Of the student's loss of being told from the teacher.
        seed: Of the first weights.
    """

    num_outputs: int
    weight: float = 1.0
    seed: int = 0

    def initial_state(self) -> State:
        """Its first weights, by names."""
        rng, sizes = np.random.default_rng(self.seed), self._sizes()
        found = {}
        for number, (inputs, outputs) in enumerate(pairwise(sizes)):
            matrix = rng.standard_normal((outputs, inputs)) * np.sqrt(2 / inputs)
            found[f"{NAME}{number}.{PARTS[0]}"] = matrix.astype(np.float32)
            found[f"{NAME}{number}.{PARTS[1]}"] = np.zeros(outputs, np.float32)
        return found

    def __call__(
        self, own_BK: Tensor, teacher_BK: Tensor, state: State
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The student's loss, and the discriminator's weights after a step.

        Args:
            own_BK: The student's outputs.
            teacher_BK: The teacher's.
            state: With its weights.
        """
        own_BK, teacher_BK = own_BK.float().softmax(1), teacher_BK.float().softmax(1)
        names = [f"{NAME}{number}.{part}" for number in range(LAYERS) for part in PARTS]
        layers = [
            torch.tensor(state[name], device=own_BK.device, requires_grad=True) for name in names
        ]
        told = [said(layers, answers) for answers in (teacher_BK.detach(), own_BK.detach())]
        loss = wrong(told[0], is_teacher=True) + wrong(told[1], is_teacher=False)
        steps = torch.autograd.grad(loss, layers)
        frozen = [layer.detach() for layer in layers]
        after = {
            name: layer - RATE * step
            for name, layer, step in zip(names, frozen, steps, strict=True)
        }
        return self.weight * wrong(said(frozen, own_BK), is_teacher=True), after

    def _sizes(self) -> list[int]:
        return [self.num_outputs, *[HIDDEN] * (LAYERS - 1), 1]


def said(layers: Sequence[Tensor], answers_BK: Tensor) -> Tensor:
    """Logits of that answers are the teacher's, (B,).

    Args:
        layers: Weight and bias of each layer, one after the other.
        answers_BK: Probabilities.
    """
    x = answers_BK
    for number in range(0, len(layers), 2):
        x = F.linear(x if not number else x.relu(), layers[number], layers[number + 1])
    return x.squeeze(1)


def wrong(logits_B: Tensor, *, is_teacher: bool) -> Tensor:
    """Cross entropy of what is said, where it is known; the mean."""
    return F.binary_cross_entropy_with_logits(
        logits_B, torch.full_like(logits_B, float(is_teacher))
    )
