"""Operators of a tournament: each is named with its options, and stands in the same trunk.

With an operator may be named what else the trunk is made of, as in
"basic:channel_attention=se:stem=t2t:head=grassmann".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from nas.system.text import setting
from search_spaces import (
    FULL_PRECISION,
    CandidateError,
    Cost,
    Option,
    Options,
    Resolution,
    SearchSpace,
    Shape,
    Signature,
    Slot,
    Stage,
    Staged,
    UserError,
    declaration,
    did_you_mean,
    pyramid,
    signature_cost,
)
from search_spaces.networks._filled import filled
from search_spaces.operators import OPERATORS

WIDTH, DEPTH, HEAD_DIM = 16, 1, 8
"""Of the trunk's first stage: channels, which double from stage to stage, and blocks of each stage;
channels of an attention head."""

PLACES = ("stem", "downsample", "head")
"""Of what else a trunk is made of, and what stands there if nothing is said."""

NO_OPTIONS = Options()

USUAL: Mapping[str, Option] = {
    "kernel_size": 7,
    "expand_ratio": 4,
    "num_heads": 2,
    "sr_ratio": 2,
    "order": 3,
    "num_elements": 16,
    "num_bands": 3,
    "num_modes": 16,
    "growth": 16,
    "group_size": 8,
}
"""Options that operators leave to the space, and what they are if nothing is said."""

SHIPPED = "int8"
PRECISIONS = (FULL_PRECISION, SHIPPED)


@dataclass(frozen=True, kw_only=True)
class Ends:
    """What goes into networks and comes out.

    Attributes:
        resolution: Sides in pixels.
        channels: Of an image.
        num_classes: Outputs.
    """

    resolution: Resolution
    channels: int
    num_classes: int


@dataclass(frozen=True)
class Entrant:
    """An operator with options.

    Attributes:
        name: As it was asked for, "convnext:kernel_size=7".
        operator: The operator.
        options: Of each number or word that it reads and has no default for, or that was given.
        trunk: Names of stem, downsampling and head, of those that were given.
    """

    name: str
    operator: str
    options: Options
    trunk: Options = NO_OPTIONS

    @property
    def folder(self) -> str:
        """Its name where no other character than letters, digits and signs may be."""
        return self.name.replace(":", "+")

    def slots(self, ends: Ends, precision: str = FULL_PRECISION) -> tuple[Slot, ...]:
        """Of its network: one block per stage."""
        space, encoding = self.network(ends)
        columns = space.columns("precision")
        index = PRECISIONS.index(precision)
        return space.slots([index if c in columns else i for c, i in enumerate(encoding)])

    def network(self, ends: Ends) -> tuple[SearchSpace, tuple[int, ...]]:
        """A space that has its network alone, in both formats, and the encoding of that in fp32."""
        space = space_of([self], ends, PRECISIONS)
        return space, space.canonical([0] * len(space.choices))


def space_of(
    entrants: Sequence[Entrant], ends: Ends, precisions: tuple[str, ...] = (FULL_PRECISION,)
) -> SearchSpace:
    """A trunk whose blocks may be any of them, with any of the options that they have."""
    options: dict[str, dict[Option, None]] = {}
    for entrant in entrants:
        for dim, option in entrant.options.items():
            options.setdefault(dim, {})[option] = None
    trunk: dict[str, Any] = {
        f"{place}s": tuple(dict.fromkeys(str(e.trunk.get(place, place)) for e in entrants))
        for place in PLACES
    }
    stages = tuple(
        Stage(
            widths=(WIDTH * 2**i,),
            depths=(DEPTH,),
            operators=tuple(dict.fromkeys(entrant.operator for entrant in entrants)),
            options=tuple((dim, tuple(found)) for dim, found in options.items()),
            head_dim=HEAD_DIM,
        )
        for i in range(len(pyramid(ends.resolution).sizes))
    )
    network = Staged(
        resolution=ends.resolution,
        channels=ends.channels,
        num_classes=ends.num_classes,
        stages=stages,
        **trunk,
    )
    return SearchSpace.of_network("tournament", network).with_policy(precisions, (0.0,))


def uniform(space: SearchSpace, entrant: Entrant) -> tuple[int, ...]:
    """The encoding of a shared space's network that has this operator in every block, in fp32."""
    operators = (entrant.operator, *(entrant.trunk.get(place, place) for place in PLACES))
    row = [0] * len(space.choices)
    for column, choice in enumerate(space.choices):
        dim = choice.name.rpartition(".")[2]
        wanted = operators if dim == "operator" else (entrant.options.get(dim),)
        row[column] = next((choice.options.index(o) for o in wanted if o in choice.options), 0)
    return space.canonical(row)


