"""Names of formats: those of whole networks, and what is known of one by its name alone."""

from collections.abc import Callable, Iterable, Mapping
from functools import cache

from search_spaces._slot import Cost
from search_spaces.formats._base import FORMATS, format_of

FULL_PRECISION = "fp32"
"""The format of trained weights, of networks before quantization and where a policy says none."""

MIXED = "mixed"

DEFAULT_CALIBRATION = "min-max"
"""What decides the ranges of integer grids unless a run says something else."""


def one_precision(names: Iterable[str]) -> str:
    """The one format of these, "mixed" if they are several, full precision if there are none."""
    distinct = set(names)
    return MIXED if len(distinct) > 1 else next(iter(distinct), FULL_PRECISION)


def precision_of(policy: Mapping[str, object]) -> str:
    """The one format of all stages of a policy, or "mixed"."""
    return one_precision(str(v) for name, v in policy.items() if name.endswith(".precision"))


def precision_here(name: str, cost: Callable[[], Cost]) -> str:
    """Name of the format that a slot has if a policy names this one.

    Formats that have another one for convolutions are that one where no layer is linear, and
    weights alone in fewer bits are full precision where there are none.

    Args:
        name: Of the format; one that this installation lacks stays as it is.
        cost: Of the slot; asked for if it matters.
    """
    if name not in FORMATS:
        return name
    found = format_of(name)
    if found.convolutions is None and (found.is_integer or not found.is_quantized):
        return name
    here = cost()
    if found.convolutions is not None and not here.matrices:
        name, found = found.convolutions, format_of(found.convolutions)
    return name if here.layers or found.is_integer else FULL_PRECISION


@cache
def is_quantized(name: str) -> bool:
    """Whether a format has fewer bits than trained weights.

    Records may name a format that this installation lacks: only quantized ones can be lacking.
    """
    return name not in FORMATS.names() or format_of(name).is_quantized


def has_grids(policy: Mapping[str, object]) -> bool:
    """Whether any stage of a policy has activations on grids, which calibration or training put."""
    formats = {str(v) for name, v in policy.items() if name.endswith(".precision")}
    return any(format_of(name).is_integer for name in formats)


def check_precisions(names: Iterable[str]) -> None:
    """Refuse names that are no format.

    Raises:
        UserError: Naming the first unknown one.
    """
    for name in names:
        FORMATS.get(name)
