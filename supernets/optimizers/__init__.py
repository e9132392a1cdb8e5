"""Optimizers of weights. One file each; `_base.py` is the contract."""

from supernets.optimizers._base import OPTIMIZERS, AbstractOptimizer, decayed_and_others, group

__all__ = ["OPTIMIZERS", "AbstractOptimizer", "decayed_and_others", "group"]
