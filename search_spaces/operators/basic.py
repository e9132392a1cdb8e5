"""The basic residual block: two full 3x3 convolutions and a shortcut.

Sources: He et al., Deep Residual Learning for Image Recognition (2016), section 3.3 and figure 5,
left; the kernels' density: Cammarasana and Patanè, Optimal Weighted Convolution for Classification
and Denoising (2025); their details: Chen et al., DEA-Net: Single Image Dehazing Based on
Detail-Enhanced Convolution and Content-Guided Attention (2024). Departures: norm and activation are
a choice, by default batch norm and ReLU6 instead of ReLU, like all of our convolutions; the second
convolution is added without an activation after the sum, as in pre-activation networks' identity
shortcuts (He et al., Identity Mappings in Deep Residual Networks, 2016), so that every operator of
a slot hands on the same kind of map; in a stage the block keeps its map's size (downsampling is a
slot of its own); channel attention, if a stage offers it, scales what is added, as in Hu et al.,
Squeeze-and-Excitation Networks (2018). Departures of the density: both convolutions of a block have
one, which the search chooses; channels are ranked for pruning by kernels without it, because all
densities share them. Departures of the details: how many of the four kinds of differences are
beside the kernel is decided, in one order; they start at 0, have no bias, and what cancels is no
weight of theirs; channels are ranked by kernels without them.
"""

from collections.abc import Mapping
from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Option, Options
from search_spaces._errors import CandidateError
from search_spaces._slot import HIDDEN_MULTIPLE, Cost, Group, Shape, Signature
from search_spaces.channel_attentions._base import (
    CHANNEL_ATTENTION,
    attention_cost,
    normalised_attention,
)
from search_spaces.norms._base import NORM, norm_of, normalised_norm
from search_spaces.operators._attended import AbstractAttendedBlock
from search_spaces.operators._base import OPERATORS, Mixing
from search_spaces.operators.mbconv import shortcut

KERNEL_SIZE = 3

DENSITY = "density"
"""What a kernel's outer taps are multiplied by before it is used; in its corners twice."""

PLAIN_DENSITY = 1.0
"""Of ordinary convolutions. Normalised picks leave it out."""

DETAILS = "details"
"""How many kinds of differences a kernel is trained with, the first ones of `DIFFERENCES`."""

DIFFERENCES = {"central": 8, "angular": 8, "horizontal": 3, "vertical": 3}
"""Weights of a pair of channels by the kind of difference."""


@final
@OPERATORS.register
class Basic(AbstractAttendedBlock):
    """3x3 convolution, norm and activation, 3x3 convolution, batch norm, shortcut."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution",)
    dims: ClassVar[tuple[str, ...]] = (DENSITY, DETAILS, CHANNEL_ATTENTION, NORM)
    defaults: ClassVar[Mapping[str, Option]] = {
        DENSITY: PLAIN_DENSITY,
        DETAILS: 0,
        **AbstractAttendedBlock.defaults,
    }

    def normalise(self, pick: Options, shape: Shape) -> Options:
        """Density, details, channel attention and norm, each unless it is the default."""
        density = density_of(pick)
        if density <= 0:
            raise CandidateError(
                f"operator 'basic' has density {density:g}. Densities are positive: offer 0.5 or "
                f"{PLAIN_DENSITY:g}, for example."
            )
        named: dict[str, Option] = {} if density == PLAIN_DENSITY else {DENSITY: density}
        if details := min(pick.number(DETAILS), len(DIFFERENCES)):
            named[DETAILS] = details
        named |= normalised_attention(pick, shape.width)
        return Options({**named, **normalised_norm(pick)})

    def groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """The channels between the two convolutions: as many as the block's width."""
        return {"hidden": Group(shape.width, HIDDEN_MULTIPLE)}

    def cost(self, signature: Signature) -> Cost:
        """pixels * hidden * 9 * (in_width + width) multiply-adds, whatever kernels are made of, and
        channel attention's.
        """
        shape, hidden = signature.shape, signature.kept.number("hidden")
        norm = norm_of(signature.pick)
        cost = layers.conv(shape.pixels, shape.in_width, hidden, KERNEL_SIZE, norm=norm)
        cost += layers.conv(shape.pixels, hidden, shape.width, KERNEL_SIZE)
        cost += attention_cost(signature.pick, shape.pixels, shape.width)
        if beside := sum(differences_of(signature.pick).values()):
            # Of a sum of kernels no pattern can take elements.
            cost = cost._replace(grouped=0, grouped_macs=0)
            cost += Cost(params=beside * hidden * (shape.in_width + shape.width))
        return cost + shortcut(shape)


def differences_of(pick: Options) -> dict[str, int]:
    """Weights of a pair of channels besides the kernel's, by the kind of difference."""
    number = pick.number(DETAILS) if DETAILS in pick else 0
    return dict(list(DIFFERENCES.items())[:number])


def density_of(pick: Options) -> float:
    """The density of a block's kernels."""
    return float(pick.get(DENSITY, PLAIN_DENSITY))
