"""OSNet's omni-scale block.

Source: Zhou et al., Learning Generalisable Omni-Scale Representations for Person Re-Identification
(2021); declaration and departures in search_spaces/operators/osnet.py. Shapes: B batch, S streams,
C channels of a stream, H W space.
"""

from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.osnet import (
    KERNEL_SIZE,
    MOST_STREAMS,
    NUM_STREAMS,
    gate_width,
    stream_width,
)
from supernets._elastic import AbstractUnpruned, Axes, Index
from supernets._modules import GATES_END, Add, ConvNorm, Scale, conv_norm_axes, linear_axes
from supernets.blocks._base import BLOCKS, AbstractElasticBlock


class LightConv(nn.Module):
    """1x1 convolution without activation, depthwise convolution, norm, activation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(width, width, 1, bias=False)
        self.depthwise = ConvNorm(width, width, KERNEL_SIZE, groups=width)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        return self.depthwise(self.mix(x_BCHW))


class SharedGate(nn.Module):
    """Multiplies the channels of every stream by gates that one MLP makes of their means."""

    def __init__(self, streams: int, width: int) -> None:
        super().__init__()
        self.streams, self.width = streams, width
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.squeeze = nn.Linear(width, gate_width(width))
        self.act = nn.GELU()
        self.decide = nn.Linear(gate_width(width), width)
        self.gate = nn.Sigmoid()
        self.scale = Scale()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in: channels of all streams side by side."""
        means_BSC = self.pool(x_BCHW).reshape(-1, self.streams, self.width)
        gates_BSC = self.gate(self.decide(self.act(self.squeeze(means_BSC))))
        return self.scale(x_BCHW, gates_BSC.reshape(-1, self.streams * self.width, 1, 1))


class PlainOSNet(nn.Module):
    """Reduction, streams, gate, sum, projection without activation, shortcut."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape, mid = signature.shape, stream_width(signature.shape.width)
        self.size, self.mid = shape.size, mid
        self.reduce = ConvNorm(shape.width, mid, 1)
        self.streams = nn.ModuleList(
            nn.Sequential(*(LightConv(mid) for _ in range(1 + stream)))
            for stream in range(signature.pick.number(NUM_STREAMS))
        )
        self.gate = SharedGate(len(self.streams), mid)
        self.project = ConvNorm(mid, shape.width, 1, has_act=False)
        self.add = Add()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        reduced = self.reduce(x_BCHW)
        gated = self.gate(torch.cat([stream(reduced) for stream in self.streams], dim=1))
        total = gated.reshape(-1, len(self.streams), self.mid, *self.size).sum(1)
        return self.add(x_BCHW, self.project(total))


@final
@BLOCKS.register
class ElasticOSNet(AbstractUnpruned, AbstractElasticBlock):
    """Elastic width and number of streams, the shallowest first."""

    plain: ClassVar[type[nn.Module]] = PlainOSNet
    axes: ClassVar[Axes] = {
        **conv_norm_axes("reduce", "mid", "width"),
        **{
            name: roles
            for stream in range(MOST_STREAMS)
            for light in range(1 + stream)
            for name, roles in {
                f"streams.{stream}.{light}.mix.weight": (f"mid{stream}", "mid", None, None),
                **conv_norm_axes(f"streams.{stream}.{light}.depthwise", f"mid{stream}", None),
            }.items()
        },
        **linear_axes("gate.squeeze", "gate", "mid"),
        **linear_axes(f"gate.{GATES_END}", "mid", "gate"),
        **conv_norm_axes("project", "width", "mid"),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels of the first streams."""
        width, streams = signature.shape.width, signature.pick.number(NUM_STREAMS)
        mid = stream_width(width)
        return {
            "width": width,
            "mid": mid,
            **{f"mid{i}": mid if i < streams else 0 for i in range(MOST_STREAMS)},
            "gate": gate_width(mid),
        }
