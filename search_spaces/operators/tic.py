"""TiC's token mixer: self-attention in place of a convolution, to neighbours of every position.

Source: Zhang et al., TiC: Exploring Vision Transformer in Convolution (2023): multi-head
self-attention in the windows of a convolution, dilated or not, with channels shifted cyclically in
several directions and an inter-pooling path, which both extend its reach. How shifts and pooling
are done is ours: keys and values read the map whose quarters of channels are shifted by half a
kernel down, up, right and left, plus its average over a kernel. Departures: kernel and dilation are
elastic; the number of heads is elastic at a fixed head size, as in `window`; one bias per head and
tap says where a neighbour is; the slot's channel part follows.
"""

from collections.abc import Mapping
from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Option, Options
from search_spaces._slot import Cost, Shape, Signature
from search_spaces.operators._attention import AbstractAttention, heads_of
from search_spaces.operators._base import OPERATORS, effective_kernel_size

DIRECTIONS = 4
"""In which channels are shifted."""


@final
@OPERATORS.register
class TiC(AbstractAttention):
    """Attention to the neighbours that a kernel sees, for maps of any sides."""

    mixer_dims: ClassVar[tuple[str, ...]] = ("num_heads", "kernel_size", "dilation")
    defaults: ClassVar[Mapping[str, Option]] = {"dilation": 1}

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """Kernels larger than the map reaches are one; no tap is beyond the map's shorter side."""
        kernel_size = effective_kernel_size(pick.number("kernel_size"), shape.size)
        farthest = (min(shape.size) - 1) // max(1, kernel_size // 2)
        return Options(
            {
                **heads_of(pick, shape),
                "kernel_size": kernel_size,
                "dilation": max(1, min(pick.number("dilation"), farthest)),
            }
        )

    def mixer_cost(self, signature: Signature) -> Cost:
        """pixels * inner * (4 * width + 2 * kernel_size ** 2) multiply-adds."""
        shape, pick = signature.shape, signature.pick
        n, width, heads = shape.pixels, shape.width, signature.kept.number("heads")
        inner, kernel_size = heads * pick.number("head_dim"), pick.number("kernel_size")
        return (
            layers.layer_norm(n, width)
            + layers.linear(n, width, inner)
            + layers.pointwise(n, width, calls=9, quantizers=2)
            + layers.linear(n, width, 2 * inner)
            + layers.neighbour_product(shape.size, inner, heads, kernel_size)
            + layers.pointwise(n, heads * kernel_size**2)
            + layers.neighbour_sum(n, inner, kernel_size)
            + layers.pointwise(n, inner, calls=5, quantizers=1)
            + layers.linear(n, inner, width)
            + layers.nodes(14)
        )


def shifted_widths(width: int) -> list[int]:
    """Channels of every direction; the first directions have one more if 4 does not divide."""
    return [(width + DIRECTIONS - 1 - place) // DIRECTIONS for place in range(DIRECTIONS)]
