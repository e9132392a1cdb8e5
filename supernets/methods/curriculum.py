"""Easy images first: low frequencies, at a smaller size, and weak augmentation.

Networks learn low frequencies first whatever they are shown, so early in training they are shown
no others: images are the crop of their spectrum, and smaller, so that steps take less time. What
RandAugment does grows from phase to phase (Wang et al., EfficientTrain: Exploring Generalized
Curriculum Learning for Training Visual Backbones, 2023). Three fifths of the steps see the smallest
images, one fifth those of the size between, the last one whole images.

Departures: any other training method is wrapped, and trains the members of a supernet on what it is
given. Members with weights that belong to a map's sides (windows, MLPs over positions) are given
the low frequencies at the whole size, and take as long as ever. Networks that are trained alone see
whole images. The sizes are those of 224 px (160, 192, 224) as shares; all images are decoded and
augmented at the whole size, whether they are held or streamed, and resampled on the device.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, final

import numpy as np

from search_spaces import SearchSpace, Sides, UserError, check_ranges
from supernets.methods._base import METHODS
from supernets.methods._wrapping import AbstractWrapping

if TYPE_CHECKING:
    from supernets.context import Context
    from supernets.team import Losses

SIZES_FROM = (0.0, 0.6, 0.8)
"""Shares of the training from which on images have the smallest size, a middle one, their own."""

WEAKEST, STRONGER = 1 / 9, 2 / 9
"""Of the magnitude of RandAugment in the first fifth, and what every further fifth adds."""

FIFTHS = 5
LEAST_SIDE = 8
"""Pixels of the shorter side."""

OWN_SIZES = frozenset({"guided", "multi-resolution"})
"""Methods that ask networks for images of a size of their own."""

RANDAUGMENT = "randaugment"


@final
@METHODS.register
@dataclass(frozen=True, kw_only=True)
class Curriculum(AbstractWrapping):
    """Another method on images of low frequencies first.

    Attributes:
        space: What members there are.
        seed: The other method's.
        sparse_from: The other method's.
        method: The other method's name, and perhaps its settings.
        smallest: Sides of images in the first phase, as a share of the space's own; 1 for the other
            method alone, but for its augmentation.
        is_within: The other method's.
    """

    space: SearchSpace
    seed: int = 0
    sparse_from: int = 0
    method: str = "sortednet"
    smallest: float = 0.7143
    is_within: Callable[[np.ndarray], np.ndarray] | None = None

    def __post_init__(self) -> None:
        where = "training method 'curriculum'"
        check_ranges(self, where, smallest=(0.25, 1.0))
        self.check_base(where)
        if self.base_name in OWN_SIZES:
            raise UserError(
                f"{where}: method is '{self.method}', which has sizes of images of its own. Name "
                "another one, such as --set method=sortednet."
            )
        if self.space.is_brought:
            raise UserError(
                f"{where}: space '{self.space.name}' is a network that was brought, whose maps "
                "have the sizes that it was traced with. Use another method."
            )

    @property
    def phases(self) -> tuple[float, ...]:
        """The other method's, and those of the sizes."""
        return tuple(sorted({*self.base.phases, *SIZES_FROM}))

    def augment_at(self, augment: str, share_done: float) -> str:
        """With less of RandAugment in the beginning."""
        fifth = min(FIFTHS - 1, int(FIFTHS * share_done))
        own = self.base.augment_at(augment, share_done)
        parts = own.split("+") if own else []
        return "+".join(_weakened(part, WEAKEST + STRONGER * fifth) for part in parts)

    def step(self, context: "Context") -> "Losses":
        """The other method's, on smaller images."""
        from supernets.frequencies import resampled  # which imports torch

        sides = self.sides_at(context.share_done)
        if sides == self._own:
            return self.base.step(context)
        images_BCHW = resampled(context.images_BCHW, sides)
        return self.base.step(replace(context, images_BCHW=images_BCHW, sides=sides))

    def sides_at(self, share_done: float) -> Sides:
        """Height and width of images, pixels, after this share of the training; even numbers."""
        number = sum(share_done >= begin for begin in SIZES_FROM) - 1
        share = (self.smallest, (1 + self.smallest) / 2, 1.0)[number]
        share = max(share, min(1.0, LEAST_SIDE / min(self._own)))
        if share == 1.0:
            return self._own
        height, width = (max(2, 2 * round(share * side / 2)) for side in self._own)
        return height, width

    @cached_property
    def _own(self) -> Sides:
        assert self.space.network is not None
        return self.space.network.sides


def _weakened(part: str, share: float) -> str:
    """An augmentation of the text, with a share of its magnitude if it is RandAugment."""
    name, _, rest = part.partition(":")
    if name != RANDAUGMENT:
        return part
    from supernets.augmentations._base import AUGMENTATIONS

    given = dict(option.partition("=")[::2] for option in rest.split(",") if option)
    whole = float(given.get("magnitude", AUGMENTATIONS.get(RANDAUGMENT).magnitude))
    given["magnitude"] = f"{share * whole:.4g}"
    return f"{name}:{','.join(f'{option}={value}' for option, value in given.items())}"
