"""From a run directory to the typed tables of `reports.records`.

The format is the run directory's. What a run has not reached yet is empty here; what is there but
unreadable is an error that names the file. The last line of a .jsonl file may be torn (the run was
killed while writing it) and is then ignored.
"""

import json
import math
from dataclasses import replace
from pathlib import Path

from nas.run.directory import check_is_run, read_space
from nas.run.own_files import load_named
from nas.system.files import read_log
from reports.cards import read_member
from reports.documents import (
    Json,
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
)
from reports.limits import computed_limits, over_limits
from reports.logs import (
    read_beliefs,
    read_fidelity,
    read_finetunes,
    read_phases,
    read_profile,
    read_training,
)
from reports.records import LimitRow, Member, RunTables, TrialRow
from search_spaces import AbstractTask, SearchSpace, UserError, task_in

_Found = tuple[SearchSpace | None, list[Member], tuple[TrialRow, ...]]


def load_run(run_dir: Path) -> RunTables:
    """Reads all that a report needs.

    Args:
        run_dir: A run directory; the search may still be going on.

    Raises:
        UserError: If this is no run directory, or one of its files cannot be read.
    """
    check_is_run(run_dir)
    front = read_json(run_dir / "front.json")
    config = read_toml(run_dir / "config.toml")
    plan = {**read_json(run_dir / "plan.json"), **read_json(run_dir / "search_plan.json")}
    events: list[Json] = read_log(run_dir / "events.jsonl", dict)
    space, task = _space(run_dir / "space.json"), _task(run_dir)
    trials = tuple(_trial(line, task) for line in read_lines(run_dir / "trials.jsonl"))
    keys = [as_text(key) for key in list_at(front, "members")]
    rows = tables_at(front, "references")
    roles = {as_text(row.get("key")): as_text(row.get("name")) for row in rows}
    members = [read_member(run_dir, front, task, key=k, role=roles.get(k, "")) for k in keys]
    references = [
        read_member(run_dir, front, task, key=key, role=name, is_reference=True)
        for key, name in roles.items()
        if key not in keys
    ]
    are_tuned = any(member.finetuned for member in members)
    limits = _limits(config, plan, (space, [*members, *references], trials))
    replaced = tables_at(front, "replaced")
    return RunTables(
        folder=run_dir,
        config=config,
        plan=plan,
        environment=read_json(run_dir / "env.json"),
        num_networks=None if space is None else space.size,
        limits=limits,
        front=tuple(_beside(m, are_tuned) for m in sorted(members, key=_by_latency)),
        references=tuple(
            replace(_beside(m, are_tuned), over_limits=over_limits(m, limits)) for m in references
        ),
        replaced=tuple((as_text(r.get("key")), as_text(r.get("reason"))) for r in replaced),
        trials=trials,
        phases=read_phases(events),
        notes=tuple(as_text(e.get("text")) for e in events if e.get("event") == "message"),
        training=read_training(read_log(run_dir / "train_log.jsonl", dict)),
        finetunes=read_finetunes(run_dir / "finetunes"),
        profile=read_profile(read_json(run_dir / "profile" / "profile.json")),
        fidelity=read_fidelity(read_json(run_dir / "fidelity" / "fidelity.json"), task.shown.name),
        beliefs=read_beliefs(read_lines(run_dir / "beliefs.jsonl")),
        sizes=read_json(run_dir / "sizes.json"),
        task=task,
        failure=as_text(front.get("failure")),
    )


def _task(run_dir: Path) -> AbstractTask:
    """What was learnt; that of a plug-in is the one that the run keeps."""
    data = read_json(run_dir / "data.json")
    load_named(run_dir, json.dumps(data.get("task")))
    return task_in(data)


def _space(path: Path) -> SearchSpace | None:
    return read_space(path.parent) if path.exists() else None


def _by_latency(member: Member) -> tuple[float, str]:
    latency = member.deployed.latency.median_ms
    return (math.inf if latency is None else latency, member.key)


def _beside(member: Member, are_tuned: bool) -> Member:
    """The network, which says if it was not trained further although front members were."""
    return replace(member, is_untuned=are_tuned and member.finetuned is None)


def _trial(line: Json, task: AbstractTask) -> TrialRow:
    metrics, predicted = table_at(line, "metrics"), table_at(line, "predicted")
    failure = line.get("failure")
    return TrialRow(
        number=as_whole(line.get("number")) or 0,
        key=as_text(line.get("key")),
        arch=options_at(line, "arch"),
        policy=options_at(line, "policy"),
        shown=as_number(metrics.get(task.shown.name)),
        loss=as_number(metrics.get(task.loss.name)),
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
