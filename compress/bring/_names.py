"""Names of places in a network, made of the paths of its modules."""

import itertools
from collections.abc import Collection, Sequence

from supernets.network import module_name


def shared_path(paths: Sequence[str]) -> str:
    """Of the innermost module that has all of these, or the first of them if none has."""
    levels = zip(*(path.split(".") for path in paths), strict=False)
    shared = [level[0] for level in itertools.takewhile(lambda level: len({*level}) == 1, levels)]
    return ".".join(shared) or paths[0]


def unique(name: str, taken: Collection[str]) -> str:
    """The name, numbered if it is taken, by modules that names are made into, too."""
    modules = set(map(module_name, taken))
    found, number = name, 2
    while module_name(found) in modules:
        found, number = f"{name}_{number}", number + 1
    return found
