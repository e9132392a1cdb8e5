"""What networks gain and lose against the one that was brought, in fp32."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from reports import text
from reports.documents import as_number, table_at
from reports.intervals import difference
from reports.records import Gain, Member, RunTables
from search_spaces import Metric

MINUS = "−"


def brought(members: Iterable[Member]) -> Member | None:
    """The network as it was brought, in the first format that it was measured in."""
    return next((member for member in members if member.is_brought), None)


def with_gains(
    members: Sequence[Member], base: Member | None, drops: Mapping[str, Any]
) -> list[Member]:
    """The networks, with what they gain against the one that was brought; as they are without it.

    That network is taken before quantization.

    Args:
        members: Networks with files.
        base: The one that was brought.
        drops: By key, what `front.json` says of paired differences.
    """
    if base is None:
        return list(members)
    return [
        replace(member, gain=_gain(member, base, table_at(drops, member.key))) for member in members
    ]


def _gain(member: Member, base: Member, drop: Mapping[str, Any]) -> Gain:
    own, other = member.deployed, base.unquantized
    now, before = own.search, other.search
    change, interval = None, None
    if now.shown is not None and before.shown is not None:
        change = now.shown - before.shown
        if now.interval and before.interval and (own, member.key) != (other, base.key):
            interval = difference(now.shown, now.interval, before.shown, before.interval)
    shown, expected = member.task.shown, table_at(drop, "expected")
    return Gain(
        times_faster=_ratio(other.latency.median_ms, own.latency.median_ms),
        times_smaller=_ratio(other.bytes, own.bytes),
        change=change,
        interval=_changed(drop, shown) or interval,
        expected=_change_of(as_number(expected.get("drop")), shown),
        expected_interval=_changed(expected, shown),
    )


def _change_of(drop: float | None, shown: Metric) -> float | None:
    """A drop is of a loss."""
    return None if drop is None else shown.signed(drop)


def _changed(drop: Mapping[str, Any], shown: Metric) -> tuple[float, float] | None:
    """The interval of a change; None if there is none."""
    ends = drop.get("interval")
    if not isinstance(ends, list) or len(ends) != 2:
        return None
    changes = [_change_of(as_number(end), shown) for end in ends]
    known = sorted(change for change in changes if change is not None)
    return (known[0], known[1]) if len(known) == 2 else None


def _ratio(before: float | None, now: float | None) -> float | None:
    return before / now if before and now else None


def lines(run: RunTables) -> list[str]:
    """The members that people ask for first, each with what it gains; none where none was brought.

    "3f2a9c01d4ab (fastest): 2.1x faster, 3.6x smaller, -0.2 points (-1.1 to +0.7)".
    """
    base, shown = brought(run.members), run.task.shown
    if base is None:
        return []
    own = base.unquantized
    numbers = [
        text.with_unit(text.score(own.search.shown, shown), shown.unit),
        text.with_unit(text.significant(own.latency.median_ms), "ms"),
        text.size(own.bytes),
    ]
    found = [f"as it was brought: {', '.join(numbers)}"]
    for member, merits in _picked(run):
        found.append(f"{member.key} ({', '.join(merits)}): {words(member.gain, shown)}")
    return found


def _picked(run: RunTables) -> list[tuple[Member, list[str]]]:
    """Members of the front that are the best in something, and in what."""
    known = [(m, m.gain) for m in run.front if m.gain is not None and not m.is_brought]
    scores = {m.key: run.task.shown.signed(g.change) for m, g in known if g.change is not None}
    times_ms = {m.key: -g.times_faster for m, g in known if g.times_faster is not None}
    sizes = {m.key: -g.times_smaller for m, g in known if g.times_smaller is not None}
    best = {
        f"best {run.task.shown.title}": scores,
        "knee": {m.key: 0.0 for m, _ in known if m.is_knee},
        "fastest": times_ms,
        "smallest": sizes,
    }
    merits: dict[str, list[str]] = {}
    for merit, values in best.items():
        if values:
            merits.setdefault(min(values, key=lambda key: values[key]), []).append(merit)
    by_key = {member.key: member for member, _ in known}
    return [(by_key[key], names) for key, names in merits.items()]


def words(gain: Gain | None, shown: Metric) -> str:
    """ "2.1x faster, 3.6x smaller, -0.2 points (-1.1 to +0.7)"."""
    if gain is None:
        return text.MISSING
    parts = [
        *_compared(gain.times_faster, "faster", "slower"),
        *_compared(gain.times_smaller, "smaller", "larger"),
    ]
    if gain.change is not None:
        unit = "points" if shown.is_share else shown.unit
        said = f"{change(gain, shown)} {unit}".rstrip()
        bounds = [change_range(gain, shown), expectation(gain, shown)]
        inside = ", ".join(filter(None, bounds))
        parts.append(said + (f" ({inside})" if inside else ""))
    return ", ".join(parts)


def _compared(ratio: float | None, better: str, worse: str) -> list[str]:
    if ratio is None:
        return []
    return [f"{times(ratio)} {better}" if ratio >= 1 else f"{times(1 / ratio)} {worse}"]


def times(value: float | None) -> str:
    """2.13 -> "2.1x"."""
    if value is None:
        return text.MISSING
    return f"{value:.2f}x" if value < 1.95 else f"{value:.1f}x"


def change(gain: Gain | None, shown: Metric) -> str:
    """-0.002 -> "-0.2" with a minus sign, for a metric in percent."""
    return text.MISSING if gain is None or gain.change is None else _signed(gain.change, shown)


def change_range(gain: Gain | None, shown: Metric) -> str:
    """ "-1.1 to +0.7"."""
    if gain is None or gain.interval is None:
        return ""
    low, high = gain.interval
    return f"{_signed(low, shown)} to {_signed(high, shown)}"


def expectation(gain: Gain | None, shown: Metric) -> str:
    """ "expected -0.3, -1.0 to +0.4"; "" where finalists were not chosen by that."""
    if gain is None or gain.expected is None:
        return ""
    said = f"expected {_signed(gain.expected, shown)}"
    if gain.expected_interval is None:
        return said
    low, high = gain.expected_interval
    return f"{said}, {_signed(low, shown)} to {_signed(high, shown)}"


def _signed(value: float, shown: Metric) -> str:
    number = shown.number(abs(value))
    if not float(number):
        return number
    return f"{MINUS if value < 0 else '+'}{number}"
