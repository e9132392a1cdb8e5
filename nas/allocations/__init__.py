"""How much of each part of a network goes, for a limit: one file per way; `_base.py` says what one
is given."""

from nas.allocations._base import ALLOCATIONS, AbstractAllocation, Compressible, Weight

__all__ = ["ALLOCATIONS", "AbstractAllocation", "Compressible", "Weight"]
