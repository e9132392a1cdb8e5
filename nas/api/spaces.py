"""A search space that a Python program has as a class: the file in which it stands.

A run keeps its space as a file, and continues with it in other processes; so a class can be given
if its file, run by itself, makes the same space.
"""

import inspect
from pathlib import Path

from search_spaces import SPACES, AbstractSpace, UserError

Space = str | Path | type[AbstractSpace] | AbstractSpace
"""A name, the path of a Python file, or a class that stands in one, or what it makes."""


def space_name(space: Space) -> str:
    """What `--space` would say: a name, or the path of a file.

    Raises:
        UserError: If it is no space, or stands in no file of its own.
    """
    if isinstance(space, str | Path):
        return str(space)
    cls = space if isinstance(space, type) else type(space)
    if not issubclass(cls, AbstractSpace):
        raise UserError(
            f"space is {space!r:.60}. It must be a name, the path of a Python file, or a subclass "
            "of search_spaces.AbstractSpace."
        )
    if isinstance(space, AbstractSpace) and not _is_as_made(space):
        raise UserError(
            f"space {cls.__name__} was given settings, which its file does not say. A run reads "
            f"its space from the file. Write them into the class, so that {cls.__name__}() has "
            "them."
        )
    for name in SPACES.names():
        if SPACES.get(name) is cls:
            return name
    return _file_of(cls)


def _is_as_made(space: AbstractSpace) -> bool:
    """Whether its class makes the same without arguments."""
    try:
        return vars(space) == vars(type(space)())
    except TypeError:
        return False


def _file_of(cls: type) -> str:
    try:
        file = inspect.getsourcefile(cls)
    except (OSError, TypeError):  # typed into a notebook or a console
        file = None
    if file is None or cls.__module__ == "__main__":
        raise UserError(
            f"space {cls.__name__} stands in the program itself, and not in a file that a run "
            "could keep. Write the class into a file of its own, such as my_space.py, and give its "
            "path or import it from there."
        )
    return file
