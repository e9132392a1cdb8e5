"""VoVNet's one-shot aggregation: a chain of 3x3 convolutions, put side by side once, at its end.

Source: Lee et al., An Energy and GPU-Computation Efficient Backbone Network for Real-Time Object
Detection (2019), section 3. Each convolution reads the one before it and gives as many channels as
it reads, for which its accesses to memory are fewest; a 1x1 convolution reads the input and all of
them. Departures: the number of convolutions and their channels are elastic; the 1x1 convolution has
no activation, and a shortcut goes around the module wherever it keeps the map, not from the second
module of a stage on; ReLU6, like all of our convolutions.
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
MOST_CONVS = 8

NUM_CONVS = "num_convs"


@final
@OPERATORS.register
class OSA(AbstractBlock):
    """Chain of 3x3 convolutions, concatenation of all, 1x1 projection, shortcut."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution",)
    dims: ClassVar[tuple[str, ...]] = ("growth", NUM_CONVS)
    defaults: ClassVar[Mapping[str, Option]] = {NUM_CONVS: 5}

    def normalise(self, pick: Options, shape: Shape) -> Options:
        """Everything that is picked matters."""
        num_convs, growth = pick.number(NUM_CONVS), pick.number("growth")
        if not 1 <= num_convs <= MOST_CONVS or growth < 1:
            raise CandidateError(
                f"operator 'osa' has num_convs {num_convs} and growth {growth}. It can have 1 to "
                f"{MOST_CONVS} convolutions of 1 or more channels. Offer these."
            )
        return Options({"growth": growth, NUM_CONVS: num_convs})

    def groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """Channels of the convolutions, the same of all."""
        return {"growth": Group(pick.number("growth"), HIDDEN_MULTIPLE)}

    def cost(self, signature: Signature) -> Cost:
        """pixels * growth * 9 * (in_width + (num_convs - 1) * growth) multiply-adds.

        The projection adds pixels * (in_width + num_convs * growth) * width.
        """
        shape, growth = signature.shape, signature.kept.number("growth")
        n, num_convs = shape.pixels, signature.pick.number(NUM_CONVS)
        joined = shape.in_width + num_convs * growth
        cost = layers.pointwise(n, joined, quantizers=1) + layers.conv(n, joined, shape.width, 1)
        for number in range(num_convs):
            inputs = growth if number else shape.in_width
            cost += layers.conv(n, inputs, growth, KERNEL_SIZE) + layers.clamp()
        return cost + shortcut(shape)
