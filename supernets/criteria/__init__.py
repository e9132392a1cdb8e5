"""Which channels and heads pruning keeps: one file per criterion; `_base.py` is the contract."""

from supernets.criteria._base import CRITERIA, AbstractCriterion, GroupWeights

__all__ = ["CRITERIA", "AbstractCriterion", "GroupWeights"]
