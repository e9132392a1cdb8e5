"""ConvShareViT's attention: projections are convolutions of every token, with one kernel for all.

Source: Ibadulla et al., ConvShareViT: Enhancing Vision Transformers with Convolutional Attention
Mechanisms for Free-Space Optical Accelerators (2025): linear maps of attention become depthwise
convolutions whose kernel all channels share, with valid padding, by which attention is learnt. A
token is a channel there, and what is convolved is the image of its features: a sheet of the map's
channels, nearly square (our reading). A projection has kernel_size ** 2 weights per head whatever
the width. Departures: the last projection pads by the whole kernel, so that a sheet of the first
size comes out; kernel and number of heads are elastic; the slot's channel part follows instead of
an MLP of such convolutions; no biases.
"""

import math
from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._sides import Sides
from search_spaces._slot import Cost, Shape, Signature
from search_spaces.operators._attention import AbstractAttention
from search_spaces.operators._base import OPERATORS


@final
@OPERATORS.register
class ConvShare(AbstractAttention):
    """Global attention with a shared kernel per head and projection."""

    mixer_dims: ClassVar[tuple[str, ...]] = ("num_heads", "kernel_size")

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """The largest odd kernel up to the one asked for that fits into a sheet."""
        fits = min(pick.number("kernel_size"), min(sheet_size(shape.width)))
        return Options({"num_heads": pick["num_heads"], "kernel_size": fits - 1 + fits % 2})

    def mixer_cost(self, signature: Signature) -> Cost:
        """pixels * heads * (3 * features + sheet) * kernel_size ** 2, and attention.

        A head has as many features as a sheet has places for the kernel: about
        (width ** 0.5 - kernel_size + 1) ** 2. Attention has 2 * pixels ** 2 of them.
        """
        shape, pick = signature.shape, signature.pick
        n, width, heads = shape.pixels, shape.width, signature.kept.number("heads")
        kernel_size = pick.number("kernel_size")
        features = head_features(width, kernel_size)
        sheet, taps = math.prod(sheet_size(width)), kernel_size**2
        attention = Cost(
            attention=2 * n * n * heads * features, elements=2 * n * n * heads, calls=3
        )
        return (
            layers.layer_norm(n, width)
            + _shared_conv(n * features, 3 * heads, taps)
            + attention
            + layers.pointwise(n, heads * features, calls=5, quantizers=2)
            + _shared_conv(n * sheet, 1, heads * taps)
            + layers.grouped(n * sheet, heads, heads * taps)
            + layers.pointwise(n, sheet, calls=2)
            + layers.nodes(22)
        )


def _shared_conv(places: int, kernels: int, weights: int) -> Cost:
    """Convolution whose kernels have so many weights, at these places, without a bias."""
    return layers.layer(places, kernels * weights, kernels, graph_bytes=layers.CONV_BYTES)


def sheet_size(width: int) -> Sides:
    """Height and width of the image that a token's channels are, padded if need be.

    The height never falls with the number of channels, so larger kernels fit into more.
    """
    height = math.isqrt(width)
    return height, -(-width // height)


def head_features(width: int, kernel_size: int) -> int:
    """Places of the kernel in a sheet."""
    height, breadth = sheet_size(width)
    return max(0, height - kernel_size + 1) * max(0, breadth - kernel_size + 1)
