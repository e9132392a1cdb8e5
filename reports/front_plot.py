"""The main plot: the task's metric on the search split against latency.

x is latency in ms, y is the metric as people read it. Front members and references stand at their
measured latency; trials stand at the predicted one, because only exported files are timed. A button
puts bit cost in the place of latency.
"""

from collections.abc import Callable, Iterable, Sequence

from reports import filters, hypervolumes, summary
from reports.axes import SHAPES, Json, axis, score_axis
from reports.records import Member, RunTables, TrialRow
from search_spaces import AbstractDenseTask, Metric, is_quantized

LARGEST_RADIUS, SMALLEST_RADIUS = 13.0, 4.0  # pixels
BITS_UNIT = 1e6


def front_plot(run: RunTables) -> Json | None:
    """The metric on the search split against measured latency; None when nothing can be drawn."""
    members = [member for member in run.members if position(member) is not None]
    numbered = enumerate(run.trials, start=len(run.members))
    dots = [_dot(trial, tip, run.task.shown) for tip, trial in numbered if _is_drawn(trial)]
    if not members and not dots:
        return None
    radius = radius_of([member.deployed.bytes for member in members])
    points = [_point(member, radius, run.members.index(member)) for member in members]
    limits: list[Json] = [
        {"value": limit.max, "text": f"limit {limit.text}"}
        for limit in run.limits
        if limit.metric == "latency_ms" and limit.max is not None
    ]
    shown, floors = run.task.shown, _floors(run)
    return {
        **axes(
            *(points, dots, shown),
            limits=limits,
            floors=floors,
            per_batch=summary.per_batch(run),
        ),
        "points": points,
        "trials": dots,
        "stairs": [_front_line(points, "x", shown)],
        "ties": _ties(members),
        "limits": limits,
        "floors": floors,
        "bits": _on_bits(run, points, dots),
    }


def _floors(run: RunTables) -> list[Json]:
    """What networks that answer with maps must beat; guessing of classes is far below them."""
    if not isinstance(run.task, AbstractDenseTask):
        return []
    untaught = hypervolumes.guessing(run.task, run.members)
    return [] if untaught is None else [{"value": untaught[1], "text": run.task.untaught}]


def _on_bits(run: RunTables, points: list[Json], dots: list[Json]) -> Json | None:
    """What is another one where bit cost is the horizontal axis; None if a network has none."""
    if not points or any(item["bits"] is None for item in [*points, *dots]):
        return None
    limits: list[Json] = [
        {"value": limit.max / BITS_UNIT, "text": f"limit {limit.text}"}
        for limit in run.limits
        if limit.metric == "bit_ops" and limit.max is not None
    ]
    costs = [item["bits"] for item in [*points, *dots]]
    near = [limit["value"] for limit in limits if limit["value"] <= 1.5 * max(costs)]
    return {
        "x": axis("Bit cost, 1e6 bit_ops", [*costs, *near], may_be_log=True),
        "stairs": [_front_line(points, "bits", run.task.shown)],
        "limits": limits,
    }


def _front_line(points: list[Json], x: str, shown: Metric) -> Json:
    front = [(point[x], point["y"]) for point in points if point["kind"] == "front"]
    return {"kind": "front", "points": line_of(front, shown)}


def axes(
    points: list[Json],
    dots: list[Json],
    shown: Metric,
    *,
    limits: list[Json],
    floors: Sequence[Json] = (),
    per_batch: str = "",
) -> Json:
    """Both axes, wide enough for every marker and interval, for floors, and for limits near by."""
    xs = [value for p in points for value in (p["x"], *p["xRange"])] + [dot["x"] for dot in dots]
    ys = [value for p in points for value in (p["y"], *p["yRange"])] + [dot["y"] for dot in dots]
    ys += [floor["value"] for floor in floors]
    near = [limit["value"] for limit in limits if limit["value"] <= 1.5 * max(xs)]
    return {
        "x": axis(f"Measured latency, ms{per_batch}", [*xs, *near], may_be_log=True),
        "y": score_axis(shown, ys, " on search"),
    }


