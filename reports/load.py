"""From a run directory to the typed tables of `reports.records`.

The format is the run directory's. What a run has not reached yet is empty here; what is there but
unreadable is an error that names the file. The last line of a .jsonl file may be torn (the run was
killed while writing it) and is then ignored.
"""

import math
from pathlib import Path

from reports.documents import (
    Json,
    as_interval,
    as_number,
    as_text,
    as_whole,
    list_at,
    options_at,
    read_json,
    read_lines,
    read_toml,
    table_at,
    tables_at,
    unreadable,
)
from reports.limits import computed_limits
from reports.records import (
    Latency,
    LimitRow,
    Member,
    ModelFile,
    Phase,
    Profile,
    ProfileRow,
    Quality,
    RunTables,
    TrainPoint,
    TrialRow,
)
from search_spaces import SearchSpace, UserError

_Found = tuple[SearchSpace | None, list[Member], tuple[TrialRow, ...]]


def load_run(run_dir: Path) -> RunTables:
    """Reads all that a report needs.

    Args:
        run_dir: A run directory; the search may still be going on.

    Raises:
        UserError: If this is no run directory, or one of its files cannot be read.
    """
    if not (run_dir / "config.toml").is_file():
        raise UserError(
            f"run '{run_dir}': there is no config.toml, so this is not a run directory. "
            "Name the folder that `nas search` printed as its run."
        )
    front = read_json(run_dir / "front.json")
    config = read_toml(run_dir / "config.toml")
    plan = read_json(run_dir / "plan.json")
    events = read_lines(run_dir / "events.jsonl")
    space = _space(run_dir / "space.json")
    trials = tuple(_trial(line) for line in read_lines(run_dir / "trials.jsonl"))
    members = [_member(run_dir, front, key=as_text(key)) for key in list_at(front, "members")]
    references = [
        _member(run_dir, front, key=as_text(row.get("key")), reference=as_text(row.get("name")))
        for row in tables_at(front, "references")
    ]
    replaced = tables_at(front, "replaced")
    return RunTables(
        folder=run_dir,
        config=config,
        plan=plan,
        environment=read_json(run_dir / "env.json"),
        num_networks=None if space is None else space.size,
        limits=_limits(config, plan, (space, [*members, *references], trials)),
        front=tuple(sorted(members, key=_by_latency)),
        references=tuple(references),
        replaced=tuple((as_text(r.get("key")), as_text(r.get("reason"))) for r in replaced),
        trials=trials,
        phases=_phases(events),
        notes=tuple(as_text(e.get("text")) for e in events if e.get("event") == "message"),
        training=_training(read_lines(run_dir / "train_log.jsonl")),
        profile=_profile(read_json(run_dir / "profile" / "profile.json")),
    )


def _space(path: Path) -> SearchSpace | None:
    document = read_json(path)
    if not document:
        return None
    try:
        return SearchSpace.from_json(document)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise unreadable(path, error) from error


def _by_latency(member: Member) -> tuple[float, str]:
    latency = member.deployed.latency.median_ms
    return (math.inf if latency is None else latency, member.key)


def _member(run_dir: Path, front: Json, *, key: str, reference: str | None = None) -> Member:
    """One network from its card; `reference` is what it is called if it is not on the front."""
    kind = "front" if reference is None else "references"
    if key in ("", ".", "..") or Path(key).name != key:
        raise UserError(f"run '{run_dir}': front.json lists the key '{key}', not a folder's name.")
    path = run_dir / kind / key / "card.json"
    card = read_json(path)
    if not card:
        raise UserError(
            f"run '{run_dir}': front.json lists '{key}', but {kind}/{key}/card.json is not there. "
            "Restore the folder, or start the same `nas search` again."
        )
    files = {name: v for name, v in table_at(card, "files").items() if isinstance(v, dict)}
    ties = [pair for pair in list_at(front, "ties") if isinstance(pair, list) and key in pair]
    tied = [as_text(other) for pair in ties for other in pair if other != key]
    return Member(
        key=key,
        name=reference or as_text(card.get("name")) or "front member",
        is_reference=reference is not None,
        folder=f"{kind}/{key}",
        arch=options_at(card, "arch"),
        policy=options_at(card, "policy"),
        encoding=tuple(as_whole(index) or 0 for index in list_at(card, "encoding")),
        macs=as_whole(card.get("macs")),
        params=as_whole(card.get("params")),
        files=tuple(_file(name, row) for name, row in files.items()),
        classes=tuple(as_text(name) for name in list_at(card, "classes")),
        input=table_at(card, "input"),
        is_knee=reference is None and front.get("knee") == key,
        tied_with=tuple(dict.fromkeys(tied)),
    )


