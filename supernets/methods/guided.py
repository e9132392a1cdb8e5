"""Members led by the features of a network of convolutions, which need not have learnt anything.

A network that is hard to train, such as one without convolutions or shortcuts, learns better if its
features are alike those of a guide, layer by layer; even an untrained guide hands on what its
architecture knows of images (Subramaniam et al., Training the Untrainable: Introducing Inductive
Bias via Representational Alignment, 2024). How alike is centred kernel alignment
(`supernets.alignment`), averaged over the slots that both have.

Departures: the guide is the largest member of convolutions, the same in every batch, or of what is
dealt first where no slot offers convolutions and others; layers are compared by the names of slots.
Members take turns as in `sortednet`, those of convolutions with the same guide.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, final

import numpy as np

from search_spaces import SearchSpace, UserError, check_ranges
from supernets.device import autocast
from supernets.methods._base import METHODS
from supernets.methods._in_turn import AbstractInTurn
from supernets.methods._kinds import Kinds
from supernets.methods._lessons import LARGEST, read_losses

if TYPE_CHECKING:
    from torch import Tensor

    from supernets.context import Context
    from supernets.team import Losses

UNTRAINED, SHARED = "untrained", "shared"
"""Weights that a guide may have: fresh ones that stay so, or the supernet's as they are."""


@final
@METHODS.register
@dataclass(frozen=True, kw_only=True)
class Guided(AbstractInTurn):
    """One member a batch, on labels and on a guide's features.

    Attributes:
        space: What members there are.
        seed: Of the operators' decks, and of the guide's weights.
        sparse_from: First batch in which members other than the largest are pruned.
        guide: Its weights, "untrained" or "shared".
        guidance: Factor of the loss between features, beside that on labels.
        is_within: Which rows of encodings (N, C) the limits allow; None if they allow all.
    """

    space: SearchSpace
    seed: int = 0
    sparse_from: int = 0
    guide: str = UNTRAINED
    guidance: float = 1.0
    is_within: Callable[[np.ndarray], np.ndarray] | None = None

    def __post_init__(self) -> None:
        where = "training method 'guided'"
        check_ranges(self, where, guidance=(0.0, 100.0))
        if self.guide not in (UNTRAINED, SHARED):
            raise UserError(
                f"{where}: guide is {self.guide!r}. Its weights are '{UNTRAINED}', fresh ones that "
                f"stay so, or '{SHARED}', those of the supernet. Name one of these."
            )

    def step(self, context: "Context") -> "Losses":
        """One member; its loss on labels."""
        role, encoding, *_ = self._in_turn(context)
        features = context.features(encoding, context.images_BCHW)
        *_, logits_BK = features.values()
        loss = context.label_loss(logits_BK, context.labels_B)
        led = loss
        if self.guidance:
            led = loss + self.guidance * (1.0 - alignment(features, self._of_guide(context)))
        led.backward()
        return read_losses([(role, loss.detach())])

    def _of_guide(self, context: "Context") -> Mapping[str, "Tensor"]:
        """Its features, without gradients."""
        import torch  # which takes seconds

        from supernets.untrained import untrained_features

        images_BCHW, plan = context.images_BCHW, context.plan
        with torch.no_grad(), autocast(plan.device, plan.precision):
            if self.guide == SHARED:
                return context.features(self._guide, images_BCHW)
            slots = self.space.slots(self._guide)
            return untrained_features(slots, images_BCHW, seed=self.seed)

    @cached_property
    def _guide(self) -> tuple[int, ...]:
        kinds = Kinds(space=self.space, seed=self.seed, is_within=self.is_within)
        rng = np.random.default_rng(self.seed)
        return kinds.draw(0, LARGEST, 0, rng, place=0, is_dense=True)


def alignment(features: Mapping[str, "Tensor"], guide: Mapping[str, "Tensor"]) -> "Tensor":
    """How alike a member's features are to those of a guide: the mean over slots of both, a scalar.

    Args:
        features: By slot, the logits last, which do not count.
        guide: Likewise.
    """
    import torch

    from supernets.alignment import linear_cka

    *places, _ = features
    return torch.stack(
        [linear_cka(features[name], guide[name]) for name in places if name in guide]
    ).mean()
