"""UniRepLKNet's large kernel and the dilated branches beside it.

Source: Ding et al., UniRepLKNet (2024); declaration and departures in
search_spaces/operators/unireplk.py.
"""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.unireplk import DILATIONS, branch_name, dilated_branches
from supernets._elastic import AbstractUnpruned, Axes, Index
from supernets._merged import BranchedDepthwise
from supernets.mixers._base import MIXERS, AbstractElasticMixer

WHOLE = "whole"
BRANCHES = (WHOLE, *map(branch_name, DILATIONS))


class PlainUniRepLK(nn.Module):
    """Branched depthwise convolution on a channels-last map."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        width, pick = signature.shape.width, signature.pick
        beside = {branch_name(r): (size, r) for r, size in dilated_branches(pick).items()}
        self.conv = BranchedDepthwise(width, {WHOLE: (pick.number("kernel_size"), 1), **beside})

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in."""
        return self.conv(x_BHWC.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


@final
@MIXERS.register
class ElasticUniRepLK(AbstractUnpruned, AbstractElasticMixer):
    """Elastic width and kernel, whose branches come and go with it."""

    has_shortcut: ClassVar[bool] = False
    plain: ClassVar[type[nn.Module]] = PlainUniRepLK
    axes: ClassVar[Axes] = {
        f"conv.branches.{name}.{tensor}": roles
        for name in BRANCHES
        for tensor, roles in {
            "weight": (f"width_{name}", None, f"kernel_{name}", f"kernel_{name}"),
            "norm": (f"width_{name}",),
        }.items()
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels, the centre of every branch's kernel; nothing of absent branches."""
        width, pick = signature.shape.width, signature.pick
        kernels = dict.fromkeys(BRANCHES, 0) | {WHOLE: pick.number("kernel_size")}
        kernels |= {branch_name(r): size for r, size in dilated_branches(pick).items()}
        return {
            role: size
            for name, kernel_size in kernels.items()
            for role, size in (
                (f"kernel_{name}", kernel_size),
                (f"width_{name}", width if kernel_size else 0),
            )
        }
