"""Images whose features vary count more: the loss on labels weighted by the variance of features.

The last feature map of a small network hardly varies for some images, and their labels then teach
it little but noise (Abrahamyan et al., Bias Loss for Mobile Neural Networks, 2021). The loss of an
image is multiplied by exp(alpha * v) - beta, where v is the variance of its last map, scaled to
[0, 1] over the batch; with alpha and beta 0 that is 1.

Departures: the map is what the head reads, in front of the head's own convolution. Members take
turns as in `sortednet`. The paper's network, SkipNet, is a matter of spaces and not here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from search_spaces import SearchSpace, check_ranges
from supernets.methods._base import METHODS
from supernets.methods._in_turn import AbstractInTurn
from supernets.methods._lessons import read_losses

if TYPE_CHECKING:
    from torch import Tensor

    from supernets.context import Context
    from supernets.team import Losses

MOST_ALPHA = 5.0
LEAST_RANGE = 1e-12
"""Of the variances of a batch, by which they are divided."""


@final
@METHODS.register
@dataclass(frozen=True, kw_only=True)
class BiasLoss(AbstractInTurn):
    """One member a batch, on labels, whose images have weights.

    Attributes:
        space: What members there are.
        seed: Of the operators' decks.
        sparse_from: First batch in which members other than the largest are pruned.
        bias_alpha: How much more images of varied features count.
        bias_beta: Taken from the weight of every image; at 1 the least varied one has none.
        is_within: Which rows of encodings (N, C) the limits allow; None if they allow all.
    """

    space: SearchSpace
    seed: int = 0
    sparse_from: int = 0
    bias_alpha: float = 0.3
    bias_beta: float = 0.3
    is_within: Callable[[np.ndarray], np.ndarray] | None = None

    def __post_init__(self) -> None:
        where = "training method 'bias-loss'"
        check_ranges(self, where, bias_alpha=(0.0, MOST_ALPHA), bias_beta=(0.0, 1.0))

    @property
    def needs_classes(self) -> bool:
        """Its answers stand for classes."""
        return True

    def step(self, context: "Context") -> "Losses":
        """One member, on weighted labels."""
        role, encoding, *_ = self._in_turn(context)
        features = context.features(encoding, context.images_BCHW)
        # In a network of one slot the head reads the image.
        *_, map_BCHW, logits_BK = (context.images_BCHW, *features.values())
        loss = context.label_loss(logits_BK, context.labels_B, self.weights(map_BCHW))
        loss.backward()
        return read_losses([(role, loss.detach())])

    def weights(self, map_BCHW: "Tensor") -> "Tensor":
        """Of images by their last feature maps: (B,), fp32, without gradients."""
        variances_B = map_BCHW.detach().float().flatten(1).var(1)
        least, most = variances_B.aminmax()
        scaled_B = (variances_B - least) / (most - least).clamp_min(LEAST_RANGE)
        return (self.bias_alpha * scaled_B).exp() - self.bias_beta
