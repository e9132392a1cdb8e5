"""VoVNet's one-shot aggregation.

Source: Lee et al., An Energy and GPU-Computation Efficient Backbone Network for Real-Time Object
Detection (2019); declaration and departures in search_spaces/operators/osa.py.
"""

from itertools import pairwise
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.mbconv import has_shortcut
from search_spaces.operators.osa import KERNEL_SIZE, MOST_CONVS, NUM_CONVS
from supernets._elastic import Axes, Index
from supernets._modules import Add, ConvNorm, conv_norm_axes
from supernets.blocks._base import BLOCKS, AbstractElasticBlock
from supernets.criteria._base import GroupWeights


class PlainOSA(nn.Module):
    """Chain of convolutions, all of them side by side with the input, projection, shortcut."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape, growth = signature.shape, signature.kept.number("growth")
        num_convs = signature.pick.number(NUM_CONVS)
        widths = [shape.in_width, *num_convs * [growth]]
        self.convs = nn.ModuleList(ConvNorm(a, b, KERNEL_SIZE) for a, b in pairwise(widths))
        self.project = ConvNorm(sum(widths), shape.width, 1, has_act=False)
        self.add = Add() if has_shortcut(shape) else None

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, H, W)."""
        maps = [x_BCHW]
        for conv in self.convs:
            maps.append(conv(maps[-1]))
        y_BCHW: Tensor = self.project(torch.cat(maps, dim=1))
        return y_BCHW if self.add is None else self.add(x_BCHW, y_BCHW)


@final
@BLOCKS.register
class ElasticOSA(AbstractElasticBlock):
    """Elastic width, number and channels of the convolutions; these can be pruned."""

    plain: ClassVar[type[nn.Module]] = PlainOSA
    prunable: ClassVar[tuple[str, ...]] = ("growth",)
    axes: ClassVar[Axes] = {
        **conv_norm_axes("convs.0", "growth0", "in_width"),
        **{
            name: roles
            for i in range(1, MOST_CONVS)
            for name, roles in conv_norm_axes(f"convs.{i}", f"growth{i}", f"growth{i}").items()
        },
        **conv_norm_axes("project", "width", "joined"),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first convolutions; of all the same channels, less the pruned ones."""
        assert isinstance(self.full, PlainOSA)
        shape, pick = signature.shape, signature.pick
        growth = self.kept("growth", pick.number("growth"), signature)
        first = self.full.convs[0].get_parameter("conv.weight")
        full_growth, full_width = first.shape[:2]
        device = first.device
        channels = torch.arange(growth, device=device) if isinstance(growth, int) else growth
        starts = [full_width + i * full_growth for i in range(pick.number(NUM_CONVS))]
        inputs = torch.arange(shape.in_width, device=device)
        present = {f"growth{i}": growth for i in range(len(starts))}
        return {
            "in_width": shape.in_width,
            "width": shape.width,
            **{f"growth{i}": 0 for i in range(MOST_CONVS)},
            **present,
            "joined": torch.cat([inputs, *(start + channels for start in starts)]),
        }

    def group_weights(self) -> dict[str, GroupWeights]:
        """Each channel's kernels in all convolutions, and what reads it in the ones behind them."""
        assert isinstance(self.full, PlainOSA)
        kernels = [conv.get_parameter("conv.weight") for conv in self.full.convs]
        scales: list[Tensor] = [conv.get_parameter("norm.weight") for conv in self.full.convs]
        growth, in_width = kernels[0].shape[:2]
        joined = self.full.project.conv.weight[:, in_width:].flatten(1)
        readers = [kernel.transpose(0, 1).flatten(1) for kernel in kernels[1:]]
        readers += [part.transpose(0, 1) for part in joined.split(growth, dim=1)]
        return {
            "growth": GroupWeights(
                torch.cat([kernel.flatten(1) for kernel in kernels], 1),
                torch.cat(readers, 1),
                torch.stack(scales, 1),
                growth,
            )
        }
