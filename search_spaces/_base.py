"""The contract of a search space file, ours or a user's."""

from abc import ABC, abstractmethod
from pathlib import Path
from types import ModuleType

from search_spaces._errors import UserError
from search_spaces._registry import Registry
from search_spaces._resolution import resolution_of
from search_spaces._sides import Resolution, Sides
from search_spaces._space import SearchSpace
from search_spaces._user_files import as_user_error, execute, read_source


class AbstractSpace(ABC):
    """A named family of networks, for any image size it supports."""

    @abstractmethod
    def build(self, *, resolution: Resolution, channels: int, num_classes: int) -> SearchSpace:
        """The architecture choices for images of `resolution` px: 96, or "96x128" (height x width).

        `pyramid` and `read_sides` take both.

        Raises:
            UserError: If the family has no network for that resolution.
        """


SPACES = Registry("search_spaces", "space", AbstractSpace)


def is_space_file(name: str) -> bool:
    """Whether a space's name is the path of a Python file."""
    return name.endswith(".py")


def load_space(
    name: str, *, resolution: Resolution | Sides, channels: int, num_classes: int
) -> SearchSpace:
    """The space of that name for these images, without policy choices.

    Args:
        name: A registered name, or a Python file with one subclass of `AbstractSpace`. The file is
            executed.
        resolution: Height and width of the images in pixels: 96, "96x128" or (96, 128).
        channels: Of the images.
        num_classes: Outputs.

    Raises:
        UserError: If there is no such space, or its file cannot be used.
    """
    size = resolution_of(resolution)
    if is_space_file(name):
        return _built(Path(name), size, channels, num_classes)
    space = SPACES.get(name)()
    assert isinstance(space, AbstractSpace)
    return space.build(resolution=size, channels=channels, num_classes=num_classes)


def _built(file: Path, resolution: Resolution, channels: int, num_classes: int) -> SearchSpace:
    """The space of a user's file; whatever goes wrong in it is said with the file's name."""
    what = f"space file '{file}'"
    if not file.is_file():
        raise UserError(
            f"{what} is not there. Name a Python file with one subclass of "
            f"search_spaces.AbstractSpace, or a space: {', '.join(SPACES.names())}. "
            "A run that used a space file keeps a copy, its space.py."
        )
    mend = "Mend the file; `nas space check` runs it alone."
    if isinstance(resolution, str):
        mend = (
            f"Images are {resolution} px, and `resolution` is that text: `read_sides(resolution)` "
            "of search_spaces gives height and width. Mend the file, or give one number as "
            "--resolution, which makes squares."
        )
    with as_user_error(what, str(file), mend):
        module = execute(f"space_file_{file.stem}", read_source(file), str(file))
        space = _class_of(module)().build(
            resolution=resolution, channels=channels, num_classes=num_classes
        )
    if not isinstance(space, SearchSpace) or space.network is None:
        raise UserError(
            f"{what}: build() returned {type(space).__name__}. It must return "
            "SearchSpace.of_network(name, Staged(...))."
        )
    return space


def _class_of(module: ModuleType) -> type[AbstractSpace]:
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, AbstractSpace)
        and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        names = ", ".join(cls.__name__ for cls in found) or "none"
        raise UserError(
            f"it has {len(found)} subclasses of AbstractSpace ({names}). It must have one."
        )
    return found[0]
