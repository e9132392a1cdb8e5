"""Images that are changed a little so that members err most, beside images as they are.

Every pixel is moved by a radius in the direction in which the loss grows, and members learn from
what comes out; large batches lose less accuracy so (Liu et al., Concurrent Adversarial Learning for
Large-Batch Training, 2021).

Departures: any other training method is wrapped, and the loss is that of all members of its batch.
The paper finds the changes with weights of an earlier step, so that processes which would wait can
find them while others learn. Methods keep no weights, and here processes share the batches of
a step and none waits, so this is the paper's staleness of 0: ordinary adversarial training,
which costs twice what the other method's batch does. Images are normalised when they are changed,
so pixels may leave the range that files have.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, final

import numpy as np

from search_spaces import SearchSpace, UserError, check_ranges
from supernets.methods._base import METHODS
from supernets.methods._twice import AbstractTwice, taken_gradients

if TYPE_CHECKING:
    from torch import Tensor

    from supernets.context import Context
    from supernets.team import Losses


ROUNDING = 1e-4
"""So that whole numbers of images are not rounded down."""


@final
@METHODS.register
@dataclass(frozen=True, kw_only=True)
class Adversarial(AbstractTwice):
    """Another method's batch, in which some images are changed against its members.

    Attributes:
        space: What members there are.
        seed: The other method's.
        sparse_from: The other method's.
        method: The other method's name.
        radius: By which every value of an image is moved, of images normalised to a deviation of 1;
            0 for the other method alone.
        share: Of the images that are changed, spread evenly over the batch.
        is_within: The other method's.
    """

    space: SearchSpace
    seed: int = 0
    sparse_from: int = 0
    method: str = "sortednet"
    radius: float = 0.05
    share: float = 0.5
    is_within: Callable[[np.ndarray], np.ndarray] | None = None

    def __post_init__(self) -> None:
        where = "training method 'adversarial'"
        check_ranges(self, where, radius=(0.0, 10.0), share=(0.0, 1.0))
        self.check_base(where)

    @property
    def is_disturbing(self) -> bool:
        """Whether images are changed."""
        return self.radius > 0.0 and self.share > 0.0

    def both_passes(self, context: "Context", again: "Context") -> "Losses":
        """With images as they are, and with those whose loss is larger."""
        images_BCHW = context.images_BCHW.detach().requires_grad_()
        losses = self.base.step(replace(context, images_BCHW=images_BCHW))
        taken_gradients(context)
        if images_BCHW.grad is None:
            raise UserError(
                f"training method 'adversarial': '{self.method}' takes gradients of weights alone, "
                "and so says nothing of images. Name another one, such as --set method=sortednet."
            )
        moves_BCHW = self.radius * images_BCHW.grad.sign() * self._changed(images_BCHW)
        self.base.step(replace(again, images_BCHW=context.images_BCHW + moves_BCHW))
        return losses

    def _changed(self, images_BCHW: "Tensor") -> "Tensor":
        """1 for images that are changed and 0 for others, (B, 1, 1, 1)."""
        import torch  # here, because what is wrong in a configuration is said before it is imported

        places = torch.arange(len(images_BCHW) + 1, device=images_BCHW.device)
        return (self.share * places + ROUNDING).floor().diff().reshape(-1, 1, 1, 1)
