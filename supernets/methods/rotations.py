"""Members learn without labels by how far images were turned, and then from labels.

To see by how many quarter turns an image was turned, a network has to know what is on it (Gidaris
et al., Unsupervised Representation Learning by Predicting Image Rotations, 2018). The first four
outputs of the head stand for the turns; images of a batch are turned by all four equally often.
Which members are good at it may also say which are good at the classes, as
`benchmarks/without_labels.py` measures.

Departures: an image is in a batch once, turned one way, instead of all four. The head's outputs are
used instead of a head of its own, and are taught anew by labels in the rest of the training: that
is one run, since shared weights that are given are searched, not trained. Members take turns as in
`sortednet`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from search_spaces import DEFAULT_TASK, SearchSpace, UserError, check_ranges
from supernets.methods._base import METHODS
from supernets.methods._in_turn import AbstractInTurn
from supernets.methods._lessons import read_losses, teach

if TYPE_CHECKING:
    from torch import Tensor

    from supernets.context import Context
    from supernets.team import Losses

TURNED = 4
"""Ways in which a square image can be turned, by a quarter turn each."""


@final
@METHODS.register
@dataclass(frozen=True, kw_only=True)
class Rotations(AbstractInTurn):
    """One member a batch, on how images were turned, later on labels.

    Attributes:
        space: What members there are.
        seed: Of the operators' decks.
        sparse_from: First batch in which members other than the largest are pruned.
        pretext_share: Of the training, in which nothing is learnt from labels.
        is_within: Which rows of encodings (N, C) the limits allow; None if they allow all.
    """

    space: SearchSpace
    seed: int = 0
    sparse_from: int = 0
    pretext_share: float = 0.5
    is_within: Callable[[np.ndarray], np.ndarray] | None = None

    def __post_init__(self) -> None:
        where = "training method 'rotations'"
        check_ranges(self, where, pretext_share=(0.0, 1.0))
        network = self.space.network
        assert network is not None
        if network.num_classes < TURNED:
            raise UserError(
                f"{where} teaches {TURNED} outputs by how images were turned, and networks of "
                f"space '{self.space.name}' have {network.num_classes}. Use data with {TURNED} "
                "classes or more, or another method."
            )
        height, width = network.sides
        if height != width:
            raise UserError(
                f"{where} turns images by a quarter, and images are {height}x{width} px. Give "
                "a square --resolution, or another method."
            )

    @property
    def needs_classes(self) -> bool:
        """Its answers stand for classes."""
        return True

    def step(self, context: "Context") -> "Losses":
        """One member, on turned images or on labels."""
        lesson = self._in_turn(context)
        if context.share_done >= self.pretext_share:
            return teach(context, [lesson])
        from supernets.tasks._base import loss_on  # which imports torch

        images_BCHW, turns_B = turned(context.images_BCHW)
        logits_BK = context.logits(lesson.encoding, images_BCHW)
        loss = loss_on(
            DEFAULT_TASK,
            logits_BK[:, :TURNED],
            turns_B,
            smoothing=context.plan.label_smoothing,
        )
        loss.backward()
        return read_losses([(f"{lesson.role}_turned", loss.detach())])


def turned(images_BCHW: "Tensor") -> tuple["Tensor", "Tensor"]:
    """Square images turned by 0 to 3 quarter turns, and by how many: (B, C, H, W) and int64 (B,).

    The first quarter of the batch is as it was, the next is turned once, and so on.
    """
    import torch  # which takes seconds

    parts = images_BCHW.tensor_split(TURNED)
    turns = [
        torch.full((len(part),), number, device=part.device) for number, part in enumerate(parts)
    ]
    rotated = [part.rot90(number, (2, 3)) for number, part in enumerate(parts)]
    return torch.cat(rotated), torch.cat(turns)
