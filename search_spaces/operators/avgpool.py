"""The average of 3x3 positions.

Source: Zoph et al., Learning Transferable Architectures for Scalable Image Recognition (2018),
section 3, the operation "3x3 average pooling". Departure: it keeps its map, also in reduction
cells. At a border the average is of the positions that there are.
"""

from typing import final

from search_spaces.operators._base import OPERATORS
from search_spaces.operators._unweighted import AbstractPooling


@final
@OPERATORS.register
class AveragePooling(AbstractPooling):
    """Average of the 3x3 positions around each."""