def _file(name: str, row: Json) -> ModelFile:
    accuracy = table_at(row, "accuracy")
    return ModelFile(
        name=name,
        bytes=as_whole(row.get("bytes")),
        precision=as_text(row.get("precision")),
        integer_kernels=as_whole(row.get("integer_kernels")),
        search=_quality(table_at(accuracy, "search")),
        test=_quality(table_at(accuracy, "test")),
        latency=_latency(table_at(row, "latency")),
        latency_predicted_ms=as_number(row.get("latency_predicted_ms")),
    )


def _quality(row: Json) -> Quality:
    return Quality(
        fraction=as_number(row.get("fraction")),
        correct=as_whole(row.get("correct")),
        total=as_whole(row.get("total")),
        log_loss=as_number(row.get("log_loss")),
    )


def _latency(row: Json) -> Latency:
    return Latency(
        median_ms=as_number(row.get("median_ms")),
        interval_ms=as_interval(row.get("interval_ms")),
        processes=as_whole(row.get("processes")),
        runs=as_whole(row.get("runs")),
        threads=as_whole(row.get("threads")),
        batch=as_whole(row.get("batch")),
        is_bimodal=row.get("is_bimodal") is True,
        runtime=as_text(row.get("runtime")),
        version=as_text(row.get("version")),
        cpu=as_text(row.get("cpu")),
        instruction_set=as_text(row.get("instruction_set")),
    )


def _trial(line: Json) -> TrialRow:
    metrics, predicted = table_at(line, "metrics"), table_at(line, "predicted")
    failure = line.get("failure")
    return TrialRow(
        number=as_whole(line.get("number")) or 0,
        key=as_text(line.get("key")),
        arch=options_at(line, "arch"),
        policy=options_at(line, "policy"),
        accuracy=as_number(metrics.get("accuracy")),
        log_loss=as_number(metrics.get("log_loss")),
        macs=as_number(predicted.get("macs")),
        params=as_number(predicted.get("params")),
        latency_predicted_ms=as_number(predicted.get("latency_ms")),
        size_predicted_bytes=as_number(predicted.get("size_bytes")),
        failure=None if failure is None else as_text(failure),
    )


def _limits(config: Json, plan: Json, found: _Found) -> tuple[LimitRow, ...]:
    """The budgets as the plan recorded them, else as the stored space resolves them.

    The record wins because a run may trim its space to the budget before it stores it.
    """
    if "limits" in plan:
        return tuple(_limit(row) for row in tables_at(plan, "limits"))
    try:
        written = config.get("budget", [])
        texts = [written] if isinstance(written, str) else [as_text(text) for text in written]
        return computed_limits(texts, *found)
    except (LookupError, TypeError, ValueError) as error:
        raise UserError(f"the run's budgets cannot be read: {error}. Search again.") from error


def _limit(row: Json) -> LimitRow:
    return LimitRow(
        text=as_text(row.get("text")),
        metric=as_text(row.get("metric")),
        max=as_number(row.get("max")),
        binds=row["binds"] if isinstance(row.get("binds"), bool) else None,
        largest=as_number(row.get("largest")),
    )


def _phases(events: list[Json]) -> tuple[Phase, ...]:
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


def _training(lines: list[Json]) -> tuple[TrainPoint, ...]:
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


def _profile(profile: Json) -> Profile | None:
    if not profile:
        return None
    held_out = table_at(profile, "held_out")
    rows = []
    for row in tables_at(profile, "rows"):
        measured, predicted = as_number(row.get("measured_ms")), as_number(row.get("predicted_ms"))
        if measured is not None and predicted is not None:
            rows.append(
                ProfileRow(
                    name=as_text(row.get("name")),
                    measured_ms=measured,
                    predicted_ms=predicted,
                    is_held_out=row.get("held_out") is True,
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
