"""ConvNeXt's depthwise token mixer; norm, channel part and shortcut are the slot's.

Source: Liu et al., A ConvNet for the 2020s (2022), section 2.6. Departures: the kernel size is
elastic; no layer scale and no stochastic depth, which short schedules do not need.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._slot import Cost, Group, Shape, Signature
from search_spaces.operators._base import OPERATORS, AbstractMixer, Mixing, effective_kernel_size


@final
@OPERATORS.register
class ConvNeXt(AbstractMixer):
    """Depthwise convolution with bias; the only shortcut goes around it and the channel part."""

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
        """pixels * width * kernel_size ** 2 multiply-adds; two copies change the layout."""
        n, width = signature.shape.pixels, signature.shape.width
        kernel_size = signature.pick.number("kernel_size")
        return layers.depthwise(n, width, kernel_size, has_norm=False) + layers.pointwise(
            n, width, calls=2
        )
