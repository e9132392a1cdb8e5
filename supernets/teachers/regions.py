"""A teacher that was asked once for every image: a view of it has the scores of its region.

What is stored of an image is a map of scores before the pool: at each of its places a score of
every class, whose mean over all places is the network's output (`supernets/score_maps.py`). A
shifted view pools the places that it shows, each as often as it does; beyond the border, where the
image is mirrored, too.

Source: Yun et al., Re-labeling ImageNet: from Single to Multi-Labels, from Global to Localized
Labels (2021), section 3: score maps, from which a random crop pools its region. Departures: views
are shifts with mirrored borders; places count by the pixels that are shown of them; the scores of
all classes are stored; no images are mixed.

Shapes: B batch, C channels, H W pixels of images, h w places of maps, N images, K classes, P
pixels of a side and p its places.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor, nn

from search_spaces import UserError
from supernets.device import at_work, autocast, computing
from supernets.images import Images, mirrored
from supernets.plan import TrainPlan
from supernets.score_maps import score_maps
from supernets.steps import laid_out
from supernets.teachers._base import AbstractTeacher, Asked

AT_ONCE = 256
"""Images."""


@final
@dataclass(frozen=True)
class RegionTeacher(AbstractTeacher):
    """Scores of the regions that views of images show.

    Attributes:
        maps_NKhw: In fp16.
    """

    maps_NKhw: Tensor

    def __call__(self, asked: Asked) -> Tensor:
        """Means over the regions."""
        views = asked.drawing.views(asked.images, asked.turn)
        maps_BKhw = self.maps_NKhw[torch.from_numpy(views.places_B)].float()
        rows_Bh, columns_Bw = (
            shares_shown(shifts_B, pixels, places)
            for shifts_B, pixels, places in zip(
                (views.rows_B, views.columns_B),
                asked.images_BCHW.shape[2:],
                maps_BKhw.shape[2:],
                strict=True,
            )
        )
        outputs_BK = torch.einsum("bkhw,bh,bw->bk", maps_BKhw, rows_Bh, columns_Bw)
        return outputs_BK.to(asked.images_BCHW.device)


def shares_shown(shifts_B: np.ndarray, pixels: int, places: int) -> Tensor:
    """How much of a shifted side shows each of its places, (B, p): positive, 1 in sum.

    Args:
        shifts_B: As `Views` has them.
        pixels: Of the side.
        places: Of the side of a map.
    """
    starts_P1 = torch.arange(pixels)[:, None] / pixels
    starts_p = torch.arange(places) / places
    ends_Pp = torch.minimum(starts_P1 + 1 / pixels, starts_p + 1 / places)
    covered_Pp = (ends_Pp - torch.maximum(starts_P1, starts_p)).clamp_min(0) * pixels
    return covered_Pp[mirrored(shifts_B, pixels)].mean(1)


@torch.no_grad()
def maps_of(network: nn.Module, images: Images, plan: TrainPlan) -> Tensor:
    """Score maps of all images, (N, K, h, w) in fp16.

    Args:
        network: In evaluation mode; its head has a pool, a layer norm and a classifier.
        images: In memory.
        plan: Where and in which precision the network computes.

    Raises:
        UserError: If the head is another one, or images are decoded while training runs.
    """
    if not isinstance(images.images_NCHW, Tensor):
        raise UserError(
            "answers by region are of images in memory, and these are decoded while training runs. "
            "Store answers to variants instead: --set stored=variants."
        )
    found = []
    with at_work(plan.device, network), computing(plan.device, plan.precision):
        for part in images.images_NCHW.split(AT_ONCE):
            images_BCHW = laid_out(images.normalised(part), plan)
            with autocast(plan.device, plan.precision):
                found.append(score_maps(network, images_BCHW).half().cpu())
    return torch.cat(found)
