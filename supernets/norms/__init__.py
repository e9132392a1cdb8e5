"""Norms with their activations: one implementation per file."""

from supernets.norms._base import NORM_LAYERS, AbstractNormLayers
from supernets.norms._statistics import AbstractBatchStatistics

__all__ = ["NORM_LAYERS", "AbstractBatchStatistics", "AbstractNormLayers"]
