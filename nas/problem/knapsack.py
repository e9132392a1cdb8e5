"""One option per choice, so that a sum of distortions is least and sums of costs are within limits.

The multiple-choice knapsack problem, solved by dynamic programming over states that nothing
dominates (Nemhauser and Ullmann, Discrete Dynamic Programming and Capital Allocation, 1969). States
keep their true sums, so what is returned is within the limits exactly. Where there are more states
than `STATES`, each of as many equal parts of the range of costs keeps its best: with few choices
the result is the optimum, with many it leaves at most a small part of a limit unused.

Several limits become one, a weighted sum of all, and weights of those that are exceeded rise
(surrogate constraints: Glover, Surrogate Constraints, 1968). A solution of such a sum that is
within all limits is the optimum; of others, single changes make one that is within.
"""

from collections.abc import Sequence

import numpy as np

STATES = 5000
"""Partial sums that are remembered after each choice."""

STATES_OF_A_ROUND, ROUNDS = 1000, 12
"""The same where there are several limits, and how often they are weighed."""

ROUNDING = 1e-9
"""By which share of it a sum of rounded costs may seem to exceed a limit."""


def knapsack(
    distortions: Sequence[np.ndarray], costs: Sequence[np.ndarray], limits_M: np.ndarray
) -> tuple[int, ...] | None:
    """The option of every choice.

    Args:
        distortions: Of the options of each choice, (K,).
        costs: Likewise, (K, M); may be negative.
        limits_M: What the sum of each cost may be at most.

    Returns:
        None if no options together are within all limits, or, with several limits, none were
        found.
    """
    lowest = [cost_KM.min(axis=0) for cost_KM in costs]
    room_M = np.asarray(limits_M, float) - np.sum(lowest, axis=0)
    tolerance_M = ROUNDING * (np.abs(limits_M) + np.sum(np.abs(lowest), axis=0))
    if (room_M < -tolerance_M).any():
        return None
    room_M = np.maximum(room_M, tolerance_M)
    room_M[room_M == 0.0] = 1.0
    shares = [(cost - low) / room_M for cost, low in zip(costs, lowest, strict=True)]
    if len(room_M) == 1:
        return _within_one(distortions, [share_KM[:, 0] for share_KM in shares], STATES)
    return _within_several(distortions, shares)


def _within_one(
    distortions: Sequence[np.ndarray], costs: Sequence[np.ndarray], num_states: int
) -> tuple[int, ...]:
    """The best options whose costs, the least of each choice being 0, are at most 1 together."""
    cost_S, distortion_S = np.zeros(1), np.zeros(1)
    stages = []
    for distortion_K, cost_K in zip(distortions, costs, strict=True):
        cost_N = np.add.outer(cost_S, cost_K).ravel()
        distortion_N = np.add.outer(distortion_S, distortion_K).ravel()
        places = np.flatnonzero(cost_N <= 1.0 + ROUNDING)
        places = places[np.lexsort((distortion_N[places], cost_N[places]))]
        least = np.minimum.accumulate(distortion_N[places])
        places = places[np.append(True, distortion_N[places[1:]] < least[:-1])]
        if len(places) > num_states:
            part = (cost_N[places] * num_states).astype(int)
            places = places[np.append(part[1:] != part[:-1], True)]
        stages.append(np.divmod(places, len(cost_K)))
        cost_S, distortion_S = cost_N[places], distortion_N[places]
    state, chosen = len(cost_S) - 1, []
    for before_S, option_S in reversed(stages):
        chosen.append(int(option_S[state]))
        state = before_S[state]
    return tuple(reversed(chosen))


def _within_several(
    distortions: Sequence[np.ndarray], costs: Sequence[np.ndarray]
) -> tuple[int, ...] | None:
    """The best options found whose costs, as shares of what is free, are at most 1 each."""
    weights_M = np.full(costs[0].shape[1], 1.0 / costs[0].shape[1])
    best, least = None, np.inf
    for turn in range(ROUNDS):
        one = [cost_KM @ weights_M for cost_KM in costs]
        chosen = _within_one(distortions, one, STATES_OF_A_ROUND)
        total_M = np.sum([c[k] for c, k in zip(costs, chosen, strict=True)], axis=0)
        is_optimal = bool((total_M <= 1.0 + ROUNDING).all())
        if not is_optimal:
            chosen = _moved_within(distortions, costs, chosen)
        if chosen:
            distortion = float(sum(d[k] for d, k in zip(distortions, chosen, strict=True)))
            if distortion < least:
                best, least = chosen, distortion
        if is_optimal:
            break
        weights_M = np.maximum(weights_M + (total_M - 1.0) / (turn + 1), 0.0)
        weights_M /= weights_M.sum()
    return best


def _moved_within(
    distortions: Sequence[np.ndarray], costs: Sequence[np.ndarray], chosen: tuple[int, ...]
) -> tuple[int, ...]:
    """Single changes until all costs are at most 1, then those that lessen the distortion.

    () if changes that lessen the excess run out before.
    """
    choice_N = np.repeat(np.arange(len(costs)), [len(cost) for cost in costs])
    option_N = np.concatenate([np.arange(len(cost)) for cost in costs])
    cost_NM, distortion_N = np.concatenate(costs), np.concatenate(distortions)
    first = np.searchsorted(choice_N, np.arange(len(costs)))
    now = np.array(chosen)
    for _ in range(2 * len(option_N)):
        at = first + now
        after_NM = cost_NM[at].sum(axis=0) - cost_NM[at][choice_N] + cost_NM
        more_N = distortion_N - distortion_N[at][choice_N]
        over_N = np.maximum(after_NM - 1.0 - ROUNDING, 0.0).sum(axis=1)
        change = best_change(over_N, float(over_N[at[0]]), more_N)
        if change is None:
            return tuple(now.tolist()) if over_N[at[0]] == 0.0 else ()
        now[choice_N[change]] = option_N[change]
    return ()


def best_change(over_N: np.ndarray, over: float, more_N: np.ndarray) -> int | None:
    """Which of many changes to make: towards the limits first, then towards less distortion.

    Args:
        over_N: By how much limits are exceeded after each.
        over: By how much they are now.
        more_N: Distortion that each adds.

    Returns:
        None if none helps.
    """
    helps_N = over_N < over if over > 0.0 else (over_N == 0.0) & (more_N < 0.0)
    places = np.flatnonzero(helps_N)
    if not len(places):
        return None
    if over > 0.0:
        price_P = more_N[places] / (over - over_N[places])
        return int(places[price_P.argmin()])
    return int(places[more_N[places].argmin()])
