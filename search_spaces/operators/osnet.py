"""OSNet's block: streams of one to four light convolutions, weighed by one gate.

Source: Zhou et al., Learning Generalisable Omni-Scale Representations for Person Re-Identification
(2021), the omni-scale residual block. A 1x1 convolution to a quarter of the channels; streams of 1,
2, ... light convolutions (1x1 without activation, depthwise 3x3, norm, activation); each is
multiplied, channel by channel, by what one small MLP, the same for all streams, makes of its means;
they are added up and projected. Departures: the number of streams is elastic; streams have at least
8 channels; GELU in the MLP, whose few hidden units would be dead for all images with ReLU; no
activation behind the shortcut; ReLU6, like all of our convolutions; no instance norm, whose places
the paper searches by gradients.
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
MOST_STREAMS = 4
REDUCTION, GATE_REDUCTION = 4, 16
"""Of the streams' channels, and of these in the gate."""

NUM_STREAMS = "num_streams"


@final
@OPERATORS.register
class OSNet(AbstractBlock):
    """Streams of light convolutions of several depths, one gate for all, projection, shortcut."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution",)
    dims: ClassVar[tuple[str, ...]] = (NUM_STREAMS,)
    defaults: ClassVar[Mapping[str, Option]] = {NUM_STREAMS: MOST_STREAMS}

    def normalise(self, pick: Options, shape: Shape) -> Options:
        """Everything that is picked matters."""
        streams = pick.number(NUM_STREAMS)
        if not 1 <= streams <= MOST_STREAMS:
            raise CandidateError(
                f"operator 'osnet' has num_streams {streams}. It can have 1 to {MOST_STREAMS}. "
                "Offer these."
            )
        return Options({NUM_STREAMS: streams})

    def groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """None: channels of all streams are added up."""
        return {}

    def cost(self, signature: Signature) -> Cost:
        """pixels * mid * (2 * width + lights * (mid + 9)) multiply-adds.

        Lights are 1 + 2 + ... + streams; the gate adds 2 * streams * mid * its hidden units.
        """
        shape, streams = signature.shape, signature.pick.number(NUM_STREAMS)
        n, mid = shape.pixels, stream_width(shape.width)
        hidden = gate_width(mid)
        light = layers.bare_conv(n, mid, mid) + layers.clamp()
        light += layers.depthwise(n, mid, KERNEL_SIZE, has_norm=True)
        cost = layers.conv(n, shape.width, mid, 1) + layers.clamp()
        for _ in range(streams * (streams + 1) // 2):
            cost += light
        return (
            cost
            + layers.pointwise(n, streams * mid, calls=2, quantizers=2)
            + layers.pointwise(1, streams * mid, calls=2, quantizers=2)
            + layers.linear(streams, mid, hidden)
            + layers.pointwise(streams, hidden, quantizers=1)
            + layers.linear(streams, hidden, mid)
            + layers.pointwise(n, mid, quantizers=1)
            + layers.conv(n, mid, shape.width, 1)
            + shortcut(shape)
        )


def stream_width(width: int) -> int:
    """Channels of every stream."""
    return max(HIDDEN_MULTIPLE, -(-width // REDUCTION))


def gate_width(mid: int) -> int:
    """Hidden units of the gate."""
    return -(-mid // GATE_REDUCTION)
