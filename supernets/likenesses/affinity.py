"""Which places of a map are alike, for one network as for another that guides it.

The affinity of a map is the cosine between the channels of each two of its places: one number per
pair, whatever the channels are, so networks of different widths can be compared wherever their maps
have the same sides.

Source: Chai et al., Distillation-Supervised Convolutional Low-Rank Adaptation for Efficient Image
Super-Resolution (2025), which takes the loss from He et al., FAKD: Feature-Affinity Based Knowledge
Distillation for Efficient Image Super-Resolution (2020). Departures: one map of each size, the last
one; large maps are averaged to `MOST_SIDE` before.

Shapes: B batch, C channels, H W space, T places.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from supernets.likenesses._base import AbstractLikeness
from supernets.network import PlainNetwork, module_name

MOST_SIDE = 14
"""Of a map that is compared: the pairs of its places grow with the fourth power."""

Maps = dict[tuple[int, int], Tensor]
"""By their sides, the last map (B, C, H, W) of these sides in a network."""


@final
@dataclass(frozen=True)
class Affinity(AbstractLikeness[Maps]):
    """A loss between the affinities of maps.

    Attributes:
        guide: In evaluation mode.
        weight: Of the loss.
    """

    guide: nn.Module
    weight: float = 1.0

    @contextmanager
    def recording(self, network: nn.Module) -> Iterator[Maps]:
        """The maps that its slots make."""
        maps: Maps = {}

        def keep(_: nn.Module, __: object, output: Tensor) -> None:
            if output.ndim == 4:
                height, width = output.shape[2:]
                maps[height, width] = output

        hooks = [slot.register_forward_hook(keep) for slot in _slots(network)]
        try:
            yield maps
        finally:
            for hook in hooks:
                hook.remove()

    def __call__(self, network: nn.Module, recorded: Maps, images_BCHW: Tensor) -> Tensor:
        """Mean difference of affinities, over maps of the sides that both have."""
        with torch.no_grad(), self.recording(self.guide) as guiding:
            self.guide(images_BCHW)
        errors = [
            (affinities(recorded[sides]) - affinities(guiding[sides])).abs().mean()
            for sides in recorded
            if sides in guiding
        ]
        return self.weight * torch.stack(errors).mean() if errors else images_BCHW.new_zeros(())


def affinities(map_BCHW: Tensor) -> Tensor:
    """Cosines between the channels of all places, (B, T, T)."""
    height, width = (min(side, MOST_SIDE) for side in map_BCHW.shape[2:])
    places_BCT = F.adaptive_avg_pool2d(map_BCHW.float(), (height, width)).flatten(2)
    places_BCT = F.normalize(places_BCT, dim=1)
    return places_BCT.mT @ places_BCT


def _slots(network: nn.Module) -> list[nn.Module]:
    """Modules that fill the slots of a network; none of one that has no slots."""
    plain = next((m for m in network.modules() if isinstance(m, PlainNetwork)), None)
    if plain is None:
        return []
    return [plain.get_submodule(module_name(slot.name)) for slot in plain.arch]
