"""Inverted residual with a linear bottleneck.

Source: Sandler et al., MobileNetV2 (2018), section 3.3. Departures: the block keeps its map's size
(downsampling is a slot of its own), so its shortcut is always there.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._slot import Cost, Group, Shape, Signature
from search_spaces.operators._base import (
    OPERATORS,
    AbstractBlock,
    effective_kernel_size,
    hidden_group,
)


@final
@OPERATORS.register
class MBConv(AbstractBlock):
    """1x1 expansion, depthwise convolution, 1x1 projection without activation, shortcut."""

    dims: ClassVar[tuple[str, ...]] = ("kernel_size", "expand_ratio")

    def normalise(self, pick: Options, shape: Shape) -> Options:
        """Kernels larger than the map reaches are one kernel."""
        kernel_size = effective_kernel_size(pick.number("kernel_size"), shape.size)
        return Options({"kernel_size": kernel_size, "expand_ratio": pick["expand_ratio"]})

    def groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """The expanded channels."""
        return {"hidden": hidden_group(pick, shape)}

    def cost(self, signature: Signature) -> Cost:
        """pixels * hidden * (2 * width + kernel_size ** 2) multiply-adds."""
        n, width = signature.shape.pixels, signature.shape.width
        hidden = signature.kept.number("hidden")
        return (
            layers.conv(n, width, hidden, 1)
            + layers.depthwise(n, hidden, signature.pick.number("kernel_size"), has_norm=True)
            + layers.conv(n, hidden, width, 1)
            + layers.pointwise(n, width)
        )
