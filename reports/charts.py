"""What the plots show, as JSON for plots.js: all texts, ranges and shapes are decided here.

x is latency in ms, y is accuracy in percent. Front members and references stand at their measured
latency; trials stand at the predicted one, because only exported files are timed.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from reports import summary, text
from reports.records import Interval, Member, RunTables, TrialRow

Json = dict[str, Any]
LOG_FROM_RATIO = 5.0  # below it a linear axis is easier to read
MAX_CURVE_POINTS = 400
LARGEST_RADIUS, SMALLEST_RADIUS = 13.0, 4.0  # pixels
# Unit shapes around the origin; plots.js scales them.
SHAPES = {
    "circle": "M-1,0a1,1 0 1,0 2,0a1,1 0 1,0 -2,0Z",
    "diamond": "M0,-1.25L1.25,0L0,1.25L-1.25,0Z",
    "square": "M-.9,-.9H.9V.9H-.9Z",
    "triangle": "M0,-1.15L1.1,.85H-1.1Z",
    "pentagon": "M0,-1.1L1.05,-.34L.65,.89H-.65L-1.05,-.34Z",
}


def payload(run: RunTables) -> str:
    """The data block of the page; safe inside a script element."""
    data = {"front": front_plot(run), "training": training_plot(run), "profile": profile_plot(run)}
    # NOTE: "<" is the only character that can end or open anything inside a script element.
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def kind(member: Member) -> str:
    """The class of marker: front, largest-fp32, largest-int8, random or other."""
    if not member.is_reference:
        return "front"
    if member.name in ("largest fp32", "largest int8"):
        return member.name.replace(" ", "-")
    return "random" if member.name.startswith("random") else "other"


def shape(member_kind: str) -> str:
    """The name of the marker's shape in SHAPES."""
    shapes = {"front": "circle", "largest-fp32": "diamond", "largest-int8": "square"}
    return shapes.get(member_kind, "triangle" if member_kind == "random" else "pentagon")


def front_plot(run: RunTables) -> Json | None:
    """Accuracy on the search split against measured latency; None when nothing can be drawn."""
    members = [member for member in run.members if _position(member) is not None]
    trials = [trial for trial in run.trials if _is_drawn(trial)]
    if not members and not trials:
        return None
    radius = radius_of([member.deployed.bytes for member in members])
    points = [_point(member, radius, run.members.index(member)) for member in members]
    dots = [_dot(trial) for trial in trials]
    limits: list[Json] = [
        {"value": limit.max, "text": f"limit {limit.text}"}
        for limit in run.limits
        if limit.metric == "latency_ms" and limit.max is not None
    ]
    xs = [value for p in points for value in (p["x"], *p["xRange"])] + [dot["x"] for dot in dots]
    ys = [value for p in points for value in (p["y"], *p["yRange"])] + [dot["y"] for dot in dots]
    near = [limit["value"] for limit in limits if limit["value"] <= 1.5 * max(xs)]
    is_log = min(xs) > 0 and max(xs) / min(xs) > LOG_FROM_RATIO
    keys = [member.key for member in members]
    return {
        "x": {
            "domain": _padded([*xs, *near], is_log=is_log),
            "log": is_log,
            "label": _x_label(run),
        },
        "y": {"domain": _padded(ys, low=0.0, high=100.0), "label": "Accuracy on search, %"},
        "points": points,
        "trials": dots,
        "stairs": stairs([(p["x"], p["y"]) for p in points if p["kind"] == "front"]),
        "ties": [
            [keys.index(a.key), keys.index(b)]
            for a in members
            for b in a.tied_with
            if b in keys and keys.index(a.key) < keys.index(b)
        ],
        "limits": limits,
    }


def _position(member: Member) -> tuple[float, float] | None:
    """Where a member stands: (ms, percent)."""
    latency, share = member.deployed.latency.median_ms, member.deployed.search.fraction
    return None if latency is None or share is None else (latency, 100 * share)


def _is_drawn(trial: TrialRow) -> bool:
    known = trial.accuracy is not None and trial.latency_predicted_ms is not None
    return known and trial.failure is None


def _x_label(run: RunTables) -> str:
    timed = [m.deployed.latency for m in run.members if m.deployed.latency.batch is not None]
    batch = f", batch {timed[0].batch}" if timed else ""
    threads = timed[0].threads if timed else None
    return f"Measured latency, ms{batch}" + (
        "" if threads is None else f", {summary.plural(threads, 'thread')}"
    )


def radius_of(sizes: Iterable[int | None]) -> Callable[[int | None], float]:
    """How large a marker is drawn for a file of so many bytes.

    The radius grows with the cube root: files that differ 30-fold stay comparable, and the order
    is kept.
    """
    largest = max((size for size in sizes if size), default=1)

    def radius(num_bytes: int | None) -> float:
        share = min(1.0, (num_bytes or 0) / largest)
        return float(round(max(SMALLEST_RADIUS, LARGEST_RADIUS * share ** (1 / 3)), 2))

    return radius


