"""Scattering mixer: wavelets split the map, and low and high bands are mixed each in its way.

Source: Patro and Agneeswaran, Scattering Vision Transformer: Spectral Mixing Matters (2023),
section 3: one level of the dual-tree complex wavelet transform, a learnt number per position and
channel for what is low, two complex matrices of four blocks of channels with an activation between
for what is high, and the inverse transform. Departures: filters of 5 and 7 taps instead of 13 and
19, because maps are small; GELU instead of ReLU, which can leave channels of few positions without
gradient; a block has every fourth channel, so that a narrower member's are parts of a wider one's;
complex bands are the square root of 2 times as large, and as much again behind the matrices, which
can learn to undo it; high bands mix channels alone, and the transform mixes positions. The map's
sides are part of the weights.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._errors import CandidateError
from search_spaces._slot import Cost, Group, Shape, Signature
from search_spaces.operators._base import OPERATORS, AbstractMixer, Mixing

BLOCKS = 4
"""Of channels that are mixed with each other; the fewest channels have fewer."""

BANDS, TREES = 6, 4
"""Complex bands of what is high, and trees: positions of the map per position of a band."""


@final
@OPERATORS.register
class SVT(AbstractMixer):
    """Wavelet transform, weights of what is low, blocks of channels of what is high, and back."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("mixer",)
    mixer_dims: ClassVar[tuple[str, ...]] = ()

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """Adds how many channels a block has."""
        size = block_channels(shape.width)
        if shape.width % size:
            hint = "widths that 4 divides" if shape.width % 2 == 0 else "even widths"
            raise CandidateError(
                f"operator 'svt' mixes {BLOCKS} blocks of channels, and {shape.width} channels are "
                f"no whole blocks of {size}. Offer {hint}."
            )
        return Options({"block_channels": size})

    def mixer_groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """None: bands have the residual stream's channels."""
        return {}

    def mixer_cost(self, signature: Signature) -> Cost:
        """12 * pixels * width * channels of a block multiply-adds; and the transforms'.

        These are products with constants, in fp32 in every format, as is what is low; of a map
        with even sides 6 * pixels * width * (height + width of the map).
        """
        shape = signature.shape
        (height, width), (rows, columns) = shape.size, even_sides(shape)
        n, channels, padded = shape.pixels, shape.width, rows * columns
        products = 2 * (rows * height * width + 2 * rows * columns * width)
        products += 2 * (height * rows * 2 * columns + height * columns * width)
        size = signature.pick.number("block_channels")
        transforms = Cost(
            attention=channels * products,
            params=channels * padded,
            vectors=channels * padded,
            elements=channels * (2 * rows * width + 4 * padded + 2 * height * columns + n),
            calls=4,
        )
        mixing = layers.layer(
            BANDS * padded // TREES,
            4 * channels * size,
            2 * channels,
            num_bias=2 * channels,
            graph_bytes=layers.CONV_BYTES,
        )._replace(params=2 * channels * (size + 1))
        return (
            layers.layer_norm(n, channels)
            + transforms
            + layers.nodes(4, values=_constant_bytes(shape))
            + mixing
            + mixing
            + layers.pointwise(n, channels, calls=5)
            + layers.pointwise(padded, channels, calls=10)
            + layers.pointwise(3 * padded, channels, calls=16, quantizers=2)
            + layers.nodes(35)
        )


def block_channels(width: int) -> int:
    """Channels of a block."""
    return -(-width // BLOCKS)


def even_sides(shape: Shape) -> tuple[int, int]:
    """Height and width of the map as it is transformed."""
    height, width = shape.size
    return height + height % 2, width + width % 2


def _constant_bytes(shape: Shape) -> int:
    """Of two matrices per side, which the stage's first block pays for."""
    sides = zip(even_sides(shape), shape.size, strict=True) if shape.index == 0 else ()
    return sum(2 * 4 * 2 * even * side for even, side in sides)
