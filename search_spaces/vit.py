"""Attention only: shifted windows, or all of the map with fewer keys."""

from typing import final

from search_spaces._base import SPACES, AbstractSpace
from search_spaces._family import family
from search_spaces._space import SearchSpace

OPERATORS = ("window", "sra")


@final
@SPACES.register
class Vit(AbstractSpace):
    """`window` or `sra` in every block."""

    def build(self, *, resolution: int, channels: int, num_classes: int) -> SearchSpace:
        """Widths, depths and options of `_family.py`."""
        return family(
            "vit",
            OPERATORS,
            resolution=resolution,
            channels=channels,
            num_classes=num_classes,
        )
