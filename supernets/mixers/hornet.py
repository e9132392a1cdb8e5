"""HorNet's recursive gated convolution.

Source: Rao et al., HorNet (2022), section 3.1; declaration and departures in
search_spaces/operators/hornet.py. A level is counted in halvings of the map's channels: 0 is the
widest.
"""

from itertools import accumulate
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.hornet import MOST_ORDER, level_widths
from supernets._elastic import KERNEL, AbstractUnpruned, Axes, Index
from supernets._modules import NORM_EPS, linear_axes, norm_axes
from supernets.mixers._base import MIXERS, AbstractElasticMixer


class PlainHorNet(nn.Module):
    """Norm, projection to p and all q, products with convolutions of q, projection."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        width, pick = signature.shape.width, signature.pick
        order, kernel_size = pick.number("order"), pick.number("kernel_size")
        self.levels = level_widths(width, order)
        gated = sum(self.levels)
        self.parts = [self.levels[0], gated]
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.expand = nn.Linear(width, sum(self.parts))
        self.conv = nn.Conv2d(gated, gated, kernel_size, 1, kernel_size // 2, groups=gated)
        self.gates = nn.ModuleDict(
            {
                str(order - 1 - place): nn.Conv2d(self.levels[place - 1], self.levels[place], 1)
                for place in range(1, order)
            }
        )
        self.project = nn.Linear(width, width)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        x_BCHW = self.expand(self.norm(x_BHWC)).permute(0, 3, 1, 2)
        p_BCHW, q_BCHW = x_BCHW.split(self.parts, dim=1)
        factors = self.conv(q_BCHW).split(self.levels, dim=1)
        p_BCHW = p_BCHW * factors[0]
        for place, gate in enumerate(self.gates.values(), start=1):
            p_BCHW = gate(p_BCHW) * factors[place]
        return self.project(p_BCHW.permute(0, 2, 3, 1))


@final
@MIXERS.register
class ElasticHorNet(AbstractUnpruned, AbstractElasticMixer):
    """Elastic width, order and kernel."""

    has_shortcut: ClassVar[bool] = True
    plain: ClassVar[type[nn.Module]] = PlainHorNet
    axes: ClassVar[Axes] = {
        **norm_axes("norm", "width"),
        **linear_axes("expand", "expanded", "width"),
        "conv.weight": ("gated", None, KERNEL, KERNEL),
        "conv.bias": ("gated",),
        **{
            f"gates.{level}.{tensor}": roles
            for level in range(MOST_ORDER - 1)
            for tensor, roles in {
                "weight": (f"to{level}", f"from{level}", None, None),
                "bias": (f"to{level}",),
            }.items()
        },
        **linear_axes("project", "width", "width"),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels of every level, and of what p is for the smallest order."""
        assert isinstance(self.full, PlainHorNet)
        width, pick = signature.shape.width, signature.pick
        order = pick.number("order")
        levels, full = level_widths(width, order), self.full.levels
        starts = list(accumulate(full, initial=full[0]))[len(full) - order :]
        parts = [torch.arange(levels[0])]
        parts += [torch.arange(s, s + level) for s, level in zip(starts, levels, strict=False)]
        expanded = torch.cat(parts).to(self.full.expand.weight.device)
        gates: dict[str, Index] = {}
        for level in range(MOST_ORDER - 1):
            is_there = level + 1 < order
            gates[f"to{level}"] = levels[order - 1 - level] if is_there else 0
            gates[f"from{level}"] = levels[order - 2 - level] if is_there else 0
        return {
            "width": width,
            "expanded": expanded,
            "gated": expanded[levels[0] :] - full[0],
            KERNEL: pick.number("kernel_size"),
            **gates,
        }