def _point(member: Member, radius: Callable[[int | None], float], row: int) -> Json:
    position = _position(member)
    assert position is not None
    deployed = member.deployed
    x, y = position
    low, high = deployed.search.interval or (y / 100, y / 100)
    return {
        "row": row,
        "x": x,
        "y": y,
        "xRange": deployed.latency.interval_ms or (x, x),
        "yRange": (100 * low, 100 * high),
        "r": radius(deployed.bytes),
        "kind": kind(member),
        "shape": SHAPES[shape(kind(member))],
        "label": _label(member),
        "isKnee": member.is_knee,
        "title": f"{member.key} · {_full_name(member)}",
        "facts": _facts(member),
        "network": text.network(member.arch, member.policy),
    }


def _label(member: Member) -> str:
    """Written beside the marker; only what the eye looks for first has one."""
    if member.is_knee:
        return "knee"
    return member.name if kind(member).startswith("largest") else ""


def _full_name(member: Member) -> str:
    return f"{member.name}, knee" if member.is_knee else member.name


def _facts(member: Member) -> list[tuple[str, str]]:
    deployed = member.deployed
    ties = [("Tied with", ", ".join(member.tied_with))] if member.tied_with else []
    return [
        ("Accuracy, search", _share(deployed.search.fraction, deployed.search.interval)),
        ("Accuracy, test", _share(deployed.test.fraction, deployed.test.interval)),
        ("Latency, measured", _time(deployed.latency.median_ms, deployed.latency.interval_ms)),
        ("Latency, predicted", _time(deployed.latency_predicted_ms)),
        ("Size", text.size(deployed.bytes)),
        ("MACs", text.count(member.macs)),
        *ties,
    ]


def _share(fraction: float | None, interval: Interval | None = None) -> str:
    bounds = f" ({text.percent_range(interval)})" if interval is not None else ""
    return text.with_unit(text.percent(fraction), "%") + bounds


def _time(ms: float | None, interval_ms: Interval | None = None) -> str:
    bounds = f" ({text.span(interval_ms)})" if interval_ms is not None else ""
    return text.with_unit(text.significant(ms), "ms") + bounds


def _dot(trial: TrialRow) -> Json:
    assert trial.accuracy is not None
    return {
        "x": trial.latency_predicted_ms,
        "y": 100 * trial.accuracy,
        "title": f"{trial.key} · trial {trial.number}",
        "facts": [
            ("Accuracy, search", _share(trial.accuracy)),
            ("Latency, predicted", _time(trial.latency_predicted_ms)),
            ("Size, predicted", text.size(trial.size_predicted_bytes)),
            ("MACs", text.count(trial.macs)),
        ],
        "network": text.network(trial.arch, trial.policy),
    }


def stairs(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other one beats in both latency (lower) and accuracy (higher).

    The front may hold more: its members also compete on file size, and on log-loss instead of
    accuracy.
    """
    steps: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda point: (point[0], -point[1])):
        if not steps or y > steps[-1][1]:
            steps.append((x, y))
    return steps


def _padded(
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


def training_plot(run: RunTables) -> Json | None:
    """Loss over steps; long logs are thinned, the last point is kept."""
    names = {"loss": "all subnets", "loss_largest": "largest", "loss_smallest": "smallest"}
    stride = -(-len(run.training) // MAX_CURVE_POINTS) or 1
    kept = [p for i, p in enumerate(run.training[::-1]) if i % stride == 0][::-1]
    series: list[Json] = []
    for field, name in names.items():
        points = [(p.step, getattr(p, field)) for p in kept if getattr(p, field) is not None]
        if points:
            series.append({"name": name, "points": points})
    if not series:
        return None
    xs = [x for line in series for x, _ in line["points"]]
    ys = [y for line in series for _, y in line["points"]]
    return {
        "x": {"domain": (min(xs), max(xs) if max(xs) > min(xs) else min(xs) + 1), "label": "Step"},
        "y": {"domain": _padded([*ys, 0.0]), "label": "Training loss"},
        "series": series,
    }


def profile_plot(run: RunTables) -> Json | None:
    """Predicted against measured latency of everything the profile measured."""
    if run.profile is None or not run.profile.rows:
        return None
    rows = run.profile.rows
    values = [value for row in rows for value in (row.measured_ms, row.predicted_ms)]
    is_log = min(values) > 0 and max(values) / min(values) > LOG_FROM_RATIO
    domain = _padded(values, is_log=is_log)
    return {
        "x": {"domain": domain, "log": is_log, "label": "Measured latency, ms"},
        "y": {"domain": domain, "log": is_log, "label": "Predicted latency, ms"},
        "dots": [
            {
                "x": row.measured_ms,
                "y": row.predicted_ms,
                "isHeldOut": row.is_held_out,
                "title": row.name,
                "facts": [
                    ("Measured", _time(row.measured_ms)),
                    ("Predicted", _time(row.predicted_ms)),
                    ("Used for the fit", "no, held out" if row.is_held_out else "yes"),
                ],
                "network": [],
            }
            for row in rows
        ],
    }
