"""Other views of images: what learning without labels compares.

Tensor operations where the images are; what is drawn is drawn by the processor. Shapes: B batch, C
channels, H W space.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from supernets.device import moved

CONTRAST, BRIGHTNESS = 0.4, 0.4
"""How much they may change: a factor, and what is added, in deviations of a pixel."""


def view(images_BCHW: Tensor, rng: np.random.Generator, *, least_area: float) -> Tensor:
    """A random part of every image at the size of the whole, of another contrast and brightness.

    Args:
        images_BCHW: Normalised; needs no gradient.
        rng: Draws.
        least_area: Of a part, as a share of the image; in (0, 1].

    Source: Chen et al., A Simple Framework for Contrastive Learning of Visual Representations
    (2020), section 3; without flips, changes of hue, grey images and blur, which are not of all
    images.
    """
    batch = len(images_BCHW)
    side_B = np.sqrt(rng.uniform(least_area, 1.0, batch))
    place_B2 = rng.uniform(-1.0, 1.0, (batch, 2)) * (1.0 - side_B[:, None])
    theta_B23 = np.zeros((batch, 2, 3), dtype=np.float32)
    theta_B23[:, 0, 0] = theta_B23[:, 1, 1] = side_B
    theta_B23[:, :, 2] = place_B2
    change_2B = rng.uniform(-1.0, 1.0, (2, batch, 1, 1, 1)).astype(np.float32)
    device = str(images_BCHW.device)
    theta, (contrast, brightness) = (
        moved(torch.from_numpy(drawn), device) for drawn in (theta_B23, change_2B)
    )
    grid = F.affine_grid(theta, list(images_BCHW.shape), align_corners=False)
    parts_BCHW = F.grid_sample(images_BCHW, grid, padding_mode="reflection", align_corners=False)
    return parts_BCHW * (1.0 + CONTRAST * contrast) + BRIGHTNESS * brightness
