"""Variations of training images beyond shifts and flips: one file each, `_base.py` the contract."""

from supernets.augmentations._base import (
    AUGMENTATIONS,
    AbstractAugmentation,
    MixedLabels,
    Varied,
    chosen_augmentations,
)

__all__ = [
    "AUGMENTATIONS",
    "AbstractAugmentation",
    "MixedLabels",
    "Varied",
    "chosen_augmentations",
]
