"""What a run wrote while it worked: phases, training, the latency profile, rank fidelity."""

from pathlib import Path

from nas.system.files import read_log
from reports.documents import (
    Json,
    as_interval,
    as_number,
    as_text,
    as_whole,
    table_at,
    tables_at,
)
from reports.records import Belief, Fidelity, FidelityRow, Phase, Profile, ProfileRow, TrainPoint


def read_phases(events: list[Json]) -> tuple[Phase, ...]:
    """Seconds per phase, in order of first appearance.

    A start without an end was cut off, except the very last one: that phase is going on (a search
    that writes its own report is in its report phase).
    """
    starts: dict[str, int] = {}
    ends: dict[str, list[float]] = {}
    running = ""
    for event in events:
        name, kind = as_text(event.get("phase")), event.get("event")
        if kind == "start":
            starts[name] = starts.get(name, 0) + 1
            running = name
        elif kind == "end":
            starts.setdefault(name, 1)
            ends.setdefault(name, []).append(as_number(event.get("seconds")) or 0.0)
            running = ""
    return tuple(
        Phase(
            name=name,
            seconds=sum(ends[name]) if name in ends else None,
            num_interrupted=max(0, num_starts - len(ends.get(name, [])) - (name == running)),
        )
        for name, num_starts in starts.items()
    )


def read_training(lines: list[Json]) -> tuple[TrainPoint, ...]:
    """One point per step, the last one written where a resumed run repeated steps."""
    by_step = {step: line for line in lines if (step := as_whole(line.get("step"))) is not None}
    return tuple(
        TrainPoint(
            step=step,
            loss=as_number(line.get("loss")),
            loss_largest=as_number(line.get("loss_largest")),
            loss_smallest=as_number(line.get("loss_smallest")),
        )
        for step, line in sorted(by_step.items())
    )


def read_finetunes(folder: Path) -> tuple[tuple[str, tuple[TrainPoint, ...]], ...]:
    """The training log of every network that was trained further, by key."""
    logs = sorted(folder.glob("*/train_log.jsonl"))
    return tuple((log.parent.name, read_training(read_log(log, dict))) for log in logs)


def read_profile(profile: Json) -> Profile | None:
    """The latency profile's error and the networks it is known from."""
    if not profile:
        return None
    held_out = table_at(profile, "held_out")
    rows = []
    for row in tables_at(profile, "rows"):
        measured, predicted = as_number(row.get("measured_ms")), as_number(row.get("predicted_ms"))
        # Earlier versions recorded rows that the fit had seen, too, which show nothing.
        is_held_out = row.get("held_out") is not False
        if measured is not None and predicted is not None and is_held_out:
            rows.append(
                ProfileRow(
                    name=as_text(row.get("name")),
                    measured_ms=measured,
                    predicted_ms=predicted,
                )
            )
    return Profile(
        target=as_text(profile.get("target")),
        num_networks=as_whole(held_out.get("networks")),
        mape=as_number(held_out.get("mape")),
        max_error=as_number(held_out.get("max_error")),
        kendall_tau=as_number(held_out.get("kendall_tau")),
        rows=tuple(rows),
    )


def read_pays(document: Json) -> tuple[tuple[str, str], ...]:
    """What every option of compression gains on the target, and where it is not offered."""
    rows = tables_at(document, "said")
    return tuple((as_text(row.get("what")), as_text(row.get("found"))) for row in rows)


def read_fidelity(document: Json, shown: str) -> Fidelity | None:
    """How well inherited weights rank; None where `nas fidelity` has not measured it.

    Args:
        document: fidelity.json.
        shown: Name of the metric that its networks are shown with.
    """
    if not document:
        return None
    return Fidelity(
        num_subnets=as_whole(document.get("subnets")),
        steps=as_whole(document.get("steps")),
        batch_size=as_whole(document.get("batch_size")),
        kendall_tau=as_number(document.get("kendall_tau")),
        interval=as_interval(document.get("interval")),
        rows=tuple(
            row for line in tables_at(document, "rows") if (row := _fidelity_row(line, shown))
        ),
    )


def _fidelity_row(line: Json, shown: str) -> FidelityRow | None:
    inherited = as_number(table_at(line, "inherited").get(shown))
    alone = as_number(table_at(line, "alone").get(shown))
    if inherited is None or alone is None:
        return None
    return FidelityRow(
        key=as_text(line.get("key")),
        inherited=inherited,
        alone=alone,
        macs=as_number(line.get("macs")),
    )


def read_beliefs(lines: list[Json]) -> tuple[Belief, ...]:
    """What a controller said of its predictions, in order; a repeated line counts once."""
    found: dict[tuple[int, str], Belief] = {}
    for line in lines:
        number = as_whole(line.get("trials")) or 0
        for metric, numbers in table_at(line, "metrics").items():
            tau, coverage = (
                as_number(numbers.get("kendall_tau")),
                as_number(numbers.get("coverage")),
            )
            if tau is not None and coverage is not None:
                found[number, metric] = Belief(
                    trials=number, metric=metric, kendall_tau=tau, coverage=coverage
                )
    return tuple(found.values())
