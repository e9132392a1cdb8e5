"""How much worse than the network that was brought a member may be: `--max-drop`.

The drop of a network is what its shown metric is worse than that of the network as it was brought,
on the same images: 0.005 for half a percentage point of accuracy. A metric to be minimised, it is
limited like others (`nas/problem/problem.py`).
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from nas.problem.budget import rounded_up
from nas.problem.problem import Limit
from search_spaces import Metric, UserError

DROP = "drop"
"""Its name among metrics."""

NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)\s*(\D*)", re.ASCII)
DECIMALS = 9
"""Differences of shares are rounded, so that one of exactly the limit is within it."""

NORMAL_95 = 1.96
"""Half width, in standard errors, of an interval that holds in 95 % of the cases."""


@dataclass(frozen=True)
class Drop:
    """What a network is worse than another one on the same images.

    Attributes:
        value: The mean over images; negative if it is better.
        interval: Of 95 %.
    """

    value: float
    interval: tuple[float, float]

    @property
    def deviation(self) -> float:
        """The standard error."""
        return (self.interval[1] - self.interval[0]) / (2 * NORMAL_95)

    def chance_within(self, limit: float) -> float:
        """Probability that it is at most the limit on all images that there might be."""
        return 0.5 * math.erfc((self.value - limit) / max(self.deviation, 1e-12) / math.sqrt(2))


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


def paired_drop(own_N: np.ndarray, brought_N: np.ndarray, shown: Metric) -> Drop:
    """What a network is worse, from both networks' metrics of every image.

    Most images are answered alike, so that differences of images vary much less than answers do,
    and the interval is narrower than one of two independent means.

    Args:
        own_N: The shown metric of every image.
        brought_N: That of the network that was brought, of the same images.
        shown: The metric.

    Source: of shares, "Wald + 2" of Agresti and Min, Simple Improved Confidence Intervals for
    Comparing Matched Proportions, Statistics in Medicine 24 (2005): half an image is added to each
    cell of the table of both answers. Of other metrics the standard error of the mean difference.
    """
    sign = -1.0 if shown.goal == "maximize" else 1.0
    worse_N = sign * (np.asarray(own_N, float) - np.asarray(brought_N, float))
    total, mean = len(worse_N), float(worse_N.mean())
    centre, spread = mean, float(worse_N.std(ddof=1)) / math.sqrt(total) if total > 1 else math.inf
    if shown.is_share:
        lost, gained = float((worse_N > 0).sum()) + 0.5, float((worse_N < 0).sum()) + 0.5
        centre = (lost - gained) / (total + 2)
        variance = lost + gained - (lost - gained) ** 2 / (total + 2)
        spread = math.sqrt(variance) / (total + 2)
    half = NORMAL_95 * spread
    return Drop(round(mean, DECIMALS), (centre - half, centre + half))


def limit_on_drop(limits: Iterable[Limit]) -> Limit | None:
    """The one that a `--max-drop` is, if there is one."""
    return next((limit for limit in limits if limit.metric == DROP), None)


def drop_text(limit: Limit, value: float) -> str:
    """A drop in the unit that the limit was written in, in three digits that are never too few."""
    _, unit = parse_drop(limit.text.removeprefix("max-drop"))
    factor = 100 if unit == "%" else 1
    return f"{rounded_up(Decimal(repr(value)) * factor)}{unit}"
