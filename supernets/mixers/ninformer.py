"""NiNformer's mixer gating unit.

Source: Abdullah and Aydin, NiNformer (2024); declaration and departures in
search_spaces/operators/ninformer.py. Shapes: B batch, C channels, H W space, T positions.
"""

import math
from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.ninformer import EXPANSION, MLPS
from supernets._elastic import Axes, Index
from supernets._modules import NORM_EPS, linear_axes, norm_axes
from supernets.criteria._base import GroupWeights
from supernets.mixers._base import MIXERS, AbstractElasticMixer


class MixerMLP(nn.Module):
    """Norm over channels, then an MLP with a shortcut: across channels, or across positions.

    Args:
        width: Channels.
        length: What is mixed: channels or positions.
        hidden: Hidden channels.
        is_across_positions: Which.
    """

    def __init__(self, width: int, length: int, hidden: int, *, is_across_positions: bool) -> None:
        super().__init__()
        self.is_across_positions = is_across_positions
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.expand = nn.Linear(length, hidden)
        self.act = nn.GELU()
        self.project = nn.Linear(hidden, length)

    def forward(self, x_BTC: Tensor) -> Tensor:
        """The shape that came in."""
        x = self.norm(x_BTC)
        if not self.is_across_positions:
            return x_BTC + self.project(self.act(self.expand(x)))
        mixed_BCT = self.project(self.act(self.expand(x.transpose(1, 2))))
        return x_BTC + mixed_BCT.transpose(1, 2)


class PlainNiNformer(nn.Module):
    """Norm, then a projection times what a mixer makes of the same."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape = signature.shape
        self.width, self.size = shape.width, shape.size
        self.norm = nn.LayerNorm(self.width, eps=NORM_EPS)
        lengths = dict(zip(MLPS, (shape.pixels, self.width), strict=True))
        gate = [
            MixerMLP(
                self.width, length, signature.kept.number(name), is_across_positions=name == MLPS[0]
            )
            for name, length in lengths.items()
        ]
        self.gate = nn.Sequential(*gate)
        self.project = nn.Linear(self.width, self.width)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        x_BTC = self.norm(x_BHWC).reshape(-1, math.prod(self.size), self.width)
        gated = self.project(x_BTC) * self.gate(x_BTC)
        return gated.reshape(-1, *self.size, self.width)


@final
@MIXERS.register
class ElasticNiNformer(AbstractElasticMixer):
    """Elastic width; hidden channels can be pruned, and positions are those of the map."""

    has_shortcut: ClassVar[bool] = True
    plain: ClassVar[type[nn.Module]] = PlainNiNformer
    is_sized: ClassVar[bool] = True
    prunable: ClassVar[tuple[str, ...]] = MLPS
    axes: ClassVar[Axes] = {
        **norm_axes("norm", "width"),
        **{
            name: roles
            for place, (mlp, length) in enumerate(zip(MLPS, (None, "width"), strict=True))
            for name, roles in {
                **norm_axes(f"gate.{place}.norm", "width"),
                **linear_axes(f"gate.{place}.expand", mlp, length),
                **linear_axes(f"gate.{place}.project", length, mlp),
            }.items()
        },
        **linear_axes("project", "width", "width"),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels, and the first hidden ones less those that are pruned."""
        width = signature.shape.width
        kept = {name: self.kept(name, EXPANSION * width, signature) for name in MLPS}
        return {"width": width, **kept}

    def group_weights(self) -> dict[str, GroupWeights]:
        """Each hidden channel's row of the first matrix and column of the second."""
        found = {}
        for place, name in enumerate(MLPS):
            expand = self.full.get_parameter(f"gate.{place}.expand.weight")
            project = self.full.get_parameter(f"gate.{place}.project.weight")
            found[name] = GroupWeights(expand, project.t(), None, len(expand))
        return found
