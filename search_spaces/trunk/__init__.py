"""Stems, downsamplings and heads: one torch-free declaration per file."""

from search_spaces.trunk._base import TRUNK, AbstractTrunk, Place

__all__ = ["TRUNK", "AbstractTrunk", "Place"]
