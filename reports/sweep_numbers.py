"""A sweep in numbers: tables for a terminal and rows for machines.

The page shows the same tables. A setting is what the sweep varies without the seed; its spread is
the sample standard deviation over its seeds.
"""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reports import text
from reports.records import Member
from reports.sweep import ComparableRuns, Setting, SweepRun, SweepTables, load_sweep
from search_spaces import DEFAULT_TASK, AbstractTask, task_of

Table = tuple[str, list[str], list[list[str]]]


@dataclass(frozen=True, kw_only=True)
class Best:
    """The network with the best of the task's metric on the search split within a budget."""

    budget: list[str]
    data: str
    run: SweepRun
    member: Member


def sweep_tables(folder: Path) -> list[Table]:
    """A sweep for a terminal.

    Returns:
        Title, header and rows of every table that has rows; the first one always.

    Raises:
        UserError: If this is no sweep's folder, or sweep.json or outcomes.json cannot be read.
    """
    sweep = load_sweep(folder)
    found = [
        ("best per budget", *best_table(sweep)),
        ("runs that failed", *failed_table(sweep)),
        ("notes", *_notes_table(sweep)),
    ]
    return [_settings_of_all_groups(sweep), *(table for table in found if table[2])]


def _settings_of_all_groups(sweep: SweepTables) -> Table:
    """With the group's name where there are several: across groups nothing compares."""
    header, rows = setting_table(sweep.settings)
    if len(sweep.groups) > 1:
        names = [text.MISSING if s.group is None else s.group.name for s in sweep.settings]
        header, rows = ["group", *header], [[n, *r] for n, r in zip(names, rows, strict=True)]
    return "hypervolume per setting", header, rows


def setting_table(settings: Sequence[Setting]) -> tuple[list[str], list[list[str]]]:
    """Header and one row of text per setting."""
    names = list(settings[0].values) if settings else []
    title = _title(setting.task for setting in settings)
    header = [
        *names,
        "runs finished",
        "hypervolume %",
        "spread over seeds %",
        f"best {title}",
        "fastest ms",
    ]
    rows = [
        [
            *(text.setting(*pair) for pair in setting.values.items()),
            f"{len(setting.finished)} of {len(setting.runs)}",
            text.percent(mean(setting)),
            spread_text(setting),
            text.score(best_score(setting), setting.task.shown),
            text.significant(fastest_ms(setting)),
        ]
        for setting in settings
    ]
    return header, rows


def mean(setting: Setting) -> float | None:
    """Of the hypervolumes; a share of the box."""
    return statistics.fmean(setting.hypervolumes) if setting.hypervolumes else None


def spread(setting: Setting) -> float | None:
    """The sample standard deviation of the hypervolumes; None for fewer than two."""
    return statistics.stdev(setting.hypervolumes) if len(setting.hypervolumes) > 1 else None


def spread_text(setting: Setting) -> str:
    """In percent of the box."""
    found = spread(setting)
    return text.MISSING if found is None else text.significant(100 * found, digits=2)


def _title(tasks: Iterable[AbstractTask]) -> str:
    """Of a column of metrics; "metric" if they are not the same."""
    heads = {task.shown.head for task in tasks} or {task_of(DEFAULT_TASK).shown.head}
    return heads.pop() if len(heads) == 1 else "metric"


def best_score(setting: Setting) -> float | None:
    """The best of the task's metric on the search split of any of its fronts."""
    return setting.task.shown.best_of(
        m.deployed.search.shown for run in setting.finished for m in run.front
    )


def fastest_ms(setting: Setting) -> float | None:
    """The lowest measured latency of any of its fronts."""
    times = [m.deployed.latency.median_ms for run in setting.finished for m in run.front]
    return min((time for time in times if time is not None), default=None)


def best_per_budget(sweep: SweepTables) -> list[Best]:
    """The best network of every pair of budget and data; of two as good the faster one."""
    found: dict[tuple[str, ...], Best] = {}
    for group in sweep.groups:
        for run in group.runs:
            for member in run.front:
                key = (group.same["data"], *run.budget)
                candidate = Best(budget=run.budget, data=group.same["data"], run=run, member=member)
                is_known = member.deployed.search.shown is not None
                if is_known and (key not in found or _rank(candidate) < _rank(found[key])):
                    found[key] = candidate
    return list(found.values())


def _rank(best: Best) -> tuple[float, float]:
    """Lower is better."""
    deployed, shown = best.member.deployed, best.member.task.shown
    latency = deployed.latency.median_ms
    score = shown.signed(deployed.search.shown or 0.0)
    return score, math.inf if latency is None else latency


