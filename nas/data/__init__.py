"""Data sets: images with labels in four splits, one file of this folder per data set.

`load_data("digit-pairs")` is the only door; everything is numpy, nothing imports torch.
"""

from nas.data._base import DATA, AbstractData, DataSet, MissingDataError, Split, load_data

__all__ = ["DATA", "AbstractData", "DataSet", "MissingDataError", "Split", "load_data"]
