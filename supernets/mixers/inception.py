"""InceptionNeXt's token mixer.

Source: Yu et al., InceptionNeXt (2023), section 3.2; declaration and departures in
search_spaces/operators/inception.py.
"""

from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.inception import SQUARE
from supernets._elastic import AbstractUnpruned, Axes, Index
from supernets.mixers._base import MIXERS, AbstractElasticMixer


class PlainInception(nn.Module):
    """Identity on the first channels, three depthwise convolutions on the last ones."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        pick = signature.pick
        branch, band = pick.number("branch"), pick.number("band")
        self.groups = [signature.shape.width - 3 * branch, branch, branch, branch]
        half = band // 2
        self.square = nn.Conv2d(branch, branch, SQUARE, 1, SQUARE // 2, groups=branch)
        self.row = nn.Conv2d(branch, branch, (1, band), 1, (0, half), groups=branch)
        self.column = nn.Conv2d(branch, branch, (band, 1), 1, (half, 0), groups=branch)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in."""
        same, square, row, column = x_BHWC.permute(0, 3, 1, 2).split(self.groups, dim=1)
        mixed = torch.cat((same, self.square(square), self.row(row), self.column(column)), dim=1)
        return mixed.permute(0, 2, 3, 1)


@final
@MIXERS.register
class ElasticInception(AbstractUnpruned, AbstractElasticMixer):
    """Elastic width; a narrower member uses the first channels of every branch."""

    has_shortcut: ClassVar[bool] = False
    plain: ClassVar[type[nn.Module]] = PlainInception
    axes: ClassVar[Axes] = {
        "square.weight": ("branch", None, None, None),
        "row.weight": ("branch", None, None, "kernel_band"),
        "column.weight": ("branch", None, "kernel_band", None),
        **{f"{conv}.bias": ("branch",) for conv in ("square", "row", "column")},
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The channels of a branch, and how far a band reaches on the map."""
        pick = signature.pick
        return {"branch": pick.number("branch"), "kernel_band": pick.number("band")}
