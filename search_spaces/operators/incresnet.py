"""Inception-ResNet's cell: branches of one to three convolutions side by side, a scaled shortcut.

Source: Szegedy et al., Inception-v4, Inception-ResNet and the Impact of Residual Connections on
Learning (2017), section 3.3 and the cell A. Branches are 1x1; 1x1 and 3x3; 1x1 and two 3x3. They
are put side by side and projected, and what comes of it is multiplied by a constant before it is
added, which keeps wide networks from diverging. Departures: all convolutions of the branches have a
quarter of the channels, at least 8; the constant is an option; no activation behind the shortcut,
so a block can be the identity; ReLU6, like all of our convolutions.
"""

from collections.abc import Mapping
from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._choice import Option, Options
from search_spaces._errors import CandidateError
from search_spaces._slot import HIDDEN_MULTIPLE, Cost, Group, Shape, Signature
from search_spaces.operators._base import OPERATORS, AbstractBlock, Mixing
from search_spaces.operators.mbconv import shortcut

KERNEL_SIZE = 3
BRANCHES = 3
REDUCTION = 4
"""Of a branch's channels."""

SCALE = "scale"
"""What the projection is multiplied by."""


@final
@OPERATORS.register
class IncResNet(AbstractBlock):
    """Three branches of convolutions, concatenation, 1x1 projection, scaled shortcut."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution",)
    dims: ClassVar[tuple[str, ...]] = (SCALE,)
    defaults: ClassVar[Mapping[str, Option]] = {SCALE: 0.2}

    def normalise(self, pick: Options, shape: Shape) -> Options:
        """Everything that is picked matters."""
        scale = scale_of(pick)
        if scale <= 0:
            raise CandidateError(
                f"operator 'incresnet' has scale {scale:g}. Scales are positive: offer 0.2 or 1, "
                "for example."
            )
        return Options({SCALE: scale})

    def groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """Channels of the branches, the same of all."""
        return {"branch": Group(branch_width(shape.width), HIDDEN_MULTIPLE)}

    def cost(self, signature: Signature) -> Cost:
        """pixels * branch * (6 * width + 27 * branch) multiply-adds."""
        shape, branch = signature.shape, signature.kept.number("branch")
        n, joined = shape.pixels, BRANCHES * branch
        cost = layers.pointwise(n, joined, quantizers=1)
        cost += layers.plain_conv(n, joined, shape.width, 1)
        for number in range(BRANCHES):
            cost += layers.conv(n, shape.width, branch, 1) + layers.clamp()
            for _ in range(number):
                cost += layers.conv(n, branch, branch, KERNEL_SIZE) + layers.clamp()
        return cost + shortcut(shape)


def branch_width(width: int) -> int:
    """Channels of every convolution of a branch."""
    return max(HIDDEN_MULTIPLE, -(-width // REDUCTION))


def scale_of(pick: Options) -> float:
    """What a block's projection is multiplied by."""
    return float(pick[SCALE])
