"""The budgets of a run: what they came to, and whether they took anything away.

For runs whose plan does not record it: budgets are read again and compared with the stored space; a
latency budget, which no space knows, is compared with everything this run measured or predicted.
"""

from collections.abc import Sequence

from nas.problem.budget import LATENCY, binding, metric_on, parse_budget, resolve
from nas.problem.drop import DROP, drop_of
from nas.problem.problem import Limit
from reports.records import LimitRow, Member, TrialRow
from search_spaces import MODELLED_MACS, SearchSpace


def computed_limits(
    budgets: Sequence[str],
    space: SearchSpace | None,
    members: Sequence[Member],
    trials: Sequence[TrialRow],
) -> tuple[LimitRow, ...]:
    """The limits that the budgets come to in this space.

    Raises:
        UserError: If a budget cannot be read, or is a percentage of something unknown.
    """
    costs = space.costs if space is not None else None
    if costs is None:
        return tuple(LimitRow(text=text, metric=parse_budget(text).metric) for text in budgets)
    rows = []
    for limit in resolve([parse_budget(text) for text in budgets], costs):
        if limit.metric in costs.metrics:
            _, largest, binds = binding(limit, costs)
            rows.append(_row(limit, largest, binds))
        else:
            seen = _latencies(members, trials) if limit.metric == "latency_ms" else []
            rows.append(_row(limit, max(seen, default=None), _binds(limit, seen)))
    return tuple(rows)


def over_limits(member: Member, limits: Sequence[LimitRow]) -> tuple[str, ...]:
    """The budgets that a network's measured numbers exceed, as they were written."""
    measured: dict[str, float | None] = {
        "latency_ms": member.deployed.latency.median_ms,
        "size_bytes": member.deployed.bytes,
        "macs": member.macs,
        MODELLED_MACS: member.modelled.macs if member.modelled else member.macs,
        "params": member.params,
        "bit_ops": member.bit_ops,
        **{
            metric_on(LATENCY, target): latency.median_ms
            for target, latency in member.deployed.elsewhere.items()
        },
    }
    if member.gain is not None and member.gain.change is not None:
        measured[DROP] = drop_of(member.gain.change, 0.0, member.task.shown)
    known = [(limit, measured.get(limit.metric)) for limit in limits]
    return tuple(
        limit.text
        for limit, value in known
        if limit.max is not None and value is not None and value > limit.max
    )


def _row(limit: Limit, largest: float | None, binds: bool | None) -> LimitRow:
    return LimitRow(
        text=limit.text, metric=limit.metric, max=limit.max, binds=binds, largest=largest
    )


def _binds(limit: Limit, seen: Sequence[float]) -> bool | None:
    """True once a network was over the limit; having seen none proves nothing."""
    return True if any(value > limit.max for value in seen) else None


def _latencies(members: Sequence[Member], trials: Sequence[TrialRow]) -> list[float]:
    measured = [member.deployed.latency.median_ms for member in members]
    predicted = [trial.latency_predicted_ms for trial in trials]
    return [value for value in (*measured, *predicted) if value is not None]
