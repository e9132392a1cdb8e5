"""Plots of lines: training loss over steps, hypervolume over trials."""

from collections.abc import Mapping, Sequence

from reports import text
from reports.axes import Json, axis
from reports.hypervolumes import Growth
from reports.records import RunTables, TrainPoint

MAX_CURVE_POINTS = 400
NUM_CURVES = 8  # lines that the style sheet tells apart
LOSSES = {"loss": "all subnets", "loss_largest": "largest", "loss_smallest": "smallest"}


def training_plot(run: RunTables) -> Json | None:
    """Loss of the supernet over steps."""
    series = [
        _line(name, place, _points(run.training, field))
        for place, (field, name) in enumerate(LOSSES.items())
    ]
    return _lines(series, x="Step", y="Training loss", from_zero=True)


def finetune_plot(run: RunTables) -> Json | None:
    """Loss of each network that was trained further."""
    series = [
        _line(key, place, _points(log, "loss")) for place, (key, log) in enumerate(run.finetunes)
    ]
    return _lines(series, x="Step", y="Fine-tuning loss", from_zero=True)


def growth_plot(growth: Growth | None) -> Json | None:
    """Hypervolume over the trials, as a share of the box up to the reference point."""
    if growth is None:
        return None
    named: Mapping[str, Sequence[tuple[int, float]]] = {
        "log-loss and latency": growth.quality_latency,
        "log-loss, latency and size": growth.with_size,
    }
    series = [
        _line(name, place, [(number, 100 * share) for number, share in points])
        for place, (name, points) in enumerate(named.items())
    ]
    plot = _lines(series, x="Trials", y="Dominated share of the box, %", is_marked=True)
    return None if plot is None else {**plot, "reference": growth.reference.words}


def _points(log: Sequence[TrainPoint], field: str) -> list[tuple[float, float]]:
    """The known values of one field; long logs are thinned, the last point is kept."""
    stride = -(-len(log) // MAX_CURVE_POINTS) or 1
    kept = [p for i, p in enumerate(log[::-1]) if i % stride == 0][::-1]
    return [(p.step, getattr(p, field)) for p in kept if getattr(p, field) is not None]


def _line(name: str, place: int, points: Sequence[tuple[float, float]]) -> Json:
    return {"name": name, "kind": f"curve{place % NUM_CURVES}", "points": points}


def _lines(
    series: list[Json], *, x: str, y: str, is_marked: bool = False, from_zero: bool = False
) -> Json | None:
    """A plot of the lines that have points; marked lines answer the pointer at each point."""
    drawn = [line for line in series if line["points"]]
    if not drawn:
        return None
    xs = [px for line in drawn for px, _ in line["points"]]
    ys = [py for line in drawn for _, py in line["points"]]
    end = max(xs) if max(xs) > min(xs) else min(xs) + 1
    dots = [
        {
            "x": px,
            "y": py,
            "title": f"{x} {px}",
            "facts": [(line["name"], text.significant(py))],
            "network": [],
        }
        for line in drawn
        for px, py in line["points"]
        if is_marked
    ]
    return {
        "type": "lines",
        "x": {"domain": (min(xs), end), "label": x},
        "y": axis(y, [*ys, 0.0] if from_zero else ys),
        "series": drawn,
        "dots": dots,
    }
