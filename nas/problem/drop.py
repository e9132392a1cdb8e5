"""How much worse than the network that was brought a member may be: `--max-drop`.

The drop of a network is what its shown metric is worse than that of the network as it was brought,
on the same images: 0.005 for half a percentage point of accuracy. A metric to be minimised, it is
limited like others (`nas/problem/problem.py`).
"""

import math
import re
from decimal import Decimal

from nas.problem.budget import rounded_up
from nas.problem.problem import Limit
from search_spaces import Metric, UserError

DROP = "drop"
"""Its name among metrics."""

NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)\s*(\D*)", re.ASCII)
DECIMALS = 9
"""Differences of shares are rounded, so that one of exactly the limit is within it."""


def parse_drop(text: str) -> tuple[float, str]:
    """The number and the unit of a `--max-drop`.

    Raises:
        UserError: If it is anything else than a number that is not negative, and a unit or none.
    """
    match = NUMBER.fullmatch(text.strip())
    if match is None or not math.isfinite(float(match[1])):
        raise UserError(
            f"max-drop {text!r} is not a number of points. Write what may be lost, such as "
            "--max-drop 0.5% for half a percentage point of accuracy."
        )
    return float(match[1]), match[2].strip()


def drop_limit(text: str, shown: Metric) -> Limit:
    """The limit that a `--max-drop` is.

    Args:
        text: As the user wrote it.
        shown: The task's metric, in whose unit it must be.

    Raises:
        UserError: If it is in another unit, or more than all.
    """
    number, unit = parse_drop(text)
    if unit != shown.unit:
        found = f"'{unit}' is not its unit" if unit else "it has no unit"
        raise UserError(
            f"max-drop {text!r}: {found}. Here it is of {shown.head}. "
            f"Write --max-drop {number:g}{shown.unit}"
        )
    if shown.is_share and number > 100:
        raise UserError(f"max-drop {text!r}: more than all cannot be lost. Allowed: 0% to 100%.")
    return Limit(DROP, number / shown.factor, text=f"max-drop {text.strip()}")


def drop_of(value: float, brought: float, shown: Metric) -> float:
    """What a network is worse than the one that was brought; negative if it is better."""
    return round(shown.signed(value) - shown.signed(brought), DECIMALS)


def drop_text(limit: Limit, value: float) -> str:
    """A drop in the unit that the limit was written in, in three digits that are never too few."""
    _, unit = parse_drop(limit.text.removeprefix("max-drop"))
    factor = 100 if unit == "%" else 1
    return f"{rounded_up(Decimal(repr(value)) * factor)}{unit}"
