"""A bottleneck whose 3x3 convolution has groups of a constant number of channels.

Sources: Jha et al., E2GC: Energy-efficient Group Convolution in Deep Neural Networks (2020), the
rule that the channels of a group are constant, and not the number of groups; the block: Xie et al.,
Aggregated Residual Transformations for Deep Neural Networks (2017). So a group of a wide stage
costs what one of a narrow stage does, and multiply-adds of the grouped convolution grow with its
channels and not with their square. Departures: the size of a group is a choice of the search, a
power of 2, and smaller groups share the weights of larger ones; which whole groups are pruned
follows from the sum of their channels' importance; no activation behind the shortcut; ReLU6, like
all of our convolutions; in a stage the block keeps its map's size.
"""

import math
from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Options
from search_spaces._errors import CandidateError
from search_spaces._slot import HIDDEN_MULTIPLE, Cost, Group, Shape, Signature
from search_spaces.operators._base import OPERATORS, AbstractBlock, Mixing
from search_spaces.operators.mbconv import shortcut

KERNEL_SIZE = 3


@final
@OPERATORS.register
class E2GC(AbstractBlock):
    """1x1 expansion, 3x3 convolution in groups of constant size, 1x1 projection, shortcut."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution",)
    dims: ClassVar[tuple[str, ...]] = ("expand_ratio", "group_size")

    def normalise(self, pick: Options, shape: Shape) -> Options:
        """Everything that is picked matters."""
        group_size = pick.number("group_size")
        if group_size < 1 or group_size & (group_size - 1):
            raise CandidateError(
                f"operator 'e2gc' has group_size {group_size}. It can have powers of 2. Offer 8 "
                "or 16, for example."
            )
        return Options({"expand_ratio": pick["expand_ratio"], "group_size": group_size})

    def groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """Hidden channels, whole groups of them."""
        multiple = math.lcm(HIDDEN_MULTIPLE, pick.number("group_size"))
        return {"hidden": Group(hidden_channels(pick, shape.in_width), multiple)}

    def cost(self, signature: Signature) -> Cost:
        """pixels * hidden * (2 * width + 9 * group_size) multiply-adds."""
        shape, hidden = signature.shape, signature.kept.number("hidden")
        n, group_size = shape.pixels, signature.pick.number("group_size")
        return (
            layers.conv(n, shape.in_width, hidden, 1)
            + layers.conv(n, group_size, hidden, KERNEL_SIZE)
            + layers.clamp()
            + layers.clamp()
            + layers.conv(n, hidden, shape.width, 1)
            + shortcut(shape)
        )


def hidden_channels(pick: Options, in_width: int) -> int:
    """Width times expansion, rounded up to whole groups."""
    group_size = pick.number("group_size")
    return -(-pick.number("expand_ratio") * in_width // group_size) * group_size
