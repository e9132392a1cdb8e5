"""Cells of other programs, and of networks of ours: for `nas space import` and `nas space export`.

What is read becomes a configuration that searches a space with this cell alone: how wide it is, how
often it stands, and what compression does to it remain to be decided, on any images.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from nas.problem.fix import PRECISION, SPARSITY, fixed, parse_fix
from nas.system.files import given_object
from search_spaces import (
    Option,
    UserError,
    from_darts,
    from_nasbench201,
    load_space,
    to_darts,
    to_nasbench201,
)

RESOLUTION = 32
"""At which it is seen whether a space has a cell; it has the same cells at every one."""

OF_CELLS = ("normal.", "reduction.")


class Genotype(NamedTuple):
    """A way to write a cell.

    Attributes:
        space: That has such cells.
        read: The options of a text, or of the file that it names.
        write: An architecture's cell as text.
    """

    space: str
    read: Callable[[str], dict[str, Option]]
    write: Callable[[Mapping[str, Option]], str]


def options_in(text: str) -> dict[str, Option]:
    """Options of a network's architecture, which the JSON file of this name has, as a card has.

    Raises:
        UserError: If there is no such file, or no architecture in it.
    """
    document = given_object(text, "network")
    arch = document.get("arch", document)
    if not isinstance(arch, dict) or not all(
        isinstance(v, int | float | str) for v in arch.values()
    ):
        raise UserError(
            f"'{text}' has no options by names of choices. Give the card of a network, "
            "RUN/front/KEY/card.json, or a JSON file as `nas export --arch` reads it."
        )
    return arch


def _cell_in(text: str) -> dict[str, Option]:
    found = {n: o for n, o in options_in(text).items() if n.startswith(OF_CELLS)}
    if not found:
        raise UserError(
            f"'{text}' is the network of no cells: none of its choices begins with "
            f"{' or '.join(OF_CELLS)}. Give one of space 'cells'."
        )
    return found


def _listed(arch: Mapping[str, Option]) -> str:
    return json.dumps({n: o for n, o in arch.items() if n.startswith(OF_CELLS)}, indent=1)


GENOTYPES: Mapping[str, Genotype] = {
    "nasbench201": Genotype("nasbench201", from_nasbench201, to_nasbench201),
    "darts": Genotype(
        "darts",
        lambda text: from_darts(given_object(text, "genotype")),
        lambda arch: json.dumps(to_darts(arch)),
    ),
    "cells": Genotype("cells", _cell_in, _listed),
}
"""By the name on the command line."""


def configuration(name: str, text: str, fix: Sequence[str] = ()) -> str:
    """A configuration file that searches the space with one cell.

    Args:
        name: One of `GENOTYPES`.
        text: The cell.
        fix: What else is to be decided beforehand, as `--fix` takes it.

    Raises:
        UserError: If there is no cell in the text, or the space has none such, or no such choices.
    """
    genotype = GENOTYPES[name]
    texts = [f"{choice}={option}" for choice, option in genotype.read(text).items()]
    space = load_space(genotype.space, resolution=RESOLUTION, channels=3, num_classes=10)
    fixed(space, [*texts, *(further for further in fix if not _is_of_policy(further))])
    lines = "".join(f"    {json.dumps(line)},\n" for line in (*texts, *fix))
    return f'space = "{genotype.space}"\nfix = [\n{lines}]\n'


def _is_of_policy(fix: str) -> bool:
    """Whether a text is about compression, whose options the search says that it is for."""
    pattern, _ = parse_fix(fix)
    return pattern.rpartition(".")[2] in (PRECISION, SPARSITY)
