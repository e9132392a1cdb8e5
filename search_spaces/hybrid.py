"""Convolution, attention and mixer blocks in one network: the default space."""

from typing import ClassVar, final

from search_spaces._base import SPACES
from search_spaces._family import AbstractFamily


@final
@SPACES.register
class Hybrid(AbstractFamily):
    """Every operator in every block."""

    name: ClassVar[str] = "hybrid"
    operators: ClassVar[tuple[str, ...]] = (
        "basic",
        "mbconv",
        "convnext",
        "inception",
        "window",
        "sra",
        "raft",
        "moat",
    )
