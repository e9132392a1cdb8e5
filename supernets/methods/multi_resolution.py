"""Members see each image at two sizes, and answer alike at both.

A network that was trained at one size of images loses much at others; trained on copies of several
sizes, and made to answer for the smaller copy as for the larger one, it loses little (Tian et al.,
ResFormer: Scaling ViTs with Multi-Resolution Training, 2023). The copy of a batch has one of
`SIZES` sizes below the space's own, drawn for every batch; the member learns from labels at both
sizes, and at the smaller one from its own answers at the larger one, too.

Departures: two sizes a batch instead of three. No position embedding: operators that need to know
where a position is have tables of their own. Weights of such tables, and of all operators that
belong to a map's sides (`AbstractElastic.is_sized`: windows, MLPs over positions), are of the
space's own maps, so members that have one learn at the space's own size alone, as in `sortednet`.
Resolution is no choice of the space: a search at another one is another space. What it is worth is
measured by `benchmarks/resolutions.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, final

import numpy as np

from search_spaces import SearchSpace, Sides, UserError, check_ranges
from supernets.methods._base import METHODS
from supernets.methods._in_turn import AbstractInTurn
from supernets.methods._lessons import read_losses

if TYPE_CHECKING:
    from supernets.context import Context
    from supernets.team import Losses

SIZES = 2
"""Of copies; evenly spaced down to the smallest."""

LEAST_SIDE = 8
"""Pixels of the shorter side of a copy."""


@final
@METHODS.register
@dataclass(frozen=True, kw_only=True)
class MultiResolution(AbstractInTurn):
    """One member a batch, on labels at two sizes of the images.

    Attributes:
        space: What members there are.
        seed: Of the operators' decks.
        sparse_from: First batch in which members other than the largest are pruned.
        smallest: Sides of the smallest copies, as a share of the space's own.
        consistency: How much of the loss of a copy is its distance from the answers for the image
            as it is; the rest is the labels'.
        is_within: Which rows of encodings (N, C) the limits allow; None if they allow all.
    """

    space: SearchSpace
    seed: int = 0
    sparse_from: int = 0
    smallest: float = 0.5
    consistency: float = 0.5
    is_within: Callable[[np.ndarray], np.ndarray] | None = None

    def __post_init__(self) -> None:
        where = "training method 'multi-resolution'"
        check_ranges(self, where, smallest=(0.1, 0.95), consistency=(0.0, 1.0))
        fixed = [name for name in self.space.operators if _belongs_to_a_map(name)]
        if self.space.is_brought:
            raise UserError(
                f"{where}: space '{self.space.name}' is a network that was brought, whose maps "
                "have the sizes that it was traced with. Use another method."
            )
        if not set(self.space.operators) - set(fixed):
            raise UserError(
                f"{where}: weights of all operators of space '{self.space.name}' "
                f"({', '.join(fixed)}) belong to maps of one size. Use another method, or offer an "
                "operator that takes any map, such as mbconv or convnext."
            )

    @property
    def needs_classes(self) -> bool:
        """Its answers stand for classes."""
        return True

    def step(self, context: "Context") -> "Losses":
        """One member; its losses on labels, at the space's size and, if it can, at another."""
        from torch.nn.functional import interpolate  # which takes seconds

        from supernets.network import slots_at

        role, encoding, *_ = self._in_turn(context)
        sides = self._sides[int(context.rng.integers(len(self._sides)))]
        logits_BK = context.logits(encoding, context.images_BCHW)
        loss = context.label_loss(logits_BK, context.labels_B)
        slots = slots_at(self.space.slots(encoding), sides)
        if slots is None:
            loss.backward()
            return read_losses([(role, loss.detach())])
        small_BCHW = interpolate(context.images_BCHW, size=sides, mode="area")
        small_BK = context.logits_of(slots, small_BCHW)
        small_loss = context.label_loss(small_BK, context.labels_B)
        distilled = context.distillation_loss(small_BK, logits_BK.detach())
        ((loss + small_loss.lerp(distilled, self.consistency)) / 2).backward()
        return read_losses([(role, loss.detach()), ("smaller", small_loss.detach())])

    @cached_property
    def _sides(self) -> tuple[Sides, ...]:
        """Of copies, pixels."""
        assert self.space.network is not None
        own = self.space.network.sides
        shares = [1.0 - (1.0 - self.smallest) * number / SIZES for number in range(1, SIZES + 1)]
        least = min(1.0, LEAST_SIDE / min(own))
        found = [
            (round(max(share, least) * own[0]), round(max(share, least) * own[1]))
            for share in shares
        ]
        return tuple(dict.fromkeys(found))


def _belongs_to_a_map(operator: str) -> bool:
    from supernets.network import belongs_to_a_map  # which imports torch

    return belongs_to_a_map(operator)
