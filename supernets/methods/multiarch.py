"""Several members a batch, each on its share of the images, in the multiply-adds of one.

A step of one member moves the weights that it shares with others for it alone. Here the images of a
batch are divided among members of all roles, and the step takes the mean gradient of all images
(Liao et al., Searching for Efficient Multi-Stage Vision Transformers, 2021, on training of
supernets). However many members there are, a batch costs at most what one pass of the largest does.

Departures: the paper runs one network of the largest size and masks channels image by image, with
masked statistics of layer norm. Our members are slices, so that those of one member are run
together, which is the same computation: layer norm is of each image alone. Batch norm has the
statistics of a member's images, which are fewer: no member has less than `LEAST_SHARE`.
The paper's reduction of maps with a skip is the downsampling `downsample-residual`, its search
under a limit of multiply-adds the controller `evolution`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, final

import numpy as np

from search_spaces import SearchSpace, check_ranges
from supernets.methods._base import METHODS, AbstractMethod
from supernets.methods._lessons import teach
from supernets.methods._members import TURNS, Members

if TYPE_CHECKING:
    from supernets.context import Context
    from supernets.team import Losses

LEAST_SHARE = 4
"""Images of a member whose statistics batch norm can use."""


@final
@METHODS.register
@dataclass(frozen=True, kw_only=True)
class MultiArch(AbstractMethod):
    """Largest, random and smallest members in every batch, on labels.

    Attributes:
        space: What members there are.
        seed: Of the operators' decks.
        sparse_from: First batch in which members other than the largest are pruned.
        num_members: Of a batch; as many as have `LEAST_SHARE` images each if that is fewer.
        is_within: Which rows of encodings (N, C) the limits allow; None if they allow all.
    """

    space: SearchSpace
    seed: int = 0
    sparse_from: int = 0
    num_members: int = 4
    is_within: Callable[[np.ndarray], np.ndarray] | None = None

    def __post_init__(self) -> None:
        check_ranges(self, "training method 'multiarch'", num_members=(1, len(TURNS)))

    def step(self, context: "Context") -> "Losses":
        """All members, each on its own images."""
        parts = self.parts(len(context.images_BCHW))
        lessons = []
        for place, part in enumerate(parts):
            # Roles that are apart in the order of turns: a batch has them all, and every batch
            # costs about the same. With one member this is `sortednet`.
            turn = context.turn + place * len(TURNS) // len(parts)
            lesson = self._members.in_turn(
                turn, context.rng, is_dense=context.turn < self.sparse_from
            )
            weight = (part.stop - part.start) / len(context.images_BCHW)
            lessons.append(lesson._replace(weight=weight))
        return teach(context, lessons, parts=parts)

    def parts(self, num_images: int) -> list[slice]:
        """Which images of a batch each member has: sizes differ by one at most."""
        number = max(1, min(self.num_members, num_images // LEAST_SHARE))
        ends = [num_images * place // number for place in range(number + 1)]
        return [slice(*ends[place : place + 2]) for place in range(number)]

    @cached_property
    def _members(self) -> Members:
        return Members(space=self.space, seed=self.seed, is_within=self.is_within)
