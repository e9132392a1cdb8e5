"""The maximum of 3x3 positions.

Source: Zoph et al., Learning Transferable Architectures for Scalable Image Recognition (2018),
section 3, the operation "3x3 max pooling". Departure: it keeps its map, also in reduction cells.
"""

from typing import final

from search_spaces.operators._base import OPERATORS
from search_spaces.operators._unweighted import AbstractPooling


@final
@OPERATORS.register
class MaximumPooling(AbstractPooling):
    """Maximum of the 3x3 positions around each."""
