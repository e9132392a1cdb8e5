"""Residual block of two convolutions of low rank.

Source: Boukraichi et al., A priori compression of convolutional neural networks for wave simulators
(2023); declaration and departures in search_spaces/operators/oneway.py.
"""

from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.norms._base import DEFAULT_NORM, norm_name
from search_spaces.operators.mbconv import has_shortcut
from search_spaces.operators.oneway import CONVOLUTIONS
from supernets._elastic import KERNEL, Axes, Index
from supernets._modules import Add, ConvNorm, conv_norm_axes
from supernets.blocks._base import BLOCKS, AbstractElasticBlock
from supernets.criteria._base import GroupWeights


class OneWayConv(nn.Module):
    """A convolution that is a sum of `rank` products of one-way filters, and its norm."""

    def __init__(
        self,
        in_width: int,
        width: int,
        kernel_size: int,
        rank: int,
        *,
        has_act: bool = True,
        norm: str = DEFAULT_NORM,
    ) -> None:
        super().__init__()
        reach = kernel_size // 2
        self.across = nn.Conv2d(in_width, rank, 1, bias=False)
        self.column = nn.Conv2d(
            rank, rank, (kernel_size, 1), padding=(reach, 0), groups=rank, bias=False
        )
        self.row = nn.Conv2d(
            rank, rank, (1, kernel_size), padding=(0, reach), groups=rank, bias=False
        )
        self.sum = ConvNorm(rank, width, 1, has_act=has_act, norm=norm)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, H, W)."""
        output: Tensor = self.sum(self.row(self.column(self.across(x_BCHW))))
        return output


class PlainOneWay(nn.Module):
    """Two factored convolutions, the second without activation, and a shortcut."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape, kernel_size = signature.shape, signature.pick.number("kernel_size")
        first, second = (signature.kept.number(name) for name in CONVOLUTIONS)
        norm = norm_name(signature.pick)
        self.expand = OneWayConv(shape.in_width, shape.width, kernel_size, first, norm=norm)
        self.project = OneWayConv(shape.width, shape.width, kernel_size, second, has_act=False)
        self.add = Add() if has_shortcut(shape) else None

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, *size)."""
        y_BCHW: Tensor = self.project(self.expand(x_BCHW))
        return y_BCHW if self.add is None else self.add(x_BCHW, y_BCHW)


@final
@BLOCKS.register
class ElasticOneWay(AbstractElasticBlock):
    """Elastic width, kernel and ranks; products can be pruned, those of either convolution."""

    plain: ClassVar[type[nn.Module]] = PlainOneWay
    prunable: ClassVar[tuple[str, ...]] = CONVOLUTIONS
    axes: ClassVar[Axes] = {
        name: roles
        for conv, inputs in zip(CONVOLUTIONS, ("in_width", "width"), strict=True)
        for name, roles in {
            f"{conv}.across.weight": (conv, inputs, None, None),
            f"{conv}.column.weight": (conv, None, KERNEL, None),
            f"{conv}.row.weight": (conv, None, None, KERNEL),
            **conv_norm_axes(f"{conv}.sum", "width", conv),
        }.items()
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels and products, less the pruned ones; the centres of filters."""
        shape, pick = signature.shape, signature.pick
        rank = pick.number("expand_ratio") * shape.width
        return {
            "in_width": shape.in_width,
            "width": shape.width,
            KERNEL: pick.number("kernel_size"),
            **{name: self.kept(name, rank, signature) for name in CONVOLUTIONS},
        }

    def group_weights(self) -> dict[str, GroupWeights]:
        """Each product's filters of inputs, columns and rows, and its numbers of outputs."""
        found = {}
        for name in CONVOLUTIONS:
            conv = self.full.get_submodule(name)
            assert isinstance(conv, OneWayConv)
            parts = (conv.across.weight, conv.column.weight, conv.row.weight)
            made_by = torch.cat([part.flatten(1) for part in parts], 1)
            read_by = conv.get_parameter("sum.conv.weight").transpose(0, 1)
            found[name] = GroupWeights(made_by, read_by, None, len(made_by))
        return found
