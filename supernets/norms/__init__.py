"""Norms with their activations: one implementation per file."""

from supernets.norms._base import NORM_LAYERS, AbstractNormLayers

__all__ = ["NORM_LAYERS", "AbstractNormLayers"]
