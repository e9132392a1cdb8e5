"""Ranges of axes and shapes of markers, which all plots share."""

from collections.abc import Sequence
from typing import Any

from search_spaces import Metric

Json = dict[str, Any]
LOG_FROM_RATIO = 5.0  # below it a linear axis is easier to read
# Unit shapes around the origin; plots.js scales them.
SHAPES = {
    "circle": "M-1,0a1,1 0 1,0 2,0a1,1 0 1,0 -2,0Z",
    "diamond": "M0,-1.25L1.25,0L0,1.25L-1.25,0Z",
    "square": "M-.9,-.9H.9V.9H-.9Z",
    "triangle": "M0,-1.15L1.1,.85H-1.1Z",
    "pentagon": "M0,-1.1L1.05,-.34L.65,.89H-.65L-1.05,-.34Z",
    "cross": "M-1,-.45H-.45V-1H.45V-.45H1V.45H.45V1H-.45V.45H-1Z",
}


def axis(
    label: str,
    values: Sequence[float],
    *,
    may_be_log: bool = False,
    low: float | None = None,
    high: float | None = None,
) -> Json:
    """An axis with room around its values.

    Args:
        label: With the unit.
        values: What must be seen; at least one.
        may_be_log: Whether values that differ a lot may be drawn on a logarithmic axis.
        low: Where the axis ends at the latest; None for no such end.
        high: The same at the other side.
    """
    is_log = may_be_log and min(values) > 0 and max(values) / min(values) > LOG_FROM_RATIO
    domain = padded(values, is_log=is_log, low=low, high=high)
    return {"domain": domain, "log": is_log, "label": label}


def score_axis(metric: Metric, values: Sequence[float], where: str = "") -> Json:
    """An axis of a task's metric, whose values are as people read them."""
    label = f"{metric.axis}{where}, {metric.unit}".rstrip(", ")
    return axis(label, values, low=0.0, high=100.0 if metric.is_share else None)


def padded(
    values: Sequence[float],
    *,
    is_log: bool = False,
    low: float | None = None,
    high: float | None = None,
) -> tuple[float, float]:
    """A range with room around the values, never empty, kept within [low, high]."""
    first, last = min(values), max(values)
    if is_log:
        room = max((last / first) ** 0.06, 1.02)
        return first / room, last * room
    room = 0.06 * (last - first) or 0.1 * abs(last) or 1.0
    start = 0.0 if 0 <= first < room else first - room
    end = last + room
    return (start if low is None else max(low, start)), (end if high is None else min(high, end))
