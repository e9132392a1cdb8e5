"""`nas space operators`: what each operator is, what it reads, and what a block of it costs."""

from dataclasses import dataclass

from nas.bench.entrants import usual_cost
from search_spaces import declaration
from search_spaces.operators import OPERATORS


@dataclass(frozen=True, kw_only=True)
class Described:
    """An operator.

    Attributes:
        name: In space files.
        mixing: How it mixes positions: "convolution", "attention", "mixer".
        reads: Options that a space offers for it; those in brackets have a default.
        meaning: A sentence.
        macs: Multiply-adds of a block with usual options; None if it cannot stand there.
        params: Its parameters.
    """

    name: str
    mixing: tuple[str, ...]
    reads: tuple[str, ...]
    meaning: str
    macs: int | None
    params: int | None


def described(*, width: int, side: int) -> list[Described]:
    """All operators, with costs at this width and side of the map."""
    return [_described(name, width, side) for name in OPERATORS.names()]


def _described(name: str, width: int, side: int) -> Described:
    rule = declaration(name)
    doc = (type(rule).__doc__ or "").strip()
    reads = [f"[{dim}]" if dim in rule.defaults else dim for dim in rule.dims]
    cost = usual_cost(name, width=width, side=side)
    return Described(
        name=name,
        mixing=tuple(rule.mixing),
        reads=tuple(reads),
        meaning=doc.partition("\n")[0].rstrip("."),
        macs=None if cost is None else cost.macs,
        params=None if cost is None else cost.params,
    )
