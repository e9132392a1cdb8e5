"""Convolution, attention and mixer blocks in one network: the default space."""

from typing import final

from search_spaces._base import SPACES, AbstractSpace
from search_spaces._family import family
from search_spaces._space import SearchSpace

OPERATORS = ("mbconv", "convnext", "inception", "window", "sra", "raft", "moat")


@final
@SPACES.register
class Hybrid(AbstractSpace):
    """Every operator in every block."""

    def build(self, *, resolution: int, channels: int, num_classes: int) -> SearchSpace:
        """Widths, depths and options of `_family.py`."""
        return family(
            "hybrid",
            OPERATORS,
            resolution=resolution,
            channels=channels,
            num_classes=num_classes,
        )
