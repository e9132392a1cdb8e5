"""Plots of dots: predicted against measured latency, rank fidelity, quality against cost."""

from collections.abc import Iterable

from reports import operators, summary, text, tips
from reports.axes import SHAPES, Json, axis
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
            **_style("dot held-out" if row.is_held_out else "dot", "circle", row.is_held_out),
            "title": row.name,
            "facts": [
                *_times(row.measured_ms, row.predicted_ms),
                ("Used for the fit", "no, held out" if row.is_held_out else "yes"),
            ],
            "network": [],
        }
        for row in rows
    ]
    dots += [
        {
            "x": measured,
            "y": predicted,
            **_style("dot exported", "diamond", True),
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
    """Accuracy with shared weights against accuracy after training alone."""
    if run.fidelity is None or not run.fidelity.rows:
        return None
    rows = run.fidelity.rows
    return {
        "type": "dots",
        "x": axis("Trained alone, accuracy %", [100 * row.alone for row in rows]),
        "y": axis("Inherited weights, accuracy %", [100 * row.inherited for row in rows]),
        "hasDiagonal": False,
        "dots": [
            {
                "x": 100 * row.alone,
                "y": 100 * row.inherited,
                **_style("dot exported", "circle", True),
                "title": row.key,
                "facts": [
                    ("Trained alone", tips.share(row.alone)),
                    ("Inherited weights", tips.share(row.inherited)),
                    ("MACs", text.count(row.macs)),
                ],
                "network": [],
            }
            for row in rows
        ],
    }


def operator_mix_plot(run: RunTables) -> Json | None:
    """Accuracy of the trials against MACs, by the family that most of their blocks belong to."""
    dots: list[Json] = [
        {
            "x": trial.macs / 1e6,
            "y": 100 * trial.accuracy,
            **_family_style(operators.family(text.operators(trial.arch))),
            "tip": tip,
        }
        for tip, trial in enumerate(run.trials, start=len(run.members))
        if trial.macs is not None and trial.accuracy is not None and trial.failure is None
    ]
    if not dots:
        return None
    return {
        "type": "dots",
        "x": axis("MACs, millions", [dot["x"] for dot in dots], may_be_log=True),
        "y": axis("Accuracy on search, %", [dot["y"] for dot in dots], low=0.0, high=100.0),
        "hasDiagonal": False,
        "dots": dots,
    }


def families_of(run: RunTables) -> list[str]:
    """The families in the plot, in the order of the legend."""
    found = {operators.family(text.operators(trial.arch)) for trial in run.trials}
    return [name for name in FAMILY_SHAPES if name in found]


def _times(measured: float, predicted: float) -> Iterable[tuple[str, str]]:
    return ("Measured", tips.time(measured)), ("Predicted", tips.time(predicted))


def _style(kind: str, shape: str, is_large: bool) -> Json:
    return {"kind": kind, "shape": SHAPES[shape], "r": 4.5 if is_large else 3}


def _family_style(family: str) -> Json:
    return {"kind": f"dot {family}", "shape": SHAPES[FAMILY_SHAPES[family]], "r": 4.5}
