"""What the pages know about operators: how they mix positions, and their letters and colours."""

from collections.abc import Iterable, Mapping, Sequence

from reports import text
from reports.records import RunTables
from search_spaces import UserError, declaration, operator_of
from search_spaces.operators._base import AbstractOperator

FAMILIES = ("convolution", "attention", "mixer")
MIXED = "mixed"
NUM_COLOURS = 8


def used(run: RunTables) -> list[str]:
    """Every operator of every network and trial, sorted."""
    archs = [member.arch for member in run.members] + [trial.arch for trial in run.trials]
    return sorted({name for arch in archs for name in text.operators(arch)})


def families(operator: str) -> tuple[str, ...]:
    """How the operator mixes positions; empty for one that is not declared."""
    try:
        return _declared(operator).mixing
    except UserError:
        return ()


def meaning(operator: str) -> str:
    """What its declaration says of it in one line; empty for one that is not declared."""
    try:
        said = type(_declared(operator)).__doc__ or ""
    except UserError:
        return ""
    return said.strip().partition("\n")[0]


def _declared(operator: str) -> AbstractOperator:
    """Of an operator, or of an operation of cells, whose kernel size is a part of its name."""
    return declaration(operator_of(operator)[0])


def family(names: Sequence[str]) -> str:
    """The family of more than half of the blocks, else "mixed".

    A block that mixes in two ways counts half for each.
    """
    shares = dict.fromkeys(FAMILIES, 0.0)
    for name in names:
        found = families(name)
        for each in found:
            shares[each] = shares.get(each, 0.0) + 1 / len(found)
    return next((name for name, share in shares.items() if 2 * share > len(names)), MIXED)


def letters(names: Iterable[str]) -> Mapping[str, str]:
    """A letter for each operator: the first of its name that no other one has, else a number."""
    chosen: dict[str, str] = {}
    for number, name in enumerate(names, start=1):
        free = [c for c in name.upper() if c.isalpha() and c not in chosen.values()]
        chosen[name] = free[0] if free else str(number)
    return chosen


def colours(names: Iterable[str]) -> Mapping[str, str]:
    """A class of the style sheet for each operator."""
    return {name: f"op{number % NUM_COLOURS}" for number, name in enumerate(names)}
