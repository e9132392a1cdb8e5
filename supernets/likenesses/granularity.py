"""What two networks say of images, of their regions and of their places.

Compared are score maps (`supernets/score_maps.py`), which have the same classes in both networks
and are averaged to the smaller of their sides: softmaxes of whole images, by Kullback-Leibler
divergence; affinities between regions, by squared difference; softmaxes of all places, again by
divergence. Each has a weight, and 0 switches it off. No labels are needed.

Source: Qin et al., Multi-Granularity Distillation Scheme Towards Lightweight Semi-Supervised
Semantic Segmentation (2022). Departures: classification, so what it does to maps of a segmentation
is done to score maps; one teacher, not a deep and a wide one; as many regions in each direction as
`REGIONS` at most.

Shapes: B batch, K classes, h w places of maps.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from supernets.likenesses._base import AbstractLikeness
from supernets.likenesses.affinity import affinities
from supernets.score_maps import recorded_pool, score_maps, scores_of

REGIONS = 2


@final
@dataclass(frozen=True, kw_only=True)
class Granularity(AbstractLikeness[list[Tensor]]):
    """Losses between score maps.

    Attributes:
        guide: In evaluation mode.
        image: Weight of the loss of whole images.
        region: Of that of regions.
        pixel: Of that of places.
    """

    guide: nn.Module
    image: float = 0.0
    region: float = 0.0
    pixel: float = 0.0

    @contextmanager
    def recording(self, network: nn.Module) -> Iterator[list[Tensor]]:
        """The map that its head pools."""
        with recorded_pool(network) as maps:
            yield maps

    def __call__(self, network: nn.Module, recorded: list[Tensor], images_BCHW: Tensor) -> Tensor:
        """Weighted sum of the losses whose weight is not 0."""
        with torch.no_grad():
            guiding_BKhw = score_maps(self.guide, images_BCHW)
        own_BKhw = scores_of(network, recorded[0])
        height, width = (
            min(pair) for pair in zip(own_BKhw.shape[2:], guiding_BKhw.shape[2:], strict=True)
        )
        own_BKhw, guiding_BKhw = (
            F.adaptive_avg_pool2d(scores, (height, width)) for scores in (own_BKhw, guiding_BKhw)
        )
        loss = own_BKhw.new_zeros(())
        if self.image:
            loss = loss + self.image * divergence(own_BKhw.mean((2, 3)), guiding_BKhw.mean((2, 3)))
        if self.region:
            regions = min(REGIONS, height), min(REGIONS, width)
            own, guiding = (
                affinities(F.adaptive_avg_pool2d(scores, regions))
                for scores in (own_BKhw, guiding_BKhw)
            )
            loss = loss + self.region * (own - guiding).square().mean()
        if self.pixel:
            loss = loss + self.pixel * divergence(own_BKhw, guiding_BKhw)
        return loss


def divergence(own: Tensor, guiding: Tensor) -> Tensor:
    """Of the guide's softmax from the network's; the mean over all but classes, axis 1."""
    own_logs, guiding_logs = own.float().log_softmax(1), guiding.float().log_softmax(1)
    return (guiding_logs.exp() * (guiding_logs - own_logs)).sum(1).mean()
