"""MetaMixer's token mixer: queries, keys and values as in attention, made of convolutions.

Source: Yun et al., MetaMixer Is All You Need (2024), FFNified attention: a depthwise convolution
compares the map with its kernels, GELU makes coefficients of it, and another depthwise convolution
adds up values. Departures: the kernel is elastic; no pointwise convolutions around the pair, as the
slot's channel part follows; no layer scale, as in `convnext`.
"""

from typing import final

from search_spaces import _layers as layers
from search_spaces._slot import Cost, Signature
from search_spaces.operators._base import OPERATORS, AbstractKernelMixer


@final
@OPERATORS.register
class MetaMixer(AbstractKernelMixer):
    """Large depthwise convolution, GELU, large depthwise convolution."""

    def mixer_cost(self, signature: Signature) -> Cost:
        """2 * pixels * width * kernel_size ** 2 multiply-adds; two copies change the layout."""
        n, width = signature.shape.pixels, signature.shape.width
        convolution = layers.depthwise(
            n, width, signature.pick.number("kernel_size"), has_norm=False
        )
        return convolution + convolution + layers.pointwise(n, width, calls=3, quantizers=1)
