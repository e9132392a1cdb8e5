"""What every augmentation keeps to: a pure function, whose labels are what its pixels show."""

import dataclasses
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from nas.testing._expect import require
from search_spaces import UserError
from supernets.augmentations import (
    AUGMENTATIONS,
    AbstractAugmentation,
    MixedLabels,
    Varied,
    chosen_augmentations,
)

BATCH = 32
SHAPES = ((1, 16, 16), (3, 24, 40))
TOLERANCE = 1e-5


def check_the_same_draws_give_the_same_images(name: str) -> None:
    """It is a function of batch and generator, and leaves the batch as it is."""
    for shape in SHAPES:
        batch = _batch(shape)
        before = batch.images_BCHW.clone()
        first, again, other = (_augmented(name, batch, seed) for seed in (0, 0, 1))
        require(torch.equal(first.images_BCHW, again.images_BCHW), f"{shape}: differs, same draws")
        require(not torch.equal(first.images_BCHW, other.images_BCHW), f"{shape}: draws nothing")
        require(torch.equal(batch.images_BCHW, before), f"{shape}: changes the images it is given")


def check_images_stay_images(name: str) -> None:
    """Shapes, types and the range of values stay, of grey images and of rectangles."""
    for shape in SHAPES:
        images = _augmented(name, _batch(shape), 0).images_BCHW
        require(images.shape == (BATCH, *shape), f"images of {shape} become {images.shape[1:]}")
        require(images.dtype == torch.float32, f"images become {images.dtype}")
        low, high = float(images.min()), float(images.max())
        require(0 <= low <= high <= 1, f"values go from {low:g} to {high:g}, beyond 0 to 1")


def check_labels_have_the_share_of_the_pixels(name: str) -> None:
    """Of images that are mixed, labels count by how much of each image is there."""
    batch = _batch((1, 16, 16), is_plain=True)
    found = _augmented(name, batch, 0)
    is_mixing = AUGMENTATIONS.get(name).mixes
    require(isinstance(found.labels, MixedLabels) == is_mixing, "labels are not as `mixes` says")
    if isinstance(found.labels, MixedLabels):
        shade_B = batch.images_BCHW[:, 0, 0, 0]
        labels = found.labels
        expected_B = torch.lerp(shade_B[labels.first_B], shade_B[labels.second_B], labels.share_B)
        apart = float((found.images_BCHW.mean((1, 2, 3)) - expected_B).abs().max())
        require(apart < TOLERANCE, f"pixels and labels differ by {apart:.3g} of a share")
    else:
        require(torch.equal(found.labels, _labels()), "labels change, and images are not mixed")


def check_options_stand_in_the_text(name: str) -> None:
    """The text with every option at its default is the name alone; unknown ones are refused."""
    (alone,) = chosen_augmentations(name)
    require(dataclasses.is_dataclass(alone), "is no dataclass")
    fields = dataclasses.fields(AUGMENTATIONS.get(name))
    options = ",".join(f"{field.name}={getattr(alone, field.name)}" for field in fields)
    require(not options or chosen_augmentations(f"{name}:{options}") == (alone,), "options differ")
    try:
        chosen_augmentations(f"{name}:colour_of_the_moon=1")
    except UserError:
        return
    require(False, "takes an option that it does not have")


CHECKS: tuple[Callable[[str], None], ...] = (
    check_the_same_draws_give_the_same_images,
    check_images_stay_images,
    check_labels_have_the_share_of_the_pixels,
    check_options_stand_in_the_text,
)


def _augmented(name: str, batch: Varied, seed: int) -> Varied:
    augmentation: AbstractAugmentation = AUGMENTATIONS.get(name)()
    return augmentation(batch, np.random.default_rng(seed))


def _batch(shape: tuple[int, int, int], *, is_plain: bool = False) -> Varied:
    """Noise, or images of one shade each; the label of an image is its place."""
    size = (BATCH, 1, 1, 1) if is_plain else (BATCH, *shape)
    values = torch.rand(size, generator=torch.Generator().manual_seed(0))
    return Varied(values.expand(BATCH, *shape).contiguous(), _labels())


def _labels() -> Tensor:
    return torch.arange(BATCH)
