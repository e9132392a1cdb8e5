"""What may be decided about a slot's weights beside their format: a sparsity pattern and a rank.

Both are decided where the format is, so every kind of network has them: beside each choice
"NAME.precision" stand "NAME.pattern" and "NAME.rank", if a run offers any.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from search_spaces._choice import Choice, Option, Options
from search_spaces._declarations import signature_cost
from search_spaces._errors import UserError
from search_spaces._slot import DENSE, FULL_RANK, Signature
from search_spaces.patterns._base import PATTERNS, pattern_of

PRECISION, PATTERN, RANK = "precision", "pattern", "rank"
UNTREATED: Mapping[str, str] = {RANK: FULL_RANK, PATTERN: DENSE}
"""By dimension the option that leaves weights as they are."""


def with_treatments(
    policy: Sequence[Choice], offered: Mapping[str, Sequence[str]]
) -> tuple[Choice, ...]:
    """A network's choices about compression, and those beside each of a format.

    Args:
        policy: The network's own.
        offered: Options by dimension; what leaves weights as they are is alone no choice.
    """
    found: list[Choice] = []
    for choice in policy:
        found.append(choice)
        for dimension, name in _beside(choice.name).items():
            options = tuple(offered[dimension])
            if options != (UNTREATED[dimension],):
                found.append(Choice(name, options, choice.active_if))
    return tuple(found)


def treatments_beside(names: Sequence[str]) -> tuple[str, ...]:
    """Names of choices, each of a format followed by those that stand beside it."""
    return tuple(x for name in names for x in (name, *_beside(name).values()))


def treated(signature: Signature, options: Mapping[str, Option]) -> Signature:
    """The signature with what its weights get besides a format; what would change nothing is left.

    Args:
        signature: As a network gives it.
        options: Of the slot's choices.
    """
    chosen = dict(UNTREATED)
    for name, option in options.items():
        dimension = name.rpartition(".")[2]
        if dimension in chosen:
            chosen[dimension] = str(option)
    if chosen[RANK] != FULL_RANK:
        factored = replace(signature, rank=chosen[RANK])
        if signature_cost(factored).macs < signature_cost(signature).macs:
            signature = factored
    pattern = chosen[PATTERN]
    if pattern != DENSE and pattern_of(pattern).taken(signature_cost(signature)).weights:
        signature = replace(signature, pattern=pattern)
    return signature


def treatments_in(policy: Options) -> Options:
    """The policy without choices beside formats that leave weights as they are."""
    without = {n for n, o in policy.items() if UNTREATED.get(n.rpartition(".")[2]) == o}
    return Options({n: o for n, o in policy.items() if n not in without}) if without else policy


def treatments_said(policy: Mapping[str, Option]) -> tuple[str, ...]:
    """What a network's weights get besides a format, for its name: "two-of-four", "rank 1/2".

    "several patterns", or ranks, where slots differ; nothing where weights are as they are.
    """
    said = []
    for dimension in (PATTERN, RANK):
        own = (str(o) for name, o in policy.items() if name.rpartition(".")[2] == dimension)
        options = tuple(dict.fromkeys(o for o in own if o != UNTREATED[dimension]))
        if len(options) > 1:
            said.append(f"several {dimension}s")
        elif options:
            said.append(options[0] if dimension == PATTERN else f"{dimension} {options[0]}")
    return tuple(said)


def check_patterns(names: Sequence[str]) -> None:
    """Refuse names that are no pattern, and lists without a dense network, which is what learns.

    Raises:
        UserError: Naming the first unknown one, or saying what to add.
    """
    for name in names:
        PATTERNS.get(name)
    if not names or names[0] != DENSE:
        raise UserError(
            f"pattern {list(names)} does not begin with '{DENSE}', which is what is trained and "
            f"compared with. Give --pattern {','.join(dict.fromkeys((DENSE, *names)))}."
        )


def _beside(name: str) -> dict[str, str]:
    """By dimension the names of what stands beside a choice."""
    stem, _, dimension = name.rpartition(".")
    return {other: f"{stem}.{other}" for other in UNTREATED} if dimension == PRECISION else {}
