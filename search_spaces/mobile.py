"""Inverted residuals only, as MobileNetV2 and its searched successors."""

from typing import ClassVar, final

from search_spaces._base import SPACES
from search_spaces._family import AbstractFamily


@final
@SPACES.register
class Mobile(AbstractFamily):
    """`mbconv` in every block, with channel attention or without."""

    name: ClassVar[str] = "mobile"
    operators: ClassVar[tuple[str, ...]] = ("mbconv",)
