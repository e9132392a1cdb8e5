"""The contract of a search space file, ours or a user's."""

from abc import ABC, abstractmethod
from pathlib import Path
from types import ModuleType

from search_spaces._errors import UserError
from search_spaces._registry import Registry
from search_spaces._space import SearchSpace
from search_spaces._user_files import as_user_error, execute, read_source


class AbstractSpace(ABC):
    """A named family of networks, for any image size it supports."""

    @abstractmethod
    def build(self, *, resolution: int, channels: int, num_classes: int) -> SearchSpace:
        """The architecture choices for square images of `resolution` px.

        Raises:
            UserError: If the family has no network for that resolution.
        """


SPACES = Registry("search_spaces", "space", AbstractSpace)


def is_space_file(name: str) -> bool:
    """Whether a space's name is the path of a Python file."""
    return name.endswith(".py")


def load_space(name: str, *, resolution: int, channels: int, num_classes: int) -> SearchSpace:
    """The space of that name for these images, without policy choices.

    Args:
        name: A registered name, or a Python file with one subclass of `AbstractSpace`. The file is
            executed.
        resolution: Side of the images, pixels.
        channels: Of the images.
        num_classes: Outputs.

    Raises:
        UserError: If there is no such space, or its file cannot be used.
    """
    sizes = {"resolution": resolution, "channels": channels, "num_classes": num_classes}
    if is_space_file(name):
        return _built(Path(name), sizes)
    space = SPACES.get(name)()
    assert isinstance(space, AbstractSpace)
    return space.build(**sizes)


def _built(file: Path, sizes: dict[str, int]) -> SearchSpace:
    """The space of a user's file; whatever goes wrong in it is said with the file's name."""
    what = f"space file '{file}'"
    if not file.is_file():
        raise UserError(
            f"{what} is not there. Name a Python file with one subclass of "
            f"search_spaces.AbstractSpace, or a space: {', '.join(SPACES.names())}. "
            "A run that used a space file keeps a copy, its space.py."
        )
    with as_user_error(what, str(file), "Mend the file; `nas space check` runs it alone."):
        module = execute(f"space_file_{file.stem}", read_source(file), str(file))
        space = _class_of(module)().build(**sizes)
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
