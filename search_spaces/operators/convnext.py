"""ConvNeXt's depthwise token mixer; norm, channel part and shortcut are the slot's.

Source: Liu et al., A ConvNet for the 2020s (2022), section 2.6. Departures: the kernel size is
elastic; no layer scale and no stochastic depth, which short schedules do not need.
"""

from typing import final

from search_spaces import _layers as layers
from search_spaces._slot import Cost, Signature
from search_spaces.operators._base import OPERATORS, AbstractKernelMixer


@final
@OPERATORS.register
class ConvNeXt(AbstractKernelMixer):
    """Depthwise convolution with bias; the only shortcut goes around it and the channel part."""

    def mixer_cost(self, signature: Signature) -> Cost:
        """pixels * width * kernel_size ** 2 multiply-adds; two copies change the layout."""
        n, width = signature.shape.pixels, signature.shape.width
        kernel_size = signature.pick.number("kernel_size")
        return layers.depthwise(n, width, kernel_size, has_norm=False) + layers.pointwise(
            n, width, calls=2
        )
