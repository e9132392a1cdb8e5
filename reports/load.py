"""From a run directory to the typed tables of `reports.records`.

The format is the run directory's. What a run has not reached yet is empty here; what is there but
not as it was written is left out and named (`RunTables.altered`). The last line of a .jsonl file
may be torn (the run was killed while writing it) and is then ignored.
"""

import json
import logging
import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from nas.run.directory import SPACE, TRAINED_SPACE, check_is_run, read_space
from nas.run.own_files import load_named
from nas.run.trained_by import in_words
from nas.system.files import read_log
from reports.cards import read_member
from reports.documents import (
    Documents,
    Json,
    as_number,
    as_text,
    as_whole,
    list_at,
    options_at,
    table_at,
    tables_at,
)
from reports.efficiency import read_efficiency
from reports.gains import brought, with_gains
from reports.kernels_page import read_filters
from reports.limits import computed_limits, over_limits
from reports.logs import (
    read_beliefs,
    read_fidelity,
    read_finetunes,
    read_pays,
    read_phases,
    read_profile,
    read_training,
)
from reports.portability import timed_elsewhere
from reports.records import LimitRow, Member, RunTables, TrialRow
from reports.robustness_page import read_robustness
from search_spaces import AbstractTask, SearchSpace, UserError, task_in

_log = logging.getLogger(__name__)

SETTINGS = (
    *("space", "data", "budget", "target", "controller"),
    *("precision", "sparsity", "trials", "time", "seed"),
)
"""That every version writes into config.toml."""

_Found = tuple[SearchSpace | None, list[Member], tuple[TrialRow, ...]]


def load_run(run_dir: Path, *, are_files_checked: bool = False) -> RunTables:
    """Reads all that a report needs.

    Args:
        run_dir: A run directory; the search may still be going on.
        are_files_checked: Whether exported files that are there are compared with what their cards
            say, which reads all of them.

    Raises:
        UserError: If this is no run directory, or one of its files cannot be read.
    """
    check_is_run(run_dir)
    documents = Documents(run_dir)
    front = documents.json("front.json", needed=("members",))
    config = documents.toml("config.toml", needed=SETTINGS)
    plan = {**documents.json("plan.json"), **documents.json("search_plan.json")}
    events: list[Json] = read_log(run_dir / "events.jsonl", dict)
    data = documents.json("data.json")
    space, task = _space(documents), _task(run_dir, data)
    trials = tuple(_trial(line, task) for line in documents.lines("trials.jsonl"))
    keys = [as_text(key) for key in list_at(front, "members")]
    rows = tables_at(front, "references")
    roles = {as_text(row.get("key")): as_text(row.get("name")) for row in rows}
    member = partial(read_member, documents, front, task, are_files_checked=are_files_checked)
    members = [member(key=key, role=roles.get(key, "")) for key in keys]
    references = [
        member(key=key, role=name, is_reference=True)
        for key, name in roles.items()
        if key not in keys
    ]
    base = brought([*references, *members])
    drops = table_at(front, "drops")
    members, references = (with_gains(some, base, drops) for some in (members, references))
    elsewhere = documents.json("portability/portability.json")
    members, references = (
        [timed_elsewhere(m, elsewhere) for m in some] for some in (members, references)
    )
    are_tuned = any(member.finetuned for member in members)
    limits = _limits(config, plan, (space, [*members, *references], trials))
    replaced = tables_at(front, "replaced")
    return RunTables(
        folder=run_dir,
        config=config,
        plan=plan,
        images_per_score=_images_per_score(plan, data),
        environment=documents.json("env.json"),
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
        profile=read_profile(documents.json("profile/profile.json")),
        fidelity=read_fidelity(documents.json("fidelity/fidelity.json"), task.shown.name),
        beliefs=read_beliefs(documents.lines("beliefs.jsonl")),
        **_measured_afterwards(documents),
        sizes=documents.json("sizes.json"),
        pays=read_pays(documents.json("pays.json")),
        task=task,
        num_corrupt=as_whole(data.get("corrupt")) or 0,
        trained_by=in_words(events),
        failure=as_text(front.get("failure")),
        altered=tuple(documents.altered),
    )


def _measured_afterwards(documents: Documents) -> dict[str, Any]:
    """Fields of what commands have measured on request."""
    return {
        "efficiency": read_efficiency(documents.json("efficiency/efficiency.json")),
        "filters": read_filters(documents.json("filters.json")),
        "robustness": read_robustness(documents.json("robustness.json")),
    }


def warn_of_altered(run: RunTables) -> None:
    """One line for everything of a run that is not as it was written."""
    for line in run.altered:
        _log.warning("run '%s': altered: %s", run.folder, line)


def _images_per_score(plan: Json, data: Json) -> int | None:
    """Images that a score looks at: as planned, if the search split has so many."""
    planned = as_whole(plan.get("images_per_score"))
    there = as_whole(table_at(data, "sizes").get("search"))
    return planned if planned is None or there is None else min(planned, there)


def _task(run_dir: Path, data: Json) -> AbstractTask:
    """What was learnt; that of a plug-in is the one that the run keeps."""
    load_named(run_dir, json.dumps(data.get("task")))
    return task_in(data)


def _space(documents: Documents) -> SearchSpace | None:
    """What is searched; None if that is not decided yet, or not what was decided."""
    num_altered = len(documents.altered)
    decided = [documents.json(name) for name in (SPACE, TRAINED_SPACE)]
    is_as_written = len(documents.altered) == num_altered
    return read_space(documents.folder) if decided[0] and is_as_written else None


def _by_latency(member: Member) -> tuple[float, str]:
    latency = member.deployed.latency.median_ms
    return (math.inf if latency is None else latency, member.key)


def _beside(member: Member, are_tuned: bool) -> Member:
    """The network, which says if it was not trained further although front members were."""
    is_known = bool(member.files) and not member.is_brought  # its card is whole
    return replace(member, is_untuned=are_tuned and is_known and member.finetuned is None)


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
        bit_ops=as_number(predicted.get("bit_ops")),
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
