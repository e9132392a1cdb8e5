"""A factor per channel; source and departures in search_spaces/operators/gain.py."""

from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Signature
from supernets._elastic import AbstractUnpruned, Axes, Index
from supernets.blocks._base import BLOCKS, AbstractElasticBlock


class PlainGain(nn.Module):
    """x * factor."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(signature.shape.width))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        return x_BCHW * self.factor.reshape(-1, 1, 1)


@final
@BLOCKS.register
class ElasticGain(AbstractUnpruned, AbstractElasticBlock):
    """Any width."""

    plain: ClassVar[type[nn.Module]] = PlainGain
    axes: ClassVar[Axes] = {"factor": ("width",)}

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The width."""
        return {"width": signature.shape.width}
