"""CrossViT's fusion of two granularities: what stands for the one asks the tokens of the other.

Source: Chen et al., CrossViT: Cross-Attention Multi-Scale Vision Transformer for Image
Classification (2021), section 3.3: the class token of each branch queries the other branch's
patches, at a cost that is linear in their number, and returns. Departures: slots hand on one map
and no tokens beside it, so what lasts from block to block in the paper is made in each block: the
coarse branch is the map in larger patches, by a strided convolution, and attends to itself once;
means stand for the class tokens; fine tokens do not attend to each other, which other operators
do; what a mean has learnt is added to all tokens of its branch, and coarse tokens to all positions
of their patches, instead of being seen by later blocks; the number of heads is elastic.
"""

from dataclasses import replace
from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._slot import Cost, Shape, Signature
from search_spaces.operators._attention import AbstractAttention, attended
from search_spaces.operators._base import OPERATORS
from search_spaces.operators.sra import SRA


@final
@OPERATORS.register
class CrossViT(AbstractAttention):
    """Attention of coarse patches, and of each granularity's mean to the tokens of the other."""

    mixer_dims: ClassVar[tuple[str, ...]] = ("num_heads", "sr_ratio")

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """The reduction, which is the side of a patch, is lowered as in `sra`."""
        return SRA().mixer_normalise(pick, shape)

    def mixer_cost(self, signature: Signature) -> Cost:
        """Of the fusion 2 * (pixels + patches) * inner multiply-adds, and its linear layers.

        Patches' attention to each other has 2 * patches ** 2 * inner.
        """
        shape, ratio = signature.shape, signature.pick.number("sr_ratio")
        n, width, coarse = shape.pixels, shape.width, of_patches(signature)
        patches = coarse.shape.pixels
        cost = layers.layer_norm(n, width) + layers.pointwise(n, width, calls=1, quantizers=1)
        if ratio > 1:
            cost += layers.plain_conv(patches, width, width, ratio)
            cost += layers.layer_norm(patches, width)
            cost += layers.pointwise(n, width, calls=3, quantizers=1)
        return (
            cost
            + SRA().mixer_cost(coarse)
            + layers.pointwise(patches, width, calls=4, quantizers=1)
            + _fusion(signature, patches)
            + _fusion(signature, n)
        )


def of_patches(signature: Signature) -> Signature:
    """Attention of the coarse branch, as if its patches were a map."""
    shape, ratio = signature.shape, signature.pick.number("sr_ratio")
    size = shape.size[0] // ratio, shape.size[1] // ratio
    pick = Options({**signature.pick, "sr_ratio": 1})
    return replace(signature, shape=replace(shape, in_size=size, size=size), pick=pick)


def _fusion(signature: Signature, tokens: int) -> Cost:
    """One query to so many tokens."""
    width, heads = signature.shape.width, signature.kept.number("heads")
    inner = heads * signature.pick.number("head_dim")
    return (
        layers.linear(1, width, inner)
        + layers.linear(tokens, width, 2 * inner)
        + attended(1, tokens, heads, inner)
        + layers.pointwise(1, inner, calls=3, quantizers=2)
        + layers.nodes(8)
        + layers.linear(1, inner, width)
    )
