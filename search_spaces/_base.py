"""The contract of a search space file."""

from abc import ABC, abstractmethod

from search_spaces._registry import Registry
from search_spaces._space import SearchSpace

SPACES = Registry("search_spaces", "space")


class AbstractSpace(ABC):
    """A named family of networks, for any image size it supports."""

    @abstractmethod
    def build(self, *, resolution: int, channels: int, num_classes: int) -> SearchSpace:
        """The architecture choices for square images of `resolution` px.

        Raises:
            UserError: If the family has no network for that resolution.
        """


def load_space(name: str, *, resolution: int, channels: int, num_classes: int) -> SearchSpace:
    """The space called `name` for these images, without policy choices."""
    space = SPACES.get(name)()
    assert isinstance(space, AbstractSpace)
    return space.build(resolution=resolution, channels=channels, num_classes=num_classes)
