"""What fills a slot: an operator at a place, with the options that it reads there."""

from collections.abc import Mapping

from search_spaces._choice import Option, Options
from search_spaces._declarations import declaration
from search_spaces._precision import FULL_PRECISION
from search_spaces._slot import Shape, Signature


def filled(
    operator: str,
    shape: Shape,
    options: Mapping[str, Option],
    *,
    sparsity: float = 0.0,
    precision: str = FULL_PRECISION,
) -> Signature:
    """The signature of an operator.

    Args:
        operator: Its name, or that of a stem, a downsampling or a head.
        shape: Where it stands.
        options: By dimension; further ones are not looked at, and defaults stand for missing ones.
        sparsity: Fraction of its prunable groups that is removed.
        precision: Name of its format.

    Raises:
        CandidateError: If it cannot stand there.
    """
    rule = declaration(operator)
    known = {**rule.defaults, **options}
    pick = rule.normalise(Options({dim: known[dim] for dim in rule.dims}), shape)
    groups = rule.groups(pick, shape)
    kept = Options({name: group.kept(sparsity) for name, group in groups.items()})
    return Signature(operator, shape, pick, kept, precision)
