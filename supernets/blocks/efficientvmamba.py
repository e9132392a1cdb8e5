"""EfficientVMamba's block of atrous selective scans.

Source: Pei et al., EfficientVMamba (2024); declaration and departures in
search_spaces/operators/efficientvmamba.py. Shapes: B batch, H W space, C channels, D channels that
are scanned.
"""

from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces import Option, Signature
from search_spaces._scans import STATE_SIZE, TOKEN_SHARE, step_rank
from search_spaces._sides import Sides
from search_spaces.operators.efficientvmamba import (
    KERNEL_SIZE,
    STEP,
    grid_size,
    squeezed_channels,
)
from supernets._elastic import Axes, Index
from supernets._modules import NORM_EPS, ConvNorm, conv_norm_axes, linear_axes, norm_axes
from supernets._selective import (
    SelectiveScan,
    StateSpace,
    scan_axes,
    scan_sizes,
    space_axes,
    space_sizes,
    space_weights,
)
from supernets.blocks._base import BLOCKS, AbstractElasticBlock
from supernets.criteria._base import GroupWeights

SEQUENCES = STEP**2


@final
class AtrousScan(nn.Module):
    """Convolution, scans of four interleaved grids, norm.

    Args:
        size: Of the map.
        inner: D.
        states: Of each channel.
        rank: Of steps.
        share: Of the tokens of each grid that are scanned.
    """

    def __init__(self, size: Sides, inner: int, states: int, rank: int, share: Option = 1) -> None:
        super().__init__()
        self.size, self.grid, self.inner = size, grid_size(size), inner
        self.conv = nn.Conv2d(inner, inner, KERNEL_SIZE, 1, KERNEL_SIZE // 2, groups=inner)
        tokens = self.grid[0] * self.grid[1]
        self.scan = SelectiveScan(tokens, SEQUENCES, inner, states, rank, share=share)
        self.norm = nn.LayerNorm(inner, eps=NORM_EPS)

    def forward(self, x_BHWD: Tensor) -> Tensor:
        """The shape that came in."""
        seen_BHWD = F.silu(self.conv(x_BHWD.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)
        scanned = self.scan(self.sampled(seen_BHWD))
        output: Tensor = self.norm(self.put_back([scanned.select(2, k) for k in range(SEQUENCES)]))
        return output

    def sampled(self, x_BHWD: Tensor) -> list[Tensor]:
        """The grids as sequences, (B, L, D) each: those of odd rows are read by columns."""
        (rows, columns), (height, width) = self.grid, self.size
        below, right = STEP * rows - height, STEP * columns - width
        if below or right:
            x_BHWD = F.pad(x_BHWD, (0, 0, 0, right, 0, below))
        grids = x_BHWD.reshape(-1, rows, STEP, columns, STEP, self.inner)
        sequences = []
        for y in range(STEP):
            pair = grids.select(2, y)
            pair = pair.transpose(1, 2) if y else pair
            pair = pair.reshape(-1, rows * columns, STEP, self.inner)
            sequences += [pair.select(2, x) for x in range(STEP)]
        return sequences

    def put_back(self, sequences: list[Tensor]) -> Tensor:
        """The inverse of `sampled`."""
        (rows, columns), (height, width) = self.grid, self.size
        pairs = []
        for y in range(STEP):
            pair = torch.cat(sequences[STEP * y : STEP * (y + 1)], -1)
            sides = (columns, rows) if y else (rows, columns)
            pair = pair.reshape(-1, *sides, STEP * self.inner)
            pair = pair.transpose(1, 2) if y else pair
            pairs.append(pair.reshape(-1, rows, STEP * columns * self.inner))
        x_BHWD = torch.cat(pairs, -1).reshape(-1, STEP * rows, STEP * columns, self.inner)
        if (height, width) == (STEP * rows, STEP * columns):
            return x_BHWD
        return x_BHWD.narrow(1, 0, height).narrow(2, 0, width)


@final
class Local(nn.Module):
    """Depthwise convolution, batch norm, GELU, linear layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = ConvNorm(width, width, KERNEL_SIZE, groups=width, has_act=False)
        self.act = nn.GELU()
        self.project = nn.Linear(width, width)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in."""
        x_BCHW = self.act(self.conv(x_BHWC.permute(0, 3, 1, 2)))
        output: Tensor = self.project(x_BCHW.permute(0, 2, 3, 1))
        return output


@final
class GatedSum(nn.Module):
    """The sum of two maps, of each of which gates made of its means weigh the channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, squeezed = width, squeezed_channels(width)
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.reduce = nn.Linear(width, squeezed)
        self.act = nn.GELU()
        self.expand = nn.Linear(squeezed, width)

    def forward(self, x_BHWC: Tensor, y_BHWC: Tensor) -> Tensor:
        """The shape that came in."""
        maps_B2HWC = torch.stack((x_BHWC, y_BHWC), 1)
        means_B2C = self.norm(maps_B2HWC).mean((2, 3))
        gates_B2C = torch.sigmoid(self.expand(self.act(self.reduce(means_B2C))))
        return (maps_B2HWC * gates_B2C.reshape(-1, 2, 1, 1, self.width)).sum(1)


class PlainEfficientVMamba(nn.Module):
    """Norm, both branches, their gated sum, shortcut."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        width, inner = signature.shape.width, signature.kept.number("inner")
        states = signature.pick.number(STATE_SIZE)
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        share = signature.pick[TOKEN_SHARE]
        scan = AtrousScan(signature.shape.size, inner, states, step_rank(width), share)
        self.space = StateSpace(width, inner, scan)
        self.local = Local(width)
        self.sum = GatedSum(width)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        x_BHWC = self.norm(x_BCHW.permute(0, 2, 3, 1))
        both_BHWC: Tensor = self.sum(self.space(x_BHWC), self.local(x_BHWC))
        return x_BCHW + both_BHWC.permute(0, 3, 1, 2)


@final
@BLOCKS.register
class ElasticEfficientVMamba(AbstractElasticBlock):
    """Elastic width and states; channels that are scanned can be pruned."""

    plain: ClassVar[type[nn.Module]] = PlainEfficientVMamba
    prunable: ClassVar[tuple[str, ...]] = ("inner",)
    axes: ClassVar[Axes] = {
        **norm_axes("norm", "width"),
        **space_axes("space"),
        "space.scan.conv.weight": ("inner", None, None, None),
        "space.scan.conv.bias": ("inner",),
        **scan_axes("space.scan.scan", SEQUENCES),
        **norm_axes("space.scan.norm", "inner"),
        **conv_norm_axes("local.conv", "width", None),
        **linear_axes("local.project", "width", "width"),
        **norm_axes("sum.norm", "width"),
        **linear_axes("sum.reduce", "squeezed", "width"),
        **linear_axes("sum.expand", "width", "squeezed"),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels and states; of those that are scanned, what pruning leaves."""
        full = self.full
        assert isinstance(full, PlainEfficientVMamba)
        assert isinstance(full.space.scan, AtrousScan)
        width = signature.shape.width
        found = space_sizes(self, full.space, signature)
        scan = scan_sizes(
            full.space.scan.scan,
            SEQUENCES,
            sequences=SEQUENCES,
            inner=found["inner"],
            states=signature.pick.number(STATE_SIZE),
            rank=step_rank(width),
        )
        return {**scan, **found, "width": width, "squeezed": squeezed_channels(width)}

    def group_weights(self) -> dict[str, GroupWeights]:
        """What makes and reads each channel that is scanned."""
        assert isinstance(self.full, PlainEfficientVMamba)
        return {"inner": space_weights(self.full.space)}
