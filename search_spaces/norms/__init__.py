"""Torch-free declarations of norms, each with its activation.

One file per norm; `_base.py` is the contract.
"""

from search_spaces.norms._base import NORMS, AbstractNorm

__all__ = ["NORMS", "AbstractNorm"]
