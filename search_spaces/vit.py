"""Attention only: shifted windows, or all of the map with fewer keys."""

from typing import ClassVar, final

from search_spaces._base import SPACES
from search_spaces._family import AbstractFamily


@final
@SPACES.register
class Vit(AbstractFamily):
    """`window` or `sra` in every block."""

    name: ClassVar[str] = "vit"
    operators: ClassVar[tuple[str, ...]] = ("window", "sra")
