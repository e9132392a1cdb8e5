"""Inverted residuals only, as MobileNetV2 and its searched successors."""

from typing import final

from search_spaces._base import SPACES, AbstractSpace
from search_spaces._family import family
from search_spaces._space import SearchSpace

OPERATORS = ("mbconv",)


@final
@SPACES.register
class Mobile(AbstractSpace):
    """`mbconv` in every block, with channel attention or without."""

    def build(self, *, resolution: int, channels: int, num_classes: int) -> SearchSpace:
        """Widths, depths and options of `_family.py`."""
        return family(
            "mobile",
            OPERATORS,
            resolution=resolution,
            channels=channels,
            num_classes=num_classes,
        )
