"""Named formats and what they weigh in a file.

`fp32` keeps every value in four bytes. `int8` keeps kernels and matrices in one byte with one scale
per output channel, and biases in four bytes with a scale of their own.
"""

from collections.abc import Iterable, Mapping

from search_spaces._errors import UserError, did_you_mean
from search_spaces._slot import Cost

PRECISIONS = ("fp32", "int8")
MIXED = "mixed"

CALL_BYTES = {"fp32": 150, "int8": 420}
"""Graph bytes per kernel launched: its node, names, and for int8 its (de)quantizers. Measured."""

INT8_CHANNEL_BYTES = 9
"""Scale and zero point of the weight, scale of the bias: 4 + 1 + 4 bytes per output channel."""


def size_bytes(cost: Cost, precision: str) -> float:
    """Predicted bytes of one slot in an exported file."""
    graph = cost.calls * CALL_BYTES[precision]
    if precision == "fp32":
        return 4 * (cost.weights + cost.vectors) + graph
    return cost.weights + 4 * cost.vectors + INT8_CHANNEL_BYTES * cost.channels + graph


def one_precision(names: Iterable[str]) -> str:
    """The one format of these, "mixed" if they are several, "fp32" if there are none."""
    distinct = set(names)
    return MIXED if len(distinct) > 1 else next(iter(distinct), "fp32")


def precision_of(policy: Mapping[str, object]) -> str:
    """The one format of all stages of a policy, or "mixed"."""
    return one_precision(str(v) for name, v in policy.items() if name.endswith(".precision"))


def check_precisions(names: tuple[str, ...]) -> None:
    """Refuse names that are no format.

    Raises:
        UserError: Naming the first unknown one.
    """
    for name in names:
        if name not in PRECISIONS:
            raise UserError(f"unknown precision '{name}'. {did_you_mean(name, PRECISIONS)}")
