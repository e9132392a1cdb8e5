"""All there is to say about an operator, read from its declaration and its docstrings."""

import inspect
import sys
from dataclasses import dataclass

from nas.bench.entrants import USUAL, usual_cost
from search_spaces import Registry, declaration, is_mixer
from search_spaces._dimensions import allowed
from search_spaces.operators import OPERATORS

SOURCES = ("Source:", "Sources:", "Departure:", "Departures:")


@dataclass(frozen=True, kw_only=True)
class OptionOf:
    """An option that an operator reads.

    Attributes:
        name: Of the dimension.
        allowed: What it may be, in words.
        usual: What it is where costs are stated, and what it is where a stage does not offer it.
    """

    name: str
    allowed: str
    usual: str


@dataclass(frozen=True, kw_only=True)
class Documented:
    """An operator.

    Attributes:
        name: In space files.
        mixing: How it mixes positions.
        is_mixer: Whether the slot's channel part follows it.
        definition: A sentence.
        more: Further sentences about it.
        formula: What its multiply-adds are.
        options: That it reads.
        source: Papers, and where it departs from them.
        macs: Multiply-adds of a block with usual options; None if it cannot stand there.
        params: Its parameters.
    """

    name: str
    mixing: tuple[str, ...]
    is_mixer: bool
    definition: str
    more: str
    formula: str
    options: tuple[OptionOf, ...]
    source: str
    macs: int | None
    params: int | None


def documented(name: str, *, width: int, side: int) -> Documented:
    """An operator, with costs at this width and side of the map.

    Raises:
        UserError: If there is none of that name.
    """
    OPERATORS.get(name)
    rule = declaration(name)
    more = paragraphs_of(type(rule))[0]
    paragraphs = paragraphs_of(sys.modules.get(type(rule).__module__))
    cost = usual_cost(name, width=width, side=side)
    source = [text for text in paragraphs if text.startswith(SOURCES)]
    return Documented(
        name=name,
        mixing=tuple(rule.mixing),
        is_mixer=is_mixer(name),
        definition=(paragraphs[0] or more).rstrip("."),
        more=more,
        formula=paragraphs_of(getattr(rule, "mixer_cost", rule.cost))[0],
        options=tuple(_option(rule, dim) for dim in rule.dims),
        source="\n\n".join(source),
        macs=None if cost is None else cost.macs,
        params=None if cost is None else cost.params,
    )


def paragraphs_of(thing: object) -> list[str]:
    """Of a docstring, each in one line; one that is empty if there is none."""
    text = inspect.cleandoc(getattr(thing, "__doc__", None) or "")
    return [" ".join(part.split()) for part in text.split("\n\n")]


def _option(rule: object, dim: str) -> OptionOf:
    words, defaults = getattr(rule, "words", {}), getattr(rule, "defaults", {})
    said = words.get(dim)
    names = said.names() if isinstance(said, Registry) else said
    usual = defaults.get(dim, USUAL.get(dim, ""))
    return OptionOf(
        name=dim,
        allowed=allowed(dim) if names is None else ", ".join(names),
        usual=str(usual),
    )