def entrants_of(names: Sequence[str], *everywhere: Ends) -> list[Entrant]:
    """Entrants by their names; all operators if there are none.

    Args:
        names: Operators with options.
        everywhere: Where each has to stand.

    Raises:
        UserError: If there is no such operator or option, two are the same network, or one
            cannot be made for these images.
    """
    for ends in everywhere:
        pyramid(ends.resolution)
    found = [_entrant(name) for name in names or OPERATORS.names()]
    _check_distinct(found)
    for entrant, ends in product(found, everywhere):
        try:
            entrant.slots(ends)
        except (CandidateError, UserError) as error:
            raise UserError(
                f"operator '{entrant.name}' cannot stand in the tournament's trunk for images of "
                f"{ends.resolution} px: {str(error).rstrip('.')}. Give other options, or leave it "
                "out of --operators."
            ) from error
    return found


def _check_distinct(entrants: Sequence[Entrant]) -> None:
    known: dict[tuple[object, ...], Entrant] = {}
    for entrant in entrants:
        rule = declaration(entrant.operator)
        options = {**rule.defaults, **entrant.options}
        trunk = {place: str(entrant.trunk.get(place, place)) for place in PLACES}
        what = (entrant.operator, *sorted(options.items()), *sorted(trunk.items()))
        other = known.setdefault(what, entrant)
        if other is not entrant:
            raise UserError(
                f"operators '{other.name}' and '{entrant.name}' are the same network. Name one."
            )


def block_of(operator: str, options: Mapping[str, Option], *, width: int, side: int) -> Signature:
    """One unpruned block, in fp32.

    Raises:
        CandidateError: If the operator cannot stand there.
    """
    return filled(operator, Shape.square(side, side, width, width), options)


def usual_options(operator: str) -> dict[str, Option]:
    """What an operator reads and has no default for, as far as there is something usual."""
    rule = declaration(operator)
    return {dim: USUAL[dim] for dim in rule.dims if dim in USUAL and dim not in rule.defaults}


def usual_cost(operator: str, *, width: int, side: int) -> Cost | None:
    """What a block with usual options costs.

    None if it cannot stand there, or reads what has no usual option.
    """
    try:
        return signature_cost(block_of(operator, usual_options(operator), width=width, side=side))
    except (CandidateError, LookupError):
        return None


def _entrant(name: str) -> Entrant:
    operator, *given = name.split(":")
    if operator not in OPERATORS:
        raise UserError(f"unknown operator '{operator}'. {did_you_mean(operator, OPERATORS)}")
    rule = declaration(operator)
    asked = _asked(name, given)
    trunk = {place: asked.pop(place) for place in PLACES if place in asked}
    for dim in asked:
        if dim not in rule.dims:
            raise UserError(
                f"operator '{operator}' has no option '{dim}'. {did_you_mean(dim, rule.dims)}"
            )
    options = {**usual_options(operator), **asked}
    if lacking := [dim for dim in rule.dims if dim not in {*options, *rule.defaults}]:
        example = ":".join((operator, *(f"{dim}=3" for dim in lacking)))
        raise UserError(
            f"operator '{operator}' has no usual {' and '.join(lacking)}. Say which, such as "
            f"'{example}'."
        )
    return Entrant(name, operator, Options(options), Options(trunk))


def _asked(name: str, given: Sequence[str]) -> dict[str, Option]:
    asked: dict[str, Option] = {}
    for text in given:
        dim, _, value = text.partition("=")
        if not dim or not value:
            raise UserError(
                f"operator '{name:.60}': option '{text:.40}' has no value. Write an option as "
                "name=value, such as 'window:num_heads=4'."
            )
        option = setting(text)[1]
        if dim in asked:
            raise UserError(
                f"operator '{name:.60}' has two values of '{dim}'. To compare them, name the "
                "operator twice, with one value each."
            )
        asked[dim] = option if type(option) in (int, float) else value
    return asked
