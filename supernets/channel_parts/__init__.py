"""Channel parts of mixers' slots with shared weights. One file per channel part."""

from supernets._elastic import Axes, Index
from supernets._modules import linear_axes, norm_axes
from supernets.channel_parts._base import ELASTIC_CHANNEL_PARTS, AbstractElasticChannelPart
from supernets.criteria._base import GroupWeights

__all__ = [
    "ELASTIC_CHANNEL_PARTS",
    "AbstractElasticChannelPart",
    "Axes",
    "GroupWeights",
    "Index",
    "linear_axes",
    "norm_axes",
]
