"""HRVMamba's dynamic visual state space.

Source: Zhang et al., HRVMamba (2024); declaration and departures in
search_spaces/operators/dvss.py. Shapes: B batch, H W space, C channels, D channels that are
scanned.
"""

from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces import Signature
from search_spaces._scans import (
    EXPANSION,
    MOST_DIRECTIONS,
    NUM_DIRECTIONS,
    STATE_SIZE,
    TOKEN_SHARE,
    step_rank,
)
from search_spaces.operators.dvss import (
    GROUP_SIZE,
    KERNEL_SIZES,
    TAPS,
    branch_widths,
    kernel_name,
    num_groups,
)
from supernets._deformable import DeformableSum
from supernets._elastic import KERNEL, AbstractUnpruned, Axes, Index
from supernets._heads import stacked
from supernets._modules import NORM_EPS, norm_axes
from supernets._selective import (
    ORDERS,
    SelectiveScan,
    StateSpace,
    rolled,
    scan_axes,
    scan_sizes,
    space_axes,
    unrolled,
)
from supernets.mixers._base import MIXERS, AbstractElasticMixer


@final
class CrossScan(nn.Module):
    """Deformable sums, scans of the map in several directions, their sum, norm."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape, pick = signature.shape, signature.pick
        self.size, self.inner = shape.size, EXPANSION * shape.width
        self.orders = ORDERS[: pick.number(NUM_DIRECTIONS)]
        self.sample = DeformableSum(self.inner, shape.size, GROUP_SIZE)
        self.scan = SelectiveScan(
            shape.pixels,
            len(self.orders),
            self.inner,
            pick.number(STATE_SIZE),
            step_rank(shape.width),
            share=pick[TOKEN_SHARE],
        )
        self.norm = nn.LayerNorm(self.inner, eps=NORM_EPS)

    def forward(self, x_BHWD: Tensor) -> Tensor:
        """The shape that came in."""
        seen_BHWD = F.silu(self.sample(x_BHWD.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)
        scanned = self.scan(
            [unrolled(seen_BHWD, self.size, self.inner, order) for order in self.orders]
        )
        total = rolled(scanned.select(2, 0), self.size, self.inner, self.orders[0])
        for place, order in enumerate(self.orders[1:], start=1):
            total = total + rolled(scanned.select(2, place), self.size, self.inner, order)
        output: Tensor = self.norm(total)
        return output


class PlainDVSS(nn.Module):
    """Norm, kernels of four sizes and GELU with a shortcut; norm and a state space."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        width = signature.shape.width
        self.branches = branch_widths(width)
        self.local_norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.convs = nn.ModuleDict(
            {
                kernel_name(size): self._conv(channels, signature.pick.number(kernel_name(size)))
                for size, channels in zip(KERNEL_SIZES, self.branches, strict=True)
            }
        )
        self.act = nn.GELU()
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.space = StateSpace(width, EXPANSION * width, CrossScan(signature))

    @staticmethod
    def _conv(channels: int, kernel_size: int) -> nn.Conv2d:
        return nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2, groups=channels)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in, without shortcut."""
        parts = self.local_norm(x_BHWC).permute(0, 3, 1, 2).split(self.branches, dim=1)
        seen = [conv(parts[place]) for place, conv in enumerate(self.convs.values())]
        local_BHWC = self.act(torch.cat(seen, dim=1)).permute(0, 2, 3, 1)
        output: Tensor = self.space(self.norm(x_BHWC + local_BHWC))
        return output


@final
@MIXERS.register
class ElasticDVSS(AbstractUnpruned, AbstractElasticMixer):
    """Elastic width, states and directions; a narrower member has the first channels of each
    kernel and of the scans."""

    has_shortcut: ClassVar[bool] = True
    plain: ClassVar[type[nn.Module]] = PlainDVSS
    axes: ClassVar[Axes] = {
        **norm_axes("local_norm", "width"),
        **{
            f"convs.{kernel_name(size)}.{tensor}": roles
            for size in KERNEL_SIZES
            for tensor, roles in {
                "weight": (f"branch{size}", None, f"{KERNEL}{size}", f"{KERNEL}{size}"),
                "bias": (f"branch{size}",),
            }.items()
        },
        **norm_axes("norm", "width"),
        **space_axes("space"),
        "space.scan.sample.predict.weight": ("places", "inner", None, None),
        "space.scan.sample.predict.bias": ("places",),
        **scan_axes("space.scan.scan", MOST_DIRECTIONS),
        **norm_axes("space.scan.norm", "inner"),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels, groups, states and directions, the centres of the kernels."""
        full = self.full
        assert isinstance(full, PlainDVSS)
        scan = full.space.scan
        assert isinstance(scan, CrossScan)
        width, pick = signature.shape.width, signature.pick
        inner, device = EXPANSION * width, scan.norm.weight.device
        groups = torch.arange(num_groups(inner), device=device)
        found = scan_sizes(
            scan.scan,
            MOST_DIRECTIONS,
            sequences=pick.number(NUM_DIRECTIONS),
            inner=inner,
            states=pick.number(STATE_SIZE),
            rank=step_rank(width),
        )
        for size, channels in zip(KERNEL_SIZES, branch_widths(width), strict=True):
            found |= {f"branch{size}": channels, f"{KERNEL}{size}": pick.number(kernel_name(size))}
        return {
            **found,
            "width": width,
            "expanded": stacked(torch.arange(inner, device=device), 2, full.space.inner),
            "places": stacked(groups, 3 * TAPS, scan.sample.groups),
        }
