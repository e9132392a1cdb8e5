"""GLMix: a convolution of all positions, and beside it attention of few clusters of positions.

Source: Zhu et al., Revisiting the Integration of Convolution and Attention for Vision Backbone
(2024), the GLMix block and its soft clustering. Up to 64 clusters start as means of regions of the
map. Cosine similarity times a learnt scale says how much of every position goes into a cluster
(softmax over positions) and of every cluster comes back to a position (softmax over clusters); in
between clusters attend to each other. Beside it are a 1x1 convolution, a depthwise one and a 1x1
convolution. Departures: the depthwise kernel and the number of heads are elastic; regions are
equal ones, at most 8 along each side, instead of adaptive ones; layer norm before the block and
before attention, where the authors' code has batch norm and none; the slot's channel part follows.
"""

import math
from dataclasses import replace
from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._sides import Sides
from search_spaces._slot import Cost, Shape, Signature
from search_spaces.operators._attention import AbstractAttention
from search_spaces.operators._base import OPERATORS, Mixing, effective_kernel_size
from search_spaces.operators.sra import SRA

MOST_REGIONS = 8
"""Along each side of the map."""


@final
@OPERATORS.register
class GLMix(AbstractAttention):
    """Depthwise convolution beside attention of clusters that positions belong to in part."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution", "attention")
    mixer_dims: ClassVar[tuple[str, ...]] = ("kernel_size", "num_heads")

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """Kernels larger than the map reaches are one kernel; clusters' attention is `sra`'s."""
        kernel_size = effective_kernel_size(pick.number("kernel_size"), shape.size)
        own = SRA().mixer_normalise(Options({**pick, "sr_ratio": 1}), shape)
        return Options({"kernel_size": kernel_size, **own})

    def mixer_cost(self, signature: Signature) -> Cost:
        """pixels * width * (2 * width + kernel_size ** 2 + 3 * clusters) multiply-adds.

        Attention of clusters adds its own, which do not depend on the pixels.
        """
        shape = signature.shape
        n, width = shape.pixels, shape.width
        among = of_clusters(signature)
        clusters = among.shape.pixels
        products = Cost(
            attention=3 * n * clusters * width,
            params=1,
            vectors=1,
            elements=n * (5 * clusters + 2 * width) + 2 * clusters * width,
            calls=7,
        )
        return (
            layers.layer_norm(n, width)
            + layers.pointwise(clusters, width, calls=5)
            + layers.pointwise(n, width, calls=5, quantizers=3)
            + products
            + layers.nodes(22)
            + SRA().mixer_cost(among)
            + layers.linear(n, width, width)
            + layers.depthwise(n, width, signature.pick.number("kernel_size"), has_norm=False)
            + layers.linear(n, width, width)
        )


def region_sides(size: Sides) -> Sides:
    """Height and width of a region, pixels; the last ones may be smaller."""
    rows, columns = (-(-side // MOST_REGIONS) for side in size)
    return rows, columns


def num_regions(size: Sides) -> Sides:
    """Along the height and along the width of a map."""
    rows, columns = (-(-side // part) for side, part in zip(size, region_sides(size), strict=True))
    return rows, columns


def of_clusters(signature: Signature) -> Signature:
    """The block's attention as if clusters were a map."""
    size = num_regions(signature.shape.size)
    assert math.prod(size) <= MOST_REGIONS**2
    return replace(signature, shape=replace(signature.shape, in_size=size, size=size))
