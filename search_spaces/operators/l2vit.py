"""Linear attention, and convolutions that concentrate it.

Source: Zheng, The Linear Attention Resurrection in Vision Transformer (2025), section 3: attention
with a positive map of queries and keys in place of softmax costs what positions do, not their
square, but spreads evenly; behind it the local concentration module, two depthwise convolutions
with GELU between them, has a shortcut of its own. As in the authors' code, a learnt number per
head scales what attention gives, and what it is divided by is bounded from below. Departures: the
map is ELU + 1 (Katharopoulos et al., 2020) instead of ReLU, with which channels of a member whose
weights are slices may be 0 for all images; bounded by 1 instead of 100, because maps may have 16
positions; batch norm follows each convolution instead of the GELU, so that both fold; the kernel
is elastic; no position convolution before it; window attention in between is an operator of its
own, `window`.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._slot import Cost, Shape, Signature
from search_spaces.operators._attention import AbstractAttention, heads_of
from search_spaces.operators._base import OPERATORS, Mixing, effective_kernel_size


@final
@OPERATORS.register
class L2ViT(AbstractAttention):
    """Linear attention with a local concentration module."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("attention", "convolution")
    mixer_dims: ClassVar[tuple[str, ...]] = ("num_heads", "kernel_size")

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """Kernels larger than the map reaches are one kernel."""
        kernel_size = effective_kernel_size(pick.number("kernel_size"), shape.size)
        return Options({**heads_of(pick, shape), "kernel_size": kernel_size})

    def mixer_cost(self, signature: Signature) -> Cost:
        """Projections, 2 * pixels * head_dim * inner, and 2 * pixels * kernel_size ** 2 * width."""
        shape, pick = signature.shape, signature.pick
        n, width, heads = shape.pixels, shape.width, signature.kept.number("heads")
        head_dim, kernel_size = pick.number("head_dim"), pick.number("kernel_size")
        inner = heads * head_dim
        convolution = layers.depthwise(n, width, kernel_size, has_norm=True)
        return (
            layers.layer_norm(n, width)
            + layers.linear(n, width, 3 * inner)
            + Cost(attention=2 * n * head_dim * inner, params=heads, vectors=heads, calls=2)
            + layers.pointwise(n, inner, calls=12, quantizers=2)
            + layers.nodes(16)
            + layers.linear(n, inner, width)
            + layers.layer_norm(n, width)
            + convolution
            + layers.pointwise(n, width, calls=5, quantizers=2)
            + convolution
        )
