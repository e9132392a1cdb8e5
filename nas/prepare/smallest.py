"""Whether the smallest networks are fast enough: what no search needs to begin without."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from nas.latency.measure import time_networks
from nas.problem.budget import LATENCY, metric_on, nearest_budget
from nas.problem.problem import Limit
from nas.run.config import Config
from nas.targets import Timer
from search_spaces import SearchSpace, UserError

AMPLE = 2.0
"""Times what the smallest networks take: files are measured again, and not each time as fast."""


def check_smallest_latency(
    config: Config, space: SearchSpace, limits: list[Limit], timers: Mapping[str, Timer]
) -> None:
    """Refuse latency limits that the smallest networks miss, by timing them now.

    First the smallest of all; if that is too slow, those of every operator: the one of the fewest
    multiply-adds need not be the fastest.

    Args:
        config: Names the target.
        space: Its smallest networks are timed.
        limits: Those on latency count.
        timers: Of all targets, by name; that of the configuration comes first.

    Raises:
        UserError: Naming the latency that was measured.
    """
    for target, timer in timers.items():
        metric = metric_on(LATENCY, "" if target == config.target else target)
        limit = next((limit for limit in limits if limit.metric == metric), None)
        if limit is not None:
            _check_smallest(target, space, limit, timer)


def _check_smallest(target: str, space: SearchSpace, limit: Limit, timer: Timer) -> None:
    fastest = surely = math.inf
    of_all: list[dict[int, int]] = [{}]
    for given in (of_all, [space.with_operator(name) for name in space.operators]):
        networks = [space.slots(encoding) for encoding in smallest_networks(space, given)]
        timings = [timing for timing in time_networks(networks, timer) if timing]
        fastest = min([fastest, *(timing.interval_ms[0] for timing in timings)])
        surely = min([surely, *(timing.interval_ms[1] for timing in timings)])
        if fastest <= limit.max:
            return
    ample = AMPLE * surely
    raise UserError(
        f"budget '{limit.text}': the smallest networks of space '{space.name}' take at least "
        f"{fastest:.3g} ms on '{target}' here, measured just now. Ask for more, such as "
        f"{nearest_budget(limit, minimum=ample, maximum=ample)}, or for a lower --resolution."
    )


def smallest_networks(
    space: SearchSpace, given: Sequence[Mapping[int, int]]
) -> list[tuple[int, ...]]:
    """The networks of the fewest multiply-adds, uniformly in every offered precision.

    Args:
        space: Its costs are known exactly.
        given: Option indices that a network has, by index of the choice; one network each.
    """
    assert space.costs is not None
    smallest = np.array([space.costs.minimum("macs", fixed)[1] for fixed in given])
    rows = np.concatenate([space.in_precision(smallest, name) for name in space.precisions])
    return list(dict.fromkeys(space.canonical(encoding) for encoding in rows.tolist()))
