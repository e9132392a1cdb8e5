"""Many runs of one sweep: which have ended, which settings they share, and which of them compare.

A sweep's folder holds `sweep.json` (the runs and their settings), `outcomes.json` (how the runs
that have ended did) and one run directory per run below `runs`. Only finished runs have numbers.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reports import hypervolumes, text
from reports.comparison import identity
from reports.documents import Json, as_text, list_at, read_json, table_at, tables_at
from reports.hypervolumes import Reference
from reports.load import load_run, warn_of_altered
from reports.records import Member, RunTables
from search_spaces import DEFAULT_TASK, AbstractTask, UserError, task_of

FINISHED, FAILED, OPEN, UNREADABLE = STATUSES = ("finished", "failed", "open", "unreadable")
SEED = "seed"
SAME = (
    *("data", "resolution", "target", "classes", "task"),
    *("threads of the target", "batch of the target"),
)
NUM_NAMED = 3  # of SAME, that every group's name has
LONGEST_WORD = 40


@dataclass(frozen=True, kw_only=True)
class SweepRun:
    """One run of a sweep.

    Attributes:
        name: Of its folder below `runs`.
        settings: What the sweep gave it.
        status: One of STATUSES; open until it has ended.
        error: Why it failed, or cannot be read.
        tables: All that a finished run says; None for every other one.
    """

    name: str
    settings: Json
    status: str
    error: str = ""
    tables: RunTables | None = None

    @property
    def front(self) -> tuple[Member, ...]:
        """The networks of a finished run; none of every other one."""
        return () if self.tables is None else self.tables.front

    def setting(self, name: str) -> Any:
        """A setting by its dotted name; None if the sweep did not give it."""
        table, _, field = name.partition(".")
        nested = self.settings.get(table)
        return nested.get(field) if isinstance(nested, dict) else self.settings.get(name)

    @property
    def budget(self) -> list[str]:
        """What the sweep gave, else what the run was told."""
        given = self.setting("budget")
        if given is None and self.tables is not None:
            given = self.tables.config.get("budget")
        if given is None:
            return []
        return list(map(as_text, given)) if isinstance(given, list) else [as_text(given)]


@dataclass(frozen=True, kw_only=True)
class ComparableRuns:
    """Finished runs whose numbers compare: same data, resolution, classes and target.

    Attributes:
        name: What tells it from the sweep's other groups.
        same: What its runs have in common, by name.
        runs: In the order of the sweep.
        reference: One point for the hypervolume of every front; None if the classes are unknown.
        processors: On which latencies were measured.
        split_seeds: By which images were dealt out to the splits.
    """

    name: str
    same: Mapping[str, str]
    runs: tuple[SweepRun, ...]
    reference: Reference | None
    processors: tuple[str, ...]
    split_seeds: tuple[str, ...]

    @property
    def task(self) -> AbstractTask:
        """What the networks of its runs learnt."""
        found = self.runs[0].tables
        assert found is not None
        return found.task

    def hypervolume(self, run: SweepRun) -> float | None:
        """The share of the box up to the reference point that the run's front dominates."""
        return None if self.reference is None else hypervolumes.of_front(run.front, self.reference)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Runs that differ in their seed only.

    Attributes:
        values: Of what the sweep varies, by name, without the seed.
        runs: All of them.
        group: That of the finished ones; None if none has finished.
    """

    values: Mapping[str, Any]
    runs: tuple[SweepRun, ...]
    group: ComparableRuns | None

    @property
    def task(self) -> AbstractTask:
        """What is learnt, as far as a run says."""
        return task_of(DEFAULT_TASK) if self.group is None else self.group.task

    @property
    def finished(self) -> tuple[SweepRun, ...]:
        """Its runs in its group."""
        names = {run.name for run in self.group.runs} if self.group is not None else set()
        return tuple(run for run in self.runs if run.name in names)

    @property
    def hypervolumes(self) -> list[float]:
        """Of the finished runs, as far as they are known."""
        found = [self.group.hypervolume(run) for run in self.finished if self.group is not None]
        return [volume for volume in found if volume is not None]


@dataclass(frozen=True, kw_only=True)
class SweepTables:
    """A whole sweep, as far as it has come.

    Attributes:
        folder: Where it was read from.
        varying: Names of the settings with more than one value.
        runs: In the order of sweep.json.
        groups: Finished runs that compare, in the order of their first run.
        settings: In the order of their first run; once per group that has finished runs of it.
    """

    folder: Path
    varying: tuple[str, ...]
    runs: tuple[SweepRun, ...]
    groups: tuple[ComparableRuns, ...]
    settings: tuple[Setting, ...]

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    @property
    def counts(self) -> dict[str, int]:
        """How many runs have each status."""
        return {status: sum(run.status == status for run in self.runs) for status in STATUSES}

    @property
    def failed(self) -> tuple[SweepRun, ...]:
        """Runs that ended without numbers."""
        return tuple(run for run in self.runs if run.status in (FAILED, UNREADABLE))

    @property
    def seeds(self) -> list[str]:
        """The distinct seeds in words, in the order of their first run."""
        return list(dict.fromkeys(text.shown(run.setting(SEED)) for run in self.runs))


def load_sweep(folder: Path) -> SweepTables:
    """Reads what has been done of a sweep.

    Args:
        folder: A sweep's folder; its runs may still be going on.

    Raises:
        UserError: If this is no sweep's folder, or sweep.json or outcomes.json cannot be read.
    """
    if not (folder / "sweep.json").is_file():
        raise UserError(
            f"sweep '{folder}': there is no sweep.json, so this is not the folder of a sweep. "
            "Name the folder that `nas sweep` printed."
        )
    document = read_json(folder / "sweep.json")
    outcomes = table_at(read_json(folder / "outcomes.json"), "runs")
    rows = tables_at(document, "runs")
    names = [as_text(row.get("name")) for row in rows]
    for name in names:
        if name in ("", ".", "..") or Path(name).name != name or names.count(name) > 1:
            raise UserError(
                f"sweep '{folder}': sweep.json lists the run '{name}', which is not the name of a "
                "folder of its own. Restore the file, or start the sweep again in a new folder."
            )
    runs = tuple(
        _run(folder, name, table_at(row, "settings"), table_at(outcomes, name))
        for name, row in zip(names, rows, strict=True)
    )
    varying = tuple(dict.fromkeys(map(as_text, list_at(document, "varying"))))
    groups = _groups(runs)
    return SweepTables(
        folder=folder,
        varying=varying,
        runs=runs,
        groups=groups,
        settings=_settings(varying, runs, groups),
    )


def _run(folder: Path, name: str, settings: Json, outcome: Json) -> SweepRun:
    """A run whose outcome is not known has not ended yet, whatever its folder holds."""
    status = outcome.get("status")
    if status == FAILED:
        error = as_text(outcome.get("error"))
        return SweepRun(name=name, settings=settings, status=FAILED, error=error)
    if status != FINISHED:
        return SweepRun(name=name, settings=settings, status=OPEN)
    try:
        tables = load_run(folder / "runs" / name)
    except UserError as error:
        return SweepRun(name=name, settings=settings, status=UNREADABLE, error=str(error))
    warn_of_altered(tables)
    if not any(member.deployed.latency.median_ms for member in tables.front):
        fact = f"run '{name}' is said to be finished, but has no front with measured latencies."
        return SweepRun(name=name, settings=settings, status=UNREADABLE, error=fact)
    return SweepRun(name=name, settings=settings, status=FINISHED, tables=tables)


def _groups(runs: Iterable[SweepRun]) -> tuple[ComparableRuns, ...]:
    found: dict[tuple[str, ...], list[tuple[SweepRun, Mapping[str, str]]]] = {}
    for run in runs:
        if run.tables is not None:
            terms = identity(run.tables)
            found.setdefault(tuple(terms[name] for name in SAME), []).append((run, terms))
    names = _names(list(found))
    return tuple(
        ComparableRuns(
            name=name,
            same=dict(zip(SAME, key, strict=True)),
            runs=tuple(run for run, _ in own),
            reference=_reference([run for run, _ in own]),
            processors=_distinct("processor", own),
            split_seeds=_distinct("seed of the splits", own),
        )
        for name, (key, own) in zip(names, found.items(), strict=True)
    )


def _distinct(name: str, runs: Iterable[tuple[SweepRun, Mapping[str, str]]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(terms[name] for _, terms in runs))


def _names(keys: Sequence[tuple[str, ...]]) -> list[str]:
    """Data, resolution and target, then what else is not the same in all groups."""
    differing = [i for i in range(NUM_NAMED, len(SAME)) if len({key[i] for key in keys}) > 1]
    return [
        ", ".join([*key[:NUM_NAMED], *(f"{SAME[i]} {_short(key[i])}" for i in differing)])
        for key in keys
    ]


def _short(value: str) -> str:
    return value if len(value) <= LONGEST_WORD else f"{value[: LONGEST_WORD - 3]}..."


def _reference(runs: Sequence[SweepRun]) -> Reference | None:
    """The loss of guessing, and the slowest network of any front."""
    members = [member for run in runs for member in run.front]
    times = [member.deployed.latency.median_ms for member in members]
    task = members[0].task
    guessed = hypervolumes.guessing(task, members)
    if guessed is None:
        return None
    return Reference(
        loss=guessed[0],
        latency_ms=max(time for time in times if time is not None),
        task=task,
    )


def _settings(
    varying: Iterable[str], runs: Iterable[SweepRun], groups: Sequence[ComparableRuns]
) -> tuple[Setting, ...]:
    names = [name for name in varying if name != SEED]
    found: dict[str, list[SweepRun]] = {}
    for run in runs:
        # NOTE: not the values in words, in which ["a, b"] and ["a", "b"] are the same.
        found.setdefault(json.dumps([run.setting(name) for name in names]), []).append(run)
    return tuple(
        Setting(values={name: own[0].setting(name) for name in names}, runs=tuple(own), group=group)
        for own in found.values()
        for group in _groups_of(own, groups)
    )


def _groups_of(
    runs: Iterable[SweepRun], groups: Iterable[ComparableRuns]
) -> Sequence[ComparableRuns | None]:
    names = {run.name for run in runs}
    return [g for g in groups if not names.isdisjoint(run.name for run in g.runs)] or [None]
