"""`nas space operators`: what each operator is, what it reads, and what a block of it costs."""

from dataclasses import dataclass

from nas.bench.entrants import block_of, usual_options
from search_spaces import CandidateError, declaration, signature_cost
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
    macs: int | None = None
    params: int | None = None
    try:
        cost = signature_cost(block_of(name, usual_options(name), width=width, side=side))
        macs, params = cost.macs, cost.params
    except (CandidateError, LookupError):
        pass  # it cannot stand there, or has no usual options
    return Described(
        name=name,
        mixing=tuple(rule.mixing),
        reads=tuple(reads),
        meaning=doc.partition("\n")[0].rstrip("."),
        macs=macs,
        params=params,
    )
