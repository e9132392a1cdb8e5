"""Blocks whose convolutions have a norm that a stage may choose."""

from collections.abc import Mapping
from typing import ClassVar

from search_spaces._choice import Option
from search_spaces._registry import Registry
from search_spaces.norms._base import DEFAULT_NORM, NORM, NORMS
from search_spaces.operators._base import AbstractBlock


class AbstractNormedBlock(AbstractBlock):
    """Reads "norm": what follows its convolutions that have an activation.

    Departure from the norms' papers: the convolution before the shortcut, which has no activation,
    keeps batch norm whatever the norm.
    """

    defaults: ClassVar[Mapping[str, Option]] = {NORM: DEFAULT_NORM}
    words: ClassVar[Mapping[str, tuple[str, ...] | Registry]] = {NORM: NORMS}
