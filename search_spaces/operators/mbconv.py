"""Inverted residual with a linear bottleneck, with or without channel attention.

Source: Sandler et al., MobileNetV2 (2018), section 3.3. Departures: norm and activation are a
choice, by default the published one; in a stage the block keeps its map's size (downsampling is a
slot of its own), so its shortcut is always there. At another size or width it is the published
block with a stride and without shortcut. Channel attention scales the expanded channels, behind the
depthwise convolution, where MobileNetV3 has it (Howard et al., 2019); in ECA-Net's MobileNetV2 it
scales the block's output, behind the projection.
"""

from collections.abc import Mapping
from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Option, Options
from search_spaces._slot import Cost, Group, Shape, Signature
from search_spaces.channel_attentions._base import (
    CHANNEL_ATTENTION,
    ECA,
    attention_cost,
    normalised_attention,
)
from search_spaces.norms._base import NORM, norm_of, normalised_norm
from search_spaces.operators._attended import AbstractAttendedBlock
from search_spaces.operators._base import OPERATORS, Mixing, effective_kernel_size, hidden_group


@final
@OPERATORS.register
class MBConv(AbstractAttendedBlock):
    """1x1 expansion, depthwise convolution, 1x1 projection without activation, shortcut.

    An expansion of 1 has no expanding convolution.
    """

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution",)
    dims: ClassVar[tuple[str, ...]] = (
        "kernel_size",
        "expand_ratio",
        ECA,
        CHANNEL_ATTENTION,
        NORM,
    )
    defaults: ClassVar[Mapping[str, Option]] = {ECA: 0, **AbstractAttendedBlock.defaults}

    def normalise(self, pick: Options, shape: Shape) -> Options:
        """Kernels larger than the map reaches are one kernel.

        "eca" becomes the size of that attention's kernel, which follows the channels, or is 0. It
        is read where "channel_attention" names none, and says all there is of `eca`.
        """
        expand_ratio = pick.number("expand_ratio")
        attention = normalised_attention(pick, expand_ratio * shape.in_width)
        return Options(
            {
                "kernel_size": effective_kernel_size(pick.number("kernel_size"), shape.in_size),
                "expand_ratio": expand_ratio,
                ECA: 0,
                **{dim: option for dim, option in attention.items() if option != ECA},
                **normalised_norm(pick),
            }
        )

    def groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """The expanded channels."""
        return {"hidden": expanded_group(pick, shape)}

    def cost(self, signature: Signature) -> Cost:
        """in_pixels * in_width * hidden + pixels * hidden * (kernel ** 2 + width) multiply-adds.

        Channel attention adds its own; without expansion the first product is 0.
        """
        shape, pick = signature.shape, signature.pick
        n, hidden, norm = shape.pixels, signature.kept.number("hidden"), norm_of(pick)
        cost = layers.depthwise(n, hidden, pick.number("kernel_size"), has_norm=True, norm=norm)
        if pick.number("expand_ratio") > 1:
            cost += layers.conv(shape.in_pixels, shape.in_width, hidden, 1, norm=norm)
        cost += attention_cost(pick, n, hidden)
        return cost + layers.conv(n, hidden, shape.width, 1) + shortcut(shape)


def has_shortcut(shape: Shape) -> bool:
    """Whether input and output can be added."""
    return (shape.in_size, shape.in_width) == (shape.size, shape.width)


def shortcut(shape: Shape) -> Cost:
    """The addition of input and output, if there is one: of integers, if any are multiplied."""
    if not has_shortcut(shape):
        return Cost()
    return layers.pointwise(shape.pixels, shape.width, quantizers=1)


def expanded_group(pick: Options, shape: Shape) -> Group:
    """The hidden channels; without expansion they are the input's, and all are kept."""
    if pick.number("expand_ratio") == 1:
        return Group(shape.in_width, shape.in_width)
    return hidden_group(pick, shape)
