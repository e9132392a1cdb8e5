"""Next-ViT's convolution block: a grouped 3x3 convolution, and an MLP of 1x1 convolutions.

Source: Li et al., Next-ViT: Next Generation Vision Transformer for Efficient Deployment in
Realistic Industrial Scenarios (2022), section 3.2. All norms are batch norms that become a part of
a convolution; the block that attends is `ntb`, and which of the two stands where is what the search
decides. Departures: channels that fill no group pass the grouped convolution; ReLU6, like all of
our convolutions; batch norm behind both projections, instead of the MLP's bias.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._slot import Cost, Group, Shape, Signature
from search_spaces.operators._base import OPERATORS, AbstractBlock, Mixing, hidden_group
from search_spaces.operators.mbconv import shortcut

KERNEL_SIZE = 3


@final
@OPERATORS.register
class NCB(AbstractBlock):
    """Grouped 3x3 convolution and 1x1 projection, then an MLP, each with a shortcut.

    Groups have as many channels as heads of the stage.
    """

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution",)
    dims: ClassVar[tuple[str, ...]] = ("expand_ratio",)

    def normalise(self, pick: Options, shape: Shape) -> Options:
        """Everything that is picked matters."""
        return Options({"expand_ratio": pick["expand_ratio"]})

    def groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """Hidden channels of the MLP."""
        return {"hidden": hidden_group(pick, shape)}

    def cost(self, signature: Signature) -> Cost:
        """pixels * width * (9 * head_dim + width + 2 * hidden) multiply-adds."""
        shape = signature.shape
        return mix_cost(shape.pixels, shape.width, shape.head_dim) + mlp_cost(signature)


def grouped_channels(width: int, group_size: int) -> int:
    """Those that fill groups."""
    return width // group_size * group_size


def mix_cost(n: int, width: int, group_size: int) -> Cost:
    """Grouped convolution, projection, shortcut."""
    grouped = grouped_channels(width, group_size)
    cost = layers.conv(n, width, width, 1) + layers.pointwise(n, width, quantizers=1)
    if grouped:
        cost += layers.conv(n, group_size, grouped, KERNEL_SIZE) + layers.clamp()
    if 0 < grouped < width:
        cost += layers.pointwise(n, width, calls=2, quantizers=1)
    return cost


def mlp_cost(signature: Signature) -> Cost:
    """1x1 convolutions to hidden channels and back, shortcut."""
    shape, hidden = signature.shape, signature.kept.number("hidden")
    return (
        layers.normed_conv(shape.pixels, shape.width, hidden)
        + layers.clamp()
        + layers.conv(shape.pixels, hidden, shape.width, 1)
        + shortcut(shape)
    )
