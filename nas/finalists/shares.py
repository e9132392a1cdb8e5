"""How long each of several trainings beside each other may take, of the time for all of them."""

import heapq
import itertools
import time
from collections.abc import Mapping, Sequence

from nas.standalone.beside import Job

MIN_STEPS = 10
FAIR_STEPS = 300
"""Up to here a finalist's steps are limited by time alone."""

MOST_PACE, MOST_SLOWNESS = 2.0, 4.0
"""By these factors at most, the time of a training differs from the plan's, and its speed from what
a short test said."""

MOST_ORDERED = 7
"""Of so many jobs all orders are tried: 5,040."""

HALVINGS = 40
"""Of the paces between which the one is that is looked for."""


def divided(seconds: float, step_s: Mapping[str, float]) -> dict[str, int]:
    """Steps of each network in this time altogether.

    Each gets the same time, but none more than `FAIR_STEPS` before all have so many; beyond, all
    get equally many. While steps are few, a large network would otherwise take the time of all
    others and be poor all the same.

    Args:
        seconds: For all of them.
        step_s: Seconds per step, by name.
    """
    total_s = sum(step_s.values())
    most = max(float(FAIR_STEPS), seconds / total_s)
    steps, left_s = {}, seconds
    for number, name in enumerate(sorted(step_s, key=lambda name: step_s[name])):
        fair_s = left_s / (len(step_s) - number)
        found = min(most, fair_s / step_s[name])
        steps[name] = max(MIN_STEPS, int(found))
        left_s -= found * step_s[name]
    return steps


class Begun:
    """Trainings that have begun, and what their speed says of the others'.

    On a machine that others use, too, a short test may be wrong by a factor of two.
    """

    def __init__(self) -> None:
        self._running: list[tuple[Job, float, float]] = []
        self._resumed: set[str] = set()
        self._expected_s = self._taken_s = 0.0

    def add(self, job: Job, expected_s: float) -> None:
        """One begins now, or goes on, and was expected to take so long from its beginning."""
        self._running.append((job, time.monotonic(), expected_s))
        if job.is_begun:
            self._resumed.add(job.name)

    def slowness(self) -> float:
        """Seconds of the finished ones, in those expected; 1 while none is finished."""
        now = time.monotonic()
        for entry in [x for x in self._running if x[0].is_finished]:
            if entry[0].name in self._resumed:
                continue  # what it did before took time, too
            self._running.remove(entry)
            _, began, expected_s = entry
            self._expected_s += expected_s
            self._taken_s += now - began
        if not self._taken_s:
            return 1.0
        return min(MOST_SLOWNESS, max(1 / MOST_SLOWNESS, self._taken_s / self._expected_s))

    def left_s(self) -> list[float]:
        """Seconds that each of the running ones still needs."""
        now, slowness = time.monotonic(), self.slowness()
        return [max(0.0, slowness * s - (now - began)) for _, began, s in self._running]


def pace_within(
    seconds: float, free_s: Sequence[float], jobs_s: Sequence[float], *, most: float
) -> float:
    """The longest that jobs may take, in their own seconds, for the last one to end in time.

    Args:
        seconds: Until they should have ended.
        free_s: Seconds until each process is free; every job begins on the first that is.
        jobs_s: What the jobs need, in the order in which they begin.
        most: The longest.

    Returns:
        A factor from 1 / `MOST_PACE`, or `most` if that is less, to `most`.
    """
    low, high = min(most, 1 / MOST_PACE), most
    if _ended_s(free_s, jobs_s, high) <= seconds:
        return high
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if _ended_s(free_s, jobs_s, middle) <= seconds:
            low = middle
        else:
            high = middle
    return low


def soonest_order(
    begin_s: Sequence[float], rest_s: Sequence[float], *, at_once: int
) -> tuple[int, ...]:
    """Places of jobs in the order in which the last one ends soonest; their own if jobs are many.

    Args:
        begin_s: Seconds of jobs that begin before them, in this order.
        rest_s: Their seconds, the longest first: of orders that are as good it is the best one
            where seconds are not exact.
        at_once: How many jobs run at a time; each begins on the first process that is free.
    """
    places = tuple(range(len(rest_s)))
    if len(places) > MOST_ORDERED:
        return places

    def ended_s(order: Sequence[int]) -> float:
        return _ended_s([0.0] * at_once, [*begin_s, *(rest_s[place] for place in order)], 1.0)

    return min(itertools.permutations(places), key=ended_s)


def _ended_s(free_s: Sequence[float], jobs_s: Sequence[float], pace: float) -> float:
    """Seconds until the last job has ended, at this pace."""
    ends_s = list(free_s)
    heapq.heapify(ends_s)
    for job_s in jobs_s:
        heapq.heapreplace(ends_s, ends_s[0] + pace * job_s)
    return max(ends_s)
