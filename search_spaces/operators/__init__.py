"""Torch-free declarations of operators: options, canonical form, costs, prunable groups.

One file per operator; `_base.py` is the contract.
"""

from search_spaces import _layers as layers
from search_spaces.operators._base import OPERATORS, AbstractBlock, AbstractMixer

__all__ = ["OPERATORS", "AbstractBlock", "AbstractMixer", "layers"]
