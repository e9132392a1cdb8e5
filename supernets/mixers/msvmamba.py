"""MSVMamba's scans at two scales.

Source: Shi et al., Multi-Scale VMamba (2024); declaration and departures in
search_spaces/operators/msvmamba.py. Shapes: B batch, H W space, L tokens of the map, M of the
smaller one, E directions on it, C channels, D channels that are scanned.
"""

import math
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces import Signature
from search_spaces._scans import NUM_DIRECTIONS, STATE_SIZE, TOKEN_SHARE, step_rank
from search_spaces.operators.msvmamba import (
    KERNEL_SIZE,
    STRIDE,
    inner_squeezed,
    reduced_size,
)
from supernets._elastic import KERNEL, Axes, Index
from supernets._modules import NORM_EPS, norm_axes
from supernets._selective import (
    Order,
    SelectiveScan,
    StateSpace,
    rolled,
    scan_axes,
    scan_sizes,
    space_axes,
    space_sizes,
    space_weights,
    unrolled,
)
from supernets.criteria._base import GroupWeights
from supernets.mixers._base import MIXERS, AbstractElasticMixer

SMALL_ORDERS: tuple[Order, ...] = ("columns reversed", "rows reversed", "columns")
"""Of the smaller map, those that remain longest first."""


@final
class SqueezeExcitation(nn.Module):
    """Scales channels by gates that a bottleneck makes of their means; channels last."""

    def __init__(self, width: int, squeezed: int) -> None:
        super().__init__()
        self.width = width
        self.reduce = nn.Linear(width, squeezed, bias=False)
        self.act = nn.GELU()
        self.expand = nn.Linear(squeezed, width, bias=False)

    def forward(self, x_BHWD: Tensor) -> Tensor:
        """The shape that came in."""
        gates_BD = torch.sigmoid(self.expand(self.act(self.reduce(x_BHWD.mean((1, 2))))))
        return x_BHWD * gates_BD.reshape(-1, 1, 1, self.width)


@final
class MultiScaleScan(nn.Module):
    """Scans of a map and of a smaller one, each with a convolution before, and gates behind."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        pick, inner = signature.pick, signature.kept.number("inner")
        states, rank = pick.number(STATE_SIZE), step_rank(signature.shape.width)
        self.size, self.inner, self.tokens = signature.shape.size, inner, signature.shape.pixels
        self.orders = SMALL_ORDERS[: pick.number(NUM_DIRECTIONS) - 1]
        self.conv = nn.Conv2d(inner, inner, KERNEL_SIZE, 1, KERNEL_SIZE // 2, groups=inner)
        share = pick[TOKEN_SHARE]
        self.scan = SelectiveScan(self.tokens, 1, inner, states, rank, share=share)
        self.norm = nn.LayerNorm(inner, eps=NORM_EPS)
        self.squeeze = SqueezeExcitation(inner, inner_squeezed(inner))
        if self.orders:
            kernel_size = pick.number("reducing_kernel")
            self.small = reduced_size(self.size)
            self.reduce = nn.Conv2d(
                inner, inner, kernel_size, STRIDE, kernel_size // 2, groups=inner
            )
            small = math.prod(self.small)
            self.small_scan = SelectiveScan(small, 1, inner, states, rank, share=share)

    def forward(self, x_BHWD: Tensor) -> Tensor:
        """The shape that came in."""
        x_BDHW = x_BHWD.permute(0, 3, 1, 2)
        seen_BHWD = F.silu(self.conv(x_BDHW)).permute(0, 2, 3, 1)
        scanned = self.scan([seen_BHWD.reshape(-1, self.tokens, self.inner)])
        y_BHWD = self.norm(scanned.reshape(-1, *self.size, self.inner))
        if self.orders:
            y_BHWD = y_BHWD + self._of_small_map(x_BDHW)
        output: Tensor = self.squeeze(y_BHWD)
        return output

    def _of_small_map(self, x_BDHW: Tensor) -> Tensor:
        """What its directions give, enlarged: (B, H, W, D)."""
        small_BHWD = F.silu(self.reduce(x_BDHW)).permute(0, 2, 3, 1)
        each = [unrolled(small_BHWD, self.small, self.inner, order) for order in self.orders]
        tokens = math.prod(self.small)
        scanned = self.small_scan([torch.stack(each, 1).reshape(-1, tokens, self.inner)])
        normed = self.norm(scanned.reshape(-1, len(self.orders), tokens, self.inner))
        total = rolled(normed.select(1, 0), self.small, self.inner, self.orders[0])
        for place, order in enumerate(self.orders[1:], start=1):
            total = total + rolled(normed.select(1, place), self.small, self.inner, order)
        total_BDHW = F.interpolate(total.permute(0, 3, 1, 2), self.size, mode="bilinear")
        return total_BDHW.permute(0, 2, 3, 1)


class PlainMSVMamba(nn.Module):
    """Norm and a state space with scans at two scales."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        width = signature.shape.width
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.space = StateSpace(width, signature.kept.number("inner"), MultiScaleScan(signature))

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        output: Tensor = self.space(self.norm(x_BHWC))
        return output


@final
@MIXERS.register
class ElasticMSVMamba(AbstractElasticMixer):
    """Elastic width, states and directions; channels that are scanned can be pruned."""

    has_shortcut: ClassVar[bool] = True
    plain: ClassVar[type[nn.Module]] = PlainMSVMamba
    prunable: ClassVar[tuple[str, ...]] = ("inner",)
    axes: ClassVar[Axes] = {
        **norm_axes("norm", "width"),
        **space_axes("space"),
        "space.scan.conv.weight": ("inner", None, None, None),
        "space.scan.conv.bias": ("inner",),
        **scan_axes("space.scan.scan", 1),
        **norm_axes("space.scan.norm", "inner"),
        "space.scan.squeeze.reduce.weight": ("squeezed", "inner"),
        "space.scan.squeeze.expand.weight": ("inner", "squeezed"),
        "space.scan.reduce.weight": ("small_inner", None, KERNEL, KERNEL),
        "space.scan.reduce.bias": ("small_inner",),
        **scan_axes("space.scan.small_scan", 1, "small_"),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels and states; nothing of the smaller map where there is none."""
        full = self.full
        assert isinstance(full, PlainMSVMamba)
        scan = full.space.scan
        assert isinstance(scan, MultiScaleScan)
        pick, width = signature.pick, signature.shape.width
        found = space_sizes(self, full.space, signature)
        own, small = (
            scan_sizes(
                of,
                1,
                sequences=sequences,
                inner=found["inner"],
                states=pick.number(STATE_SIZE),
                rank=step_rank(width),
                role=role,
            )
            for of, sequences, role in (
                (scan.scan, 1, ""),
                (
                    scan.small_scan if scan.orders else None,
                    int(pick.number(NUM_DIRECTIONS) > 1),
                    "small_",
                ),
            )
        )
        return {
            **small,
            **own,
            **found,
            "width": width,
            "squeezed": inner_squeezed(signature.kept.number("inner")),
            KERNEL: pick.number("reducing_kernel"),
        }

    def group_weights(self) -> dict[str, GroupWeights]:
        """What makes and reads each channel that is scanned."""
        assert isinstance(self.full, PlainMSVMamba)
        return {"inner": space_weights(self.full.space)}
