"""MAXIM's multi-axis gated MLP.

Source: Tu et al., MAXIM (2022), section 3.2; declaration and departures in
search_spaces/operators/maxim.py. Shapes: B batch, C channels, H W space, T positions that are
mixed, R how many times they are.
"""

import math
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Signature
from search_spaces._sides import Sides
from search_spaces.operators.maxim import HALVES, padded_size
from supernets._elastic import Axes, Index
from supernets._heads import stacked
from supernets._modules import NORM_EPS, linear_axes, norm_axes
from supernets.criteria._base import GroupWeights
from supernets.mixers._base import MIXERS, AbstractElasticMixer


@final
class Regions(nn.Module):
    """A linear layer across the positions of every block, or of every grid: (B, H, W, C).

    A grid has a position of each of as many blocks as a block has positions.

    Args:
        size: Of the map, which is padded with zeros where blocks do not divide it.
        width: Channels.
        block: Height and width of a block.
        is_grid: Whether positions lie as far apart as the grid's lines, or side by side.
    """

    def __init__(self, size: Sides, width: int, block: Sides, *, is_grid: bool) -> None:
        super().__init__()
        self.size, self.width, self.padded = size, width, padded_size(size, block)
        self.tokens = math.prod(block)
        repeats = [side // part for side, part in zip(self.padded, block, strict=True)]
        outer, inner = (block, repeats) if is_grid else (repeats, block)
        rows, columns = zip(outer, inner, strict=True)
        self.parts = (*rows, *columns)
        # Axes (B, rows, rows, columns, columns, C); what is mixed goes before C, and back.
        self.forth = (0, 2, 4, 1, 3, 5) if is_grid else (0, 1, 3, 2, 4, 5)
        self.back = (0, 3, 1, 4, 2, 5) if is_grid else (0, 1, 3, 2, 4, 5)
        self.across = nn.Linear(self.tokens, self.tokens)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in."""
        return self.joined(self.across(self.divided(x_BHWC)))

    def divided(self, x_BHWC: Tensor) -> Tensor:
        """(B, R, C, T)."""
        below, right = (self.padded[side] - self.size[side] for side in range(2))
        if below or right:
            x_BHWC = nn.functional.pad(x_BHWC, (0, 0, 0, right, 0, below))
        x = x_BHWC.reshape(-1, *self.parts, self.width).permute(self.forth)
        # NOTE: two copies of whole rows of channels are faster than one of single numbers.
        repeats = math.prod(self.padded) // self.tokens
        return x.reshape(-1, repeats, self.tokens, self.width).transpose(2, 3)

    def joined(self, x_BRCT: Tensor) -> Tensor:
        """The inverse of `divided`."""
        sizes = [self.parts[axis - 1] for axis in self.forth[1:5]]
        x = x_BRCT.transpose(2, 3).reshape(-1, *sizes, self.width).permute(self.back)
        x = x.reshape(-1, *self.padded, self.width)
        return x if self.padded == self.size else x[:, : self.size[0], : self.size[1]]


class GatedMLP(nn.Module):
    """Norm, expansion, product with a gate that other positions decide, projection, shortcut."""

    def __init__(self, signature: Signature, half: str) -> None:
        super().__init__()
        shape, self.gated = signature.shape, signature.kept.number(half)
        block = signature.pick.sides("block_size")
        self.norm = nn.LayerNorm(shape.width, eps=NORM_EPS)
        self.expand = nn.Linear(shape.width, 2 * self.gated)
        self.act = nn.GELU()
        self.gate_norm = nn.LayerNorm(self.gated, eps=NORM_EPS)
        self.gate = Regions(shape.size, self.gated, block, is_grid=half == "grid")
        self.project = nn.Linear(self.gated, shape.width)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in."""
        values, gates = self.act(self.expand(self.norm(x_BHWC))).split(self.gated, dim=-1)
        return x_BHWC + self.project(values * (self.gate(self.gate_norm(gates)) + 1))


class PlainMaxim(nn.Module):
    """Norm, projection to both halves, a gated MLP each, projection back."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        self.width = signature.shape.width
        self.norm = nn.LayerNorm(self.width, eps=NORM_EPS)
        self.expand = nn.Linear(self.width, 2 * self.width)
        self.act = nn.GELU()
        self.halves = nn.ModuleDict({half: GatedMLP(signature, half) for half in HALVES})
        self.project = nn.Linear(2 * self.width, self.width)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        halves = self.act(self.expand(self.norm(x_BHWC))).split(self.width, dim=-1)
        mixed = [mlp(halves[place]) for place, mlp in enumerate(self.halves.values())]
        return self.project(torch.cat(mixed, dim=-1))


@final
@MIXERS.register
class ElasticMaxim(AbstractElasticMixer):
    """Elastic width; gates' channels can be pruned, weights across positions belong to the map."""

    has_shortcut: ClassVar[bool] = True
    plain: ClassVar[type[nn.Module]] = PlainMaxim
    is_sized: ClassVar[bool] = True
    prunable: ClassVar[tuple[str, ...]] = HALVES
    axes: ClassVar[Axes] = {
        **norm_axes("norm", "width"),
        **linear_axes("expand", "halves", "width"),
        **{
            name: roles
            for half in HALVES
            for name, roles in {
                **norm_axes(f"halves.{half}.norm", "width"),
                **linear_axes(f"halves.{half}.expand", f"both_{half}", "width"),
                **norm_axes(f"halves.{half}.gate_norm", half),
                **linear_axes(f"halves.{half}.gate.across", None, None),
                **linear_axes(f"halves.{half}.project", "width", half),
            }.items()
        },
        **linear_axes("project", "width", "halves"),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels of both halves, and the gates that are kept, with their values."""
        assert isinstance(self.full, PlainMaxim)
        width, full = signature.shape.width, self.full
        channels_C = torch.arange(width, device=full.project.weight.device)
        found: dict[str, Index] = {"width": width, "halves": stacked(channels_C, 2, full.width)}
        for half in HALVES:
            kept = self.kept(half, width, signature)
            gated = channels_C[:kept] if isinstance(kept, int) else kept
            found |= {half: kept, f"both_{half}": stacked(gated, 2, full.width)}
        return found

    def group_weights(self) -> dict[str, GroupWeights]:
        """Each gate's rows of values and gates, and its column of the projection."""
        assert isinstance(self.full, PlainMaxim)
        found = {}
        for half, mlp in self.full.halves.items():
            assert isinstance(mlp, GatedMLP)
            made_by = torch.cat(mlp.expand.weight.chunk(2), dim=1)
            found[half] = GroupWeights(made_by, mlp.project.weight.t(), None, mlp.gated)
        return found
