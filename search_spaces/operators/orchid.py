"""Orchid: a global convolution whose kernel follows from the map, between two gates.

Source: Karami and Ghodsi, Orchid: Flexible and Data-Dependent Convolution for Sequence Modeling
(2024): gates and values are linear in the input; the kernel's spectrum is a small network of the
squared magnitudes of the values' spectrum, which no cyclic shift changes (the first of the paper's
two conditioning networks, by the code that the authors published). Departures: two axes of a map
instead of a sequence, the convolution is circular along both; the kernel's spectrum is real, hence
the kernel symmetric; magnitudes are those of waves along both axes together, whatever their
direction; the network has one depthwise 3x3 kernel over frequencies and a norm, and none over
positions, as gates and values have no short convolution, whose borders no cyclic shift respects; in
place of a static kernel beside it there is the bias of that network, the kernel of distance 0; no
skip connection around it but the mixer's. Spectra are products with two fixed matrices, side times
channels multiply-adds per pixel where a fast transform has its logarithm: at up to 32 px they are
faster (`benchmarks/long_convolutions.py`).
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._slot import Cost, Group, Shape, Signature
from search_spaces.operators._base import OPERATORS, AbstractMixer, Mixing

SMOOTHING = 3
"""Side of the kernel over frequencies."""


@final
@OPERATORS.register
class Orchid(AbstractMixer):
    """Circular convolution with a kernel of the map's own, between gates."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution",)
    mixer_dims: ClassVar[tuple[str, ...]] = ()

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """Nothing is decided."""
        return Options({})

    def mixer_groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """None: gates and values have the residual stream's channels."""
        return {}

    def mixer_cost(self, signature: Signature) -> Cost:
        """Linear layers, transforms of values and gated values, and one back.

        Products of transforms and the kernel over frequencies are in fp32 in every format.
        """
        shape, width = signature.shape, signature.shape.width
        n, waves = shape.pixels, num_waves(shape)
        return (
            layers.layer_norm(n, width)
            + layers.linear(n, width, 3 * width)
            + layers.pointwise(n, width, calls=3, quantizers=2)
            + _transform(shape, 2 * width)
            + _spectrum(shape, width)
            + layers.pointwise(4 * waves, width)
            + _transform(shape, width)
            + layers.linear(n, width, width)
            + _tables(shape)
            + layers.nodes(24)
        )


def num_waves(shape: Shape) -> int:
    """Frequencies along one side times those along the other, from 0 to the highest of each."""
    rows, columns = (half_spectrum(side) for side in shape.size)
    return rows * columns


def half_spectrum(side: int) -> int:
    """Frequencies of real values at so many positions, 0 among them."""
    return side // 2 + 1


def _transform(shape: Shape, width: int) -> Cost:
    """Of both sides, there or back; a wave is a cosine and a sine along each side."""
    height, n = shape.size[0], shape.pixels
    rows, columns = (2 * half_spectrum(side) for side in shape.size)
    return Cost(
        attention=width * columns * (n + height * rows),
        elements=width * columns * (height + rows),
        calls=2,
    )


def _tables(shape: Shape) -> Cost:
    """Waves of both sides, of equal sides once.

    For the way back they are transposed, of which a file in fp32 has a copy. That is not counted,
    because slots at maps of one size share all of these.
    """
    return Cost(vectors=sum(2 * half_spectrum(side) * side for side in set(shape.size)))


def _spectrum(shape: Shape, width: int) -> Cost:
    """Squares, their sum over cosines and sines, the kernel over frequencies and the norm."""
    waves, weights = num_waves(shape), width * SMOOTHING**2
    own = Cost(
        attention=waves * weights,
        params=weights + width,
        vectors=weights + width,
        elements=waves * width,
        calls=1,
        graph_bytes=layers.CONV_BYTES,
    )
    return (
        layers.pointwise(4 * waves, width)
        + layers.pointwise(waves, width, calls=3)
        + own
        + layers.layer_norm(waves, width)
    )