def best_table(sweep: SweepTables) -> tuple[list[str], list[list[str]]]:
    """Header and one row of text per pair of budget and data."""
    found = best_per_budget(sweep)
    title = _title(best.member.task for best in found)
    test = f"test {title.rpartition(' ')[2]}"
    header = ["budget", "data", "run", "network", f"{title} (search)", test, "latency ms"]
    rows = [
        [
            text.shown(best.budget),
            best.data,
            best.run.name,
            best.member.key,
            text.score(best.member.deployed.search.shown, best.member.task.shown),
            text.score(best.member.deployed.test.shown, best.member.task.shown),
            text.significant(best.member.deployed.latency.median_ms),
            text.size(best.member.deployed.bytes),
        ]
        for best in found
    ]
    return [*header, "size"], rows


def failed_table(sweep: SweepTables) -> tuple[list[str], list[list[str]]]:
    """Runs that ended without numbers, and why."""
    rows = [[run.name, _reason(run)] for run in sweep.failed]
    return ["run", "error"], rows


def _reason(run: SweepRun) -> str:
    return " ".join(run.error.split()) or text.MISSING


def notes(group: ComparableRuns) -> list[str]:
    """On which terms the runs of a group compare."""
    found = ["the hypervolume is not known: the networks do not say how many classes there are"]
    if group.reference is not None:
        found = [f"reference point of the hypervolume: {group.reference.words}"]
    if len(group.processors) > 1:
        names = ", ".join(group.processors)
        found.append(f"latencies were measured on unlike processors: {names}")
    if len(group.split_seeds) > 1:
        found.append("the seed also decides which images are held out; the spread contains that")
    return found


def _notes_table(sweep: SweepTables) -> tuple[list[str], list[list[str]]]:
    rows = [[group.name, note] for group in sweep.groups for note in notes(group)]
    return ["runs on", "note"], rows


def sweep_json(folder: Path) -> dict[str, Any]:
    """The same for machines; a number that is not known is None.

    Raises:
        UserError: If this is no sweep's folder, or sweep.json or outcomes.json cannot be read.
    """
    sweep = load_sweep(folder)
    return {
        "sweep": str(sweep.folder),
        "varying": list(sweep.varying),
        "counts": sweep.counts,
        "groups": [_group_json(group) for group in sweep.groups],
        "settings": [_setting_json(setting) for setting in sweep.settings],
        "best": [_best_json(best) for best in best_per_budget(sweep)],
        "runs": _runs_json(sweep),
    }


def _group_json(group: ComparableRuns) -> dict[str, Any]:
    point = group.reference
    return {
        "name": group.name,
        "same": dict(group.same),
        "reference": None
        if point is None
        else {group.task.loss.name: point.loss, "latency_ms": point.latency_ms},
        "processors": list(group.processors),
        "notes": notes(group),
        "runs": [run.name for run in group.runs],
    }


def _setting_json(setting: Setting) -> dict[str, Any]:
    return {
        "settings": dict(setting.values),
        "group": None if setting.group is None else setting.group.name,
        "runs": [run.name for run in setting.runs],
        "finished": [run.name for run in setting.finished],
        "hypervolume_mean": mean(setting),
        "hypervolume_spread": spread(setting),
        f"best_{setting.task.shown.name}": best_score(setting),
        "fastest_ms": fastest_ms(setting),
    }


def _best_json(best: Best) -> dict[str, Any]:
    deployed, shown = best.member.deployed, best.member.task.shown.name
    return {
        "budget": best.budget,
        "data": best.data,
        "run": best.run.name,
        "key": best.member.key,
        f"{shown}_search": deployed.search.shown,
        f"{shown}_test": deployed.test.shown,
        "latency_ms": deployed.latency.median_ms,
        "size_bytes": deployed.bytes,
    }


def _runs_json(sweep: SweepTables) -> list[dict[str, Any]]:
    volumes = hypervolumes_by_run(sweep)
    return [
        {
            "name": run.name,
            "status": run.status,
            "error": run.error,
            "settings": dict(run.settings),
            "members": len(run.front),
            "hypervolume": volumes.get(run.name),
        }
        for run in sweep.runs
    ]


def hypervolumes_by_run(sweep: SweepTables) -> dict[str, float | None]:
    """Of every finished run, each up to the reference point of its own group."""
    return {run.name: group.hypervolume(run) for group in sweep.groups for run in group.runs}
