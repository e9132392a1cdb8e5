"""Data sets: images with labels in four splits, one file of this folder per data set or layout.

`load_data("digit-pairs")` and `load_data("photos/")` is the only door; everything is numpy, nothing
imports torch.
"""

from nas.data._base import DATA, AbstractData, DataSet, MissingDataError, Request, Split, identity
from nas.data._load import load_data, refuse_unknown_data

__all__ = [
    "DATA",
    "AbstractData",
    "DataSet",
    "MissingDataError",
    "Request",
    "Split",
    "identity",
    "load_data",
    "refuse_unknown_data",
]
