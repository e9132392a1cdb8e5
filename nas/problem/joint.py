"""Pairs of limits each of which some network meets, and both of which none does.

Which values of two costs networks have together is not known without going through them. But the
least of any weighted sum of both is (`search_spaces/_tables.py`), and all networks lie above the
lines through such least ones: Lagrangian relaxation (Fisher, The Lagrangian Relaxation Method for
Solving Integer Programming Problems, 1981). So what is refused is impossible. A pair that is nearly
possible, between those lines and the networks, passes.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nas.problem.budget import nearest_budget
from nas.problem.problem import Limit
from search_spaces import Additive, UserError

ROUNDING = 1e-9
"""Sums that differ by less than this share are taken for equal."""


class Bounds(NamedTuple):
    """Of the smallest value: no network has less than `low`, and one has `high`."""

    low: float
    high: float


def refuse_jointly_impossible(limits: Sequence[Limit], costs: Additive) -> None:
    """Checks limits in pairs; those on costs that are not known exactly are passed over.

    Args:
        limits: Each of them is possible.
        costs: Of the space.

    Raises:
        UserError: If no network meets both of a pair; names for each what is possible with the
            other.
    """
    known = [limit for limit in limits if limit.metric in costs.metrics]
    for one, other in itertools.combinations(known, 2):
        found = smallest_within(costs, one.metric, other)
        if found.low <= one.max * (1 + ROUNDING):
            continue
        ways = ((other, one, found), (one, other, smallest_within(costs, other.metric, one)))
        advice = ", or ".join(
            f"'{_text(kept)}' with '{_nearest(raised, bounds.high, costs)}' or more"
            for kept, raised, bounds in ways
        )
        raise UserError(
            f"budgets '{_text(one)}' and '{_text(other)}': networks of this space meet each, but "
            f"none meets both. Use {advice}."
        )


def smallest_within(costs: Additive, metric: str, limit: Limit) -> Bounds:
    """The smallest value of a metric among networks within a limit on another one.

    Args:
        costs: Knows both metrics.
        metric: Whose value.
        limit: Some network is within it.
    """
    other, most = limit.metric, limit.max

    def costs_of(encoding: tuple[int, ...]) -> tuple[float, float]:
        row = np.array([encoding])
        return float(costs.of(metric, row)[0]), float(costs.of(other, row)[0])

    beyond, within = (costs_of(costs.minimum(name)[1]) for name in (metric, other))
    if beyond[1] <= most:
        return Bounds(beyond[0], beyond[0])
    while within[0] > beyond[0]:
        weights = (beyond[1] - within[1], within[0] - beyond[0])  # alike on the line through both
        found = costs_of(costs.minimum_of({metric: weights[0], other: weights[1]})[1])
        least = float(np.dot(weights, found))
        if least >= np.dot(weights, within) * (1 - ROUNDING):
            return Bounds((least - weights[1] * most) / weights[0], within[0])
        if found[1] <= most:
            within = found
        else:
            beyond = found
    return Bounds(within[0], within[0])


def _text(limit: Limit) -> str:
    return limit.text.strip() or f"{limit.max:g} {limit.metric}"


def _nearest(limit: Limit, value: float, costs: Additive) -> str:
    return nearest_budget(limit, minimum=value, maximum=costs.maximum(limit.metric)[0])
