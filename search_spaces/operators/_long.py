"""Mixers whose kernels reach from one end of a map to the other.

A kernel is of one channel and one side: all columns of a map are convolved with one of 2 * height -
1 taps, then all rows with one of 2 * width - 1. A map is no sequence, so the sequences of the
papers are its columns and its rows; kernels go in both directions, because every position is there
at once. What makes them differs from operator to operator and is not deployed: files have two
depthwise convolutions.
"""

from abc import abstractmethod
from typing import ClassVar

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._errors import CandidateError
from search_spaces._sides import written_sides
from search_spaces._slot import Cost, Group, Shape, Signature
from search_spaces.operators._base import AbstractMixer, Mixing

LEAST_SIDE = 3
"""Pixels of a map's shorter side."""


class AbstractLongMixer(AbstractMixer):
    """A depthwise convolution of columns, then one of rows, as long as these; no pruning."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution",)
    mixer_dims: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def kernel_pick(self, pick: Options, shape: Shape) -> Options:
        """As `mixer_normalise`, on a map that is large enough."""

    @abstractmethod
    def kernel_params(self, pick: Options, side: int) -> int:
        """Numbers per channel of what makes the kernel for a side of so many pixels.

        Args:
            pick: Normalised.
            side: Of the map.
        """

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """What `kernel_pick` says; a map of less than `LEAST_SIDE` px is refused."""
        if min(shape.size) < LEAST_SIDE:
            raise CandidateError(
                f"a long convolution cannot stand on a map of {written_sides(shape.size)} px: it "
                f"has no more taps there than a small one. Offer maps of {LEAST_SIDE} px or more."
            )
        return self.kernel_pick(pick, shape)

    def mixer_groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """None: depthwise channels are the residual stream's."""
        return {}

    def mixer_cost(self, signature: Signature) -> Cost:
        """pixels * channels * (taps of both kernels) multiply-adds; two copies of the map.

        Parameters are those of what makes the kernels, and two biases per channel.
        """
        shape = signature.shape
        cost = layers.pointwise(shape.pixels, shape.width, calls=2)
        for side in shape.size:
            conv = layers.depthwise(
                shape.pixels, shape.width, num_taps(side), has_norm=False, band=1
            )
            made = self.kernel_params(signature.pick, side)
            cost += conv._replace(params=shape.width * (made + 1))
        return cost


def num_taps(side: int) -> int:
    """Of the kernel that reaches from end to end of so many pixels, in both directions."""
    return 2 * side - 1
