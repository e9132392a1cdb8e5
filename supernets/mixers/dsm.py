"""Dynamic spectrum mixer: gains of octaves of frequencies that the image decides.

Declaration, source and departures in search_spaces/operators/dsm.py. Shapes: B batch, C channels,
H W space, S bands.
"""

from typing import ClassVar, final

import torch
from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators.dsm import hidden_channels, octaves
from supernets._elastic import AbstractUnpruned, Axes, Index
from supernets._heads import stacked
from supernets._modules import linear_axes
from supernets._spectra import cosine_transform, inverse_cosine_transform
from supernets.mixers._base import MIXERS, AbstractElasticMixer


class PlainDSM(nn.Module):
    """Means of channels decide about gains, which scale the map's spectrum."""

    band_HW: Tensor

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape, self.bands = signature.shape, signature.pick.number("num_bands")
        self.width, self.size = shape.width, shape.size
        self.forth, self.back = cosine_transform(self.size), inverse_cosine_transform(self.size)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Linear(self.width, hidden_channels(self.width))
        self.act = nn.GELU()
        self.gains = nn.Linear(hidden_channels(self.width), self.bands * self.width)
        self.gate = nn.Sigmoid()
        with torch.device("cpu"):
            bands = torch.tensor(octaves(self.size, self.bands)).flatten()
        self.register_buffer("band_HW", bands, persistent=False)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in."""
        x_BCHW = x_BHWC.permute(0, 3, 1, 2)
        means_BC = self.pool(x_BCHW).reshape(-1, self.width)
        gains_BSC = self.gate(self.gains(self.act(self.reduce(means_BC))))
        gains_BCS = gains_BSC.reshape(-1, self.bands, self.width).permute(0, 2, 1)
        gains_BCHW = gains_BCS[:, :, self.band_HW].reshape(-1, self.width, *self.size)
        return self.back(self.forth(x_BCHW) * gains_BCHW).permute(0, 2, 3, 1)


@final
@MIXERS.register
class ElasticDSM(AbstractUnpruned, AbstractElasticMixer):
    """Elastic width and number of bands; fewer bands have the highest octaves."""

    has_shortcut: ClassVar[bool] = False
    plain: ClassVar[type[nn.Module]] = PlainDSM
    axes: ClassVar[Axes] = {
        **linear_axes("reduce", "hidden", "width"),
        **linear_axes("gains", "gains", "hidden"),
    }

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The first channels, and those of every band's gains."""
        assert isinstance(self.full, PlainDSM)
        width, full = signature.shape.width, self.full
        channels_C = torch.arange(width, device=full.gains.weight.device)
        return {
            "width": width,
            "hidden": hidden_channels(width),
            "gains": stacked(channels_C, signature.pick.number("num_bands"), full.width),
        }
