"""Stems, downsamplings and heads with elastic widths: one implementation per file."""

from supernets.trunk._base import TRUNK_BLOCKS, AbstractTrunkBlock

__all__ = ["TRUNK_BLOCKS", "AbstractTrunkBlock"]