LARGEST = ("largest", "brought")
"""First words of the names of networks that others are compared with."""


def kind(member: Member) -> str:
    """The class of marker: front, largest-full, largest-quantized, random or other."""
    if not member.is_reference:
        return "front"
    size, _, precision = member.name.partition(" ")
    if size in LARGEST:
        return "largest-quantized" if is_quantized(precision) else "largest-full"
    return "random" if member.name.startswith("random") else "other"


def shape(member_kind: str) -> str:
    """The name of the marker's shape in SHAPES."""
    shapes = {"front": "circle", "largest-full": "diamond", "largest-quantized": "square"}
    return shapes.get(member_kind, "triangle" if member_kind == "random" else "pentagon")


def position(member: Member) -> tuple[float, float] | None:
    """Where a member stands: latency in ms, and the metric as people read it."""
    latency, score = member.deployed.latency.median_ms, member.deployed.search.shown
    if latency is None or score is None:
        return None
    return latency, member.task.shown.factor * score


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


def place(member: Member) -> Json:
    """A member's position and intervals; it must have a position."""
    found = position(member)
    assert found is not None
    x, y = found
    factor = member.task.shown.factor
    low, high = member.deployed.search.interval or (y / factor, y / factor)
    return {
        "x": x,
        "y": y,
        "xRange": member.deployed.latency.interval_ms or (x, x),
        "yRange": (factor * low, factor * high),
    }


def _point(member: Member, radius: Callable[[int | None], float], tip: int) -> Json:
    return {
        **place(member),
        "bits": None if member.bit_ops is None else member.bit_ops / BITS_UNIT,
        "tip": tip,
        "row": member.folder,
        "tags": filters.tags(member.arch, member.policy),
        "r": radius(member.deployed.bytes),
        "kind": kind(member),
        "shape": SHAPES[shape(kind(member))],
        "label": _label(member),
        "isKnee": member.is_knee,
    }


def _label(member: Member) -> str:
    """Written beside the marker; only what the eye looks for first has one."""
    if member.is_knee:
        return "knee"
    return member.name if kind(member).startswith("largest") else ""


def _is_drawn(trial: TrialRow) -> bool:
    known = trial.shown is not None and trial.latency_predicted_ms is not None
    return known and trial.failure is None


def _dot(trial: TrialRow, tip: int, shown: Metric) -> Json:
    assert trial.shown is not None
    return {
        "x": trial.latency_predicted_ms,
        "y": shown.factor * trial.shown,
        "bits": None if trial.bit_ops is None else trial.bit_ops / BITS_UNIT,
        "tip": tip,
        "tags": filters.tags(trial.arch, trial.policy),
    }


def _ties(members: list[Member]) -> list[list[int]]:
    """Pairs of places in the list whose latencies cannot be told apart."""
    keys = [member.key for member in members]
    return [
        [keys.index(a.key), keys.index(b)]
        for a in members
        for b in a.tied_with
        if b in keys and keys.index(a.key) < keys.index(b)
    ]


def line_of(front: list[tuple[float, float]], shown: Metric) -> list[tuple[float, float]]:
    """The front's line: its stairs, on to the slowest member, which may be there for its size."""
    steps = stairs(front, shown)
    slowest = max((x for x, _ in front), default=0.0)
    if steps and steps[-1][0] < slowest:
        steps.append((slowest, steps[-1][1]))
    return steps


def stairs(points: Iterable[tuple[float, float]], shown: Metric) -> list[tuple[float, float]]:
    """The points that no other one beats in both latency and the metric.

    The front may hold more: its members also compete on file size, and on the loss instead of the
    metric.
    """
    steps: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda point: (point[0], shown.signed(point[1]))):
        if not steps or shown.signed(y) < shown.signed(steps[-1][1]):
            steps.append((x, y))
    return steps
