"""MetaMixer's token mixer: queries, keys and values as in attention, made of convolutions.

Source: Yun et al., MetaMixer Is All You Need (2024), FFNified attention: a depthwise convolution
compares the map with its kernels, GELU makes coefficients of it, and another depthwise convolution
adds up values. Departures: the kernel is elastic; no pointwise convolutions around the pair, as the
slot's channel part follows; no layer scale, as in `convnext`.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._slot import Cost, Group, Shape, Signature
from search_spaces.operators._base import OPERATORS, AbstractMixer, Mixing, effective_kernel_size


@final
@OPERATORS.register
class MetaMixer(AbstractMixer):
    """Large depthwise convolution, GELU, large depthwise convolution."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution",)
    mixer_dims: ClassVar[tuple[str, ...]] = ("kernel_size",)

    def mixer_normalise(self, pick: Options, shape: Shape) -> Options:
        """Kernels larger than the map reaches are one kernel."""
        kernel_size = effective_kernel_size(pick.number("kernel_size"), shape.size)
        return Options({"kernel_size": kernel_size})

    def mixer_groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """None: depthwise channels are the residual stream's."""
        return {}

    def mixer_cost(self, signature: Signature) -> Cost:
        """2 * pixels * width * kernel_size ** 2 multiply-adds; two copies change the layout."""
        n, width = signature.shape.pixels, signature.shape.width
        convolution = layers.depthwise(
            n, width, signature.pick.number("kernel_size"), has_norm=False
        )
        return convolution + convolution + layers.pointwise(n, width, calls=3, quantizers=1)
