"""Search spaces from and for other tools: for `nas space import` and `nas space export`.

What comes in becomes a file of ours, which says the choices of a table for `nas bench controllers`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nas.inspect.genotypes import GENOTYPES
from nas.system.files import read_json, understood, write_json
from search_spaces import SearchSpace, UserError, did_you_mean, from_nni, to_nni


class Interchange(NamedTuple):
    """A format of another tool.

    Attributes:
        read: The space in a file, without a network; raises `UserError` if there is none.
        write: A space as a JSON document.
    """

    read: Callable[[Path], SearchSpace]
    write: Callable[[SearchSpace], dict[str, Any]]


INTERCHANGES: Mapping[str, Interchange] = {"nni": Interchange(from_nni, to_nni)}
"""By the name on the command line."""


def interchange(name: str) -> Interchange:
    """The format of that name.

    Raises:
        UserError: If there is none.
    """
    if name not in INTERCHANGES:
        raise UserError(
            f"format '{name}' is neither one of search spaces nor one of cells. "
            f"{did_you_mean(name, (*INTERCHANGES, *GENOTYPES))}"
        )
    return INTERCHANGES[name]


def described(space: SearchSpace) -> str:
    """A line for the space and one for every choice."""
    lines = [f"space '{space.name}': {len(space.choices)} choices, {space.size:,} candidates"]
    for choice in space.choices:
        conditions = [f"{name} is {' or '.join(map(str, of))}" for name, of in choice.active_if]
        where = f"  (where {' and '.join(conditions)})" if conditions else ""
        lines.append(f"  {choice.name}: {', '.join(map(str, choice.options))}{where}")
    return "\n".join(lines)


def write_space(space: SearchSpace, file: Path) -> None:
    """Write a space that `read_space` reads."""
    write_json(file, space.to_json())


def read_space(file: Path) -> SearchSpace:
    """The space in a file of ours.

    Raises:
        UserError: If there is none, or it is damaged.
    """
    if not file.is_file():
        raise UserError(
            f"space '{file}' is not there. Give a file that `nas space import FILE --out "
            "SPACE.json` wrote."
        )
    document = read_json(file)
    with understood(f"space '{file}'", "or import it again"):
        return SearchSpace.from_json(document)
