"""Dynamic spectrum mixer: gains of bands of frequencies that the image decides.

Source: Dynamic Spectrum Mixer for Visual Recognition (2023): the map's discrete cosine transform,
weights of its spectrum generated from the input, and the inverse transform. Its formulas are not
known to us. Ours: bands are octaves along the diagonal of both frequencies, counted from the
highest, and the last one has all that is lower, so that one more band divides the last one alone.
An MLP of the channels' means, as in squeeze and excitation, gives a gain between 0 and 1 per band
and channel. The slot's channel part follows, and the only shortcut goes around both, as in
`convnext`. Transforms are products with constant matrices, see `supernets/_spectra.py`.
"""

import math
from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._sides import Sides
from search_spaces._slot import Cost, Group, Shape, Signature
from search_spaces.operators._base import OPERATORS, AbstractMixer, Mixing

REDUCTION = 4
"""Channels per hidden channel of the MLP that decides about gains."""


@final
@OPERATORS.register
class DSM(AbstractMixer):
    """Cosine transform, gains of octaves per channel and image, inverse transform."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("mixer",)
    mixer_dims: ClassVar[tuple[str, ...]] = ("num_bands",)

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """No more bands than the map's shorter side has octaves."""
        most = 1 + int(math.log2(min(shape.size)))
        return Options({"num_bands": min(pick.number("num_bands"), most)})

    def mixer_groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """None: channels are the residual stream's."""
        return {}

    def mixer_cost(self, signature: Signature) -> Cost:
        """2 * pixels * width * (height + width of the map), and the MLP: multiply-adds.

        The products with constants are in fp32 in every format.
        """
        shape, bands = signature.shape, signature.pick.number("num_bands")
        n, width = shape.pixels, shape.width
        hidden, gains = hidden_channels(width), bands * width
        transforms = Cost(
            attention=2 * n * width * sum(shape.size), elements=4 * n * width, calls=4
        )
        return (
            transforms
            + layers.nodes(4, values=_constant_bytes(shape))
            + layers.pointwise(1, width, quantizers=2)
            + layers.linear(1, width, hidden)
            + layers.pointwise(1, hidden, quantizers=1)
            + layers.linear(1, hidden, gains)
            + layers.pointwise(1, gains, calls=2)
            + layers.pointwise(n, width, calls=3)
            + layers.nodes(6, values=n)
        )


def hidden_channels(width: int) -> int:
    """Of the MLP that decides about gains."""
    return -(-width // REDUCTION)


def octaves(size: Sides, num_bands: int) -> list[list[int]]:
    """The band of every frequency of a map, lowest frequencies first; band 0 has the highest.

    A frequency is the mean of both, each as a fraction of its side.
    """
    height, width = size
    return [
        [_octave(y * width + x * height, 2 * height * width, num_bands) for x in range(width)]
        for y in range(height)
    ]


def _octave(part: int, whole: int, num_bands: int) -> int:
    """How often a fraction can be doubled before it is a half or more, at most the last band."""
    octave = 0
    while 2 * part < whole and octave < num_bands - 1:
        part, octave = 2 * part, octave + 1
    return octave


def _constant_bytes(shape: Shape) -> int:
    """Of matrices of cosines and their transposes, which the stage's first block pays for."""
    sides = set(shape.size) if shape.index == 0 else ()
    return sum(2 * 4 * side**2 for side in sides)
