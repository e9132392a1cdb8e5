"""ConvFormer's token mixer of CFSR: a map times a large-kernel convolution of it.

Source: Wu et al., Transforming Image Super-Resolution: A ConvFormer-based Efficient Approach
(2024), the large kernel feature mixer in place of self-attention: one projection of the map is
convolved with a large depthwise kernel and multiplied with another projection. The layer is
complete with the channel part `edge`, its edge-preserving feed-forward network. Departures: the
formula is our reading of the paper's figure; the kernel, 9 there, is elastic; the product is
projected once more; any channel part may follow.
"""

from typing import final

from search_spaces import _layers as layers
from search_spaces._slot import Cost, Signature
from search_spaces.operators._base import OPERATORS, AbstractKernelMixer


@final
@OPERATORS.register
class ConvFormer(AbstractKernelMixer):
    """A projection times a large depthwise convolution of another one, projected."""

    def mixer_cost(self, signature: Signature) -> Cost:
        """pixels * width * (3 * width + kernel_size ** 2) multiply-adds; three layouts change."""
        n, width = signature.shape.pixels, signature.shape.width
        kernel_size = signature.pick.number("kernel_size")
        return (
            layers.layer_norm(n, width)
            + layers.linear(n, width, width)
            + layers.depthwise(n, width, kernel_size, has_norm=False)
            + layers.linear(n, width, width)
            + layers.linear(n, width, width)
            + layers.pointwise(n, width, calls=3, quantizers=3)
        )
