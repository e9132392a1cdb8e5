"""Plots of dots: predicted against measured latency, rank fidelity, quality against cost."""

from collections.abc import Iterable

from reports import operators, summary, text, tips
from reports.axes import SHAPES, Json, axis, score_axis
from reports.records import RunTables

FAMILY_SHAPES = {
    "convolution": "circle",
    "attention": "square",
    "mixer": "triangle",
    operators.MIXED: "diamond",
}


def latency_plot(run: RunTables) -> Json | None:
    """Predicted against measured latency of what the profile measured and of exported files."""
    rows = run.profile.rows if run.profile is not None else ()
    dots: list[Json] = [
        {
            "x": row.measured_ms,
            "y": row.predicted_ms,
            **_style("dot held-out", "circle"),
            "title": row.name,
            "facts": _times(row.measured_ms, row.predicted_ms),
            "network": [],
        }
        for row in rows
    ]
    dots += [
        {
            "x": measured,
            "y": predicted,
            **_style("dot exported", "diamond"),
            "title": f"{member.key} · {member.name}",
            "facts": [("File", file.name), *_times(measured, predicted)],
            "network": [],
        }
        for member, file, measured, predicted in summary.predicted_files(run)
    ]
    if not dots:
        return None
    values = [value for dot in dots for value in (dot["x"], dot["y"])]
    return {
        "type": "dots",
        "x": axis("Measured latency, ms", values, may_be_log=True),
        "y": axis("Predicted latency, ms", values, may_be_log=True),
        "hasDiagonal": True,
        "dots": dots,
    }


def fidelity_plot(run: RunTables) -> Json | None:
    """The task's metric with shared weights against that after training alone."""
    if run.fidelity is None or not run.fidelity.rows:
        return None
    rows, shown = run.fidelity.rows, run.task.shown
    factor = shown.factor
    return {
        "type": "dots",
        "x": axis(f"Trained alone, {shown.head}", [factor * row.alone for row in rows]),
        "y": axis(f"Inherited weights, {shown.head}", [factor * row.inherited for row in rows]),
        "hasDiagonal": False,
        "dots": [
            {
                "x": factor * row.alone,
                "y": factor * row.inherited,
                **_style("dot exported", "circle"),
                "title": row.key,
                "facts": [
                    ("Trained alone", tips.score(shown, row.alone)),
                    ("Inherited weights", tips.score(shown, row.inherited)),
                    ("MACs", text.count(row.macs)),
                ],
                "network": [],
            }
            for row in rows
        ],
    }


def operator_mix_plot(run: RunTables) -> Json | None:
    """The metric of the trials against MACs, by the family that most of their blocks belong to."""
    dots: list[Json] = [
        {
            "x": trial.macs / 1e6,
            "y": run.task.shown.factor * trial.shown,
            **_family_style(operators.family(text.operators(trial.arch))),
            "tip": tip,
        }
        for tip, trial in enumerate(run.trials, start=len(run.members))
        if trial.macs is not None and trial.shown is not None and trial.failure is None
    ]
    if not dots:
        return None
    return {
        "type": "dots",
        "x": axis("MACs, millions", [dot["x"] for dot in dots], may_be_log=True),
        "y": score_axis(run.task.shown, [dot["y"] for dot in dots], " on search"),
        "hasDiagonal": False,
        "dots": dots,
    }


def families_of(run: RunTables) -> list[str]:
    """The families in the plot, in the order of the legend."""
    found = {operators.family(text.operators(trial.arch)) for trial in run.trials}
    return [name for name in FAMILY_SHAPES if name in found]


def _times(measured: float, predicted: float) -> Iterable[tuple[str, str]]:
    return ("Measured", tips.time(measured)), ("Predicted", tips.time(predicted))


def _style(kind: str, shape: str) -> Json:
    return {"kind": kind, "shape": SHAPES[shape], "r": 4.5}


def _family_style(family: str) -> Json:
    return _style(f"dot {family}", FAMILY_SHAPES[family])
