"""Plots of lines: training loss over steps, hypervolume and predictions over trials."""

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
        line(name, place, _points(run.training, field))
        for place, (field, name) in enumerate(LOSSES.items())
    ]
    return lines(series, x="Step", y="Training loss", from_zero=True)


def finetune_plot(run: RunTables) -> Json | None:
    """Loss of each network that was trained further."""
    series = [
        line(key, place, _points(log, "loss")) for place, (key, log) in enumerate(run.finetunes)
    ]
    return lines(series, x="Step", y="Fine-tuning loss", from_zero=True)


def growth_plot(growth: Growth | None) -> Json | None:
    """Hypervolume over the trials, as a share of the box up to the reference point."""
    if growth is None:
        return None
    loss = growth.reference.task.loss.title
    named: Mapping[str, Sequence[tuple[int, float]]] = {
        f"{loss} and latency": growth.quality_latency,
        f"{loss}, latency and size": growth.with_size,
    }
    series = [
        line(name, place, [(number, 100 * share) for number, share in points])
        for place, (name, points) in enumerate(named.items())
    ]
    plot = lines(series, x="Trials", y="Dominated share of the box, %", is_marked=True)
    return None if plot is None else {**plot, "reference": growth.reference.words}


def beliefs_plot(run: RunTables) -> Json | None:
    """How well the controller's predictions ranked, and how often their interval held."""
    series: list[Json] = []
    for metric in dict.fromkeys(belief.metric for belief in run.beliefs):
        own = [belief for belief in run.beliefs if belief.metric == metric]
        for name, field in (("Kendall tau", "kendall_tau"), ("coverage of 90 %", "coverage")):
            points = [(belief.trials, getattr(belief, field)) for belief in own]
            series.append(line(f"{metric}, {name}", len(series), points))
    return lines(series, x="Trials", y="Tau, and share within the interval", is_marked=True)


def _points(log: Sequence[TrainPoint], field: str) -> list[tuple[float, float]]:
    """The known values of one field; long logs are thinned, the last point is kept."""
    stride = -(-len(log) // MAX_CURVE_POINTS) or 1
    kept = [p for i, p in enumerate(log[::-1]) if i % stride == 0][::-1]
    return [(p.step, getattr(p, field)) for p in kept if getattr(p, field) is not None]


def line(name: str, place: int, points: Sequence[tuple[float, float]]) -> Json:
    """One line of a plot; its place says how it is drawn."""
    return {"name": name, "kind": f"curve{place % NUM_CURVES}", "points": points}


def lines(
    series: list[Json], *, x: str, y: str, is_marked: bool = False, from_zero: bool = False
) -> Json | None:
    """A plot of the lines that have points; marked lines answer the pointer at each point."""
    drawn = [one for one in series if one["points"]]
    if not drawn:
        return None
    xs = [px for one in drawn for px, _ in one["points"]]
    ys = [py for one in drawn for _, py in one["points"]]
    end = max(xs) if max(xs) > min(xs) else min(xs) + 1
    dots = [
        {
            "x": px,
            "y": py,
            "title": f"{x} {px}",
            "facts": [(one["name"], text.significant(py))],
            "network": [],
        }
        for one in drawn
        for px, py in one["points"]
        if is_marked
    ]
    return {
        "type": "lines",
        "x": {"domain": (min(xs), end), "label": x},
        "y": axis(y, [*ys, 0.0] if from_zero else ys),
        "series": drawn,
        "dots": dots,
    }
