"""Finished runs on the same problem side by side.

Metrics are those of the search split, latencies those of exported files. Runs whose data,
resolution, classes, splits or target differ are refused: their numbers do not compare.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reports import hypervolumes, text
from reports.hypervolumes import Reference
from reports.load import load_run, warn_of_altered
from reports.records import RunTables
from search_spaces import AbstractTask, UserError, written_sides

MAX_RUNS = 6
NUM_LATENCIES = 6
STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
AFTERWARDS = ("fidelity", "report")  # phases that change nothing about the front
PLAN = ("steps", "trials", "images_per_score")  # what a plan decides that explains a difference


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Runs that compare, and on which terms.

    Attributes:
        names: Of the runs, distinct.
        runs: In the order given.
        reference: One point for the hypervolume of every front.
        latencies_ms: Up to which the best network is looked for.
    """

    names: tuple[str, ...]
    runs: tuple[RunTables, ...]
    reference: Reference
    latencies_ms: tuple[float, ...]

    @property
    def task(self) -> AbstractTask:
        """What the networks of all runs learnt."""
        return self.runs[0].task


def compare(folders: Sequence[Path]) -> Comparison:
    """Reads runs and checks that they compare.

    Raises:
        UserError: If a run cannot be read or has no measured front, if there are too many, or if
            two are about different problems.
    """
    if len({folder.resolve() for folder in folders}) < len(folders) or len(folders) > MAX_RUNS:
        raise UserError(
            f"{len(folders)} runs were given. Give 2 to {MAX_RUNS} different ones to compare."
        )
    runs = tuple(load_run(folder) for folder in folders)
    names = _names(folders)
    for run in runs:
        warn_of_altered(run)
    for name, run in zip(names, runs, strict=True):
        if not any(_latencies(run)):
            raise UserError(
                f"run '{name}' has no front with measured latencies. Start the same `nas search` "
                "again until it is finished."
            )
    first = identity(runs[0])
    for name, run in zip(names[1:], runs[1:], strict=True):
        _refuse_differences(names[0], first, name, identity(run))
    latencies = [value for run in runs for value in _latencies(run)]
    losses = [m.deployed.search.loss or 0.0 for run in runs for m in run.front]
    task = runs[0].task
    guessed = hypervolumes.guessing(task, [member for run in runs for member in run.front])
    worst = max(losses) or 1.0 if guessed is None else guessed[0]
    return Comparison(
        names=names,
        runs=runs,
        reference=Reference(loss=worst, latency_ms=max(latencies), task=task),
        latencies_ms=_ladder(min(latencies), max(latencies)),
    )


def _names(folders: Sequence[Path]) -> tuple[str, ...]:
    """The folders' names, or their paths where two have the same name."""
    names = tuple(folder.resolve().name for folder in folders)
    return names if len(set(names)) == len(names) else tuple(map(str, folders))


def _latencies(run: RunTables) -> list[float]:
    found = [member.deployed.latency.median_ms for member in run.front]
    return [value for value in found if value is not None and value > 0]


def identity(run: RunTables) -> Mapping[str, str]:
    """What must be the same for numbers to compare, by name."""
    member = run.front[0]
    deployed, latency, image = member.deployed, member.deployed.latency, member.input
    shape = image.get("shape")
    alike = " of classes that count alike" if deployed.search.is_balanced else ""
    asked = f", {run.config['task']}" if run.config.get("task") else ""
    sides = tuple(shape[-2:]) if isinstance(shape, list) else ()
    size = written_sides(sides) if len(sides) == 2 else run.config.get("resolution")
    return {
        "data": member.data or str(run.config.get("data", "")),
        "resolution": f"{size} px",
        "classes": f"{len(member.classes)}: {', '.join(member.classes)}",
        "task": f"{run.task.loss.title}{alike} and {run.task.shown.title}{asked}",
        "images of the search split": str(deployed.search.total),
        "images of the test split": str(deployed.test.total),
        "normalisation of the images": f"mean {image.get('mean')}, std {image.get('std')}",
        "seed of the splits": str(_split_seed(run.config)),
        "target": str(run.config.get("target", latency.runtime)),
        "processor": f"{latency.cpu} ({latency.instruction_set})",
        "threads of the target": str(latency.threads),
        "batch of the target": str(latency.batch),
    }


def _split_seed(config: Mapping[str, Any]) -> Any:
    own = config.get("data_seed", -1)
    return config.get("seed", "") if own == -1 else own


def _refuse_differences(
    name: str, first: Mapping[str, str], other: str, second: Mapping[str, str]
) -> None:
    for what, value in first.items():
        if second[what] != value:
            raise UserError(
                f"runs '{name}' and '{other}' do not compare: {what} is '{_short(value)}' in "
                f"'{name}' and '{_short(second[what])}' in '{other}'. Compare runs on the same "
                "data, resolution, classes, task, splits and target."
            )


def _short(value: str) -> str:
    return value if len(value) <= 60 else f"{value[:57]}..."


def _ladder(low: float, high: float) -> tuple[float, ...]:
    """Round latencies between the fastest and the slowest network."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    rungs = [step * 10.0**decade for decade in decades for step in STEPS]
    within = [rung for rung in rungs if low <= rung < high]
    stride = -(-len(within) // NUM_LATENCIES) or 1
    return tuple(within[::stride])


def best_score(run: RunTables, latency_ms: float) -> float | None:
    """The best of the task's metric on the search split of front members that are fast enough."""
    return run.task.shown.best_of(
        member.deployed.search.shown
        for member in run.front
        if member.deployed.latency.median_ms is not None
        and member.deployed.latency.median_ms <= latency_ms
    )


def seconds(run: RunTables) -> float:
    """Spent in all phases that led to the front."""
    return sum(phase.seconds or 0.0 for phase in run.phases if phase.name not in AFTERWARDS)


def differing_settings(comparison: Comparison, *, is_raw: bool = False) -> dict[str, list[str]]:
    """Settings, plans and versions that are not the same in all runs: name -> one value per run.

    Args:
        comparison: Of the runs.
        is_raw: Whether values are as they are stored, for machines, rather than in words.
    """
    found = [_settings(run, is_raw) for run in comparison.runs]
    names = dict.fromkeys(name for settings in found for name in settings)
    rows = {name: [settings.get(name, text.MISSING) for settings in found] for name in names}
    return {name: values for name, values in rows.items() if len(set(values)) > 1}


def _settings(run: RunTables, is_raw: bool) -> dict[str, str]:
    plan = {f"plan.{name}": run.plan[name] for name in PLAN if name in run.plan}
    versions = {"versions": run.environment.get("versions", {})}
    return dict(text.flat({**run.config, **plan, **versions}, is_raw=is_raw))


def comparison_table(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """One row per quantity, one column per run, as a terminal and the page show it."""
    runs, shown = comparison.runs, comparison.task.shown
    rows = [
        ["networks on the front", *(str(len(run.front)) for run in runs)],
        [
            f"hypervolume % ({comparison.reference.words})",
            *(text.percent(volume) for volume in hypervolume(comparison)),
        ],
    ]
    for latency in comparison.latencies_ms:
        best = [text.score(best_score(run, latency), shown) for run in runs]
        rows.append([f"best {shown.head} within {text.significant(latency)} ms", *best])
    best = [text.score(best_score(run, math.inf), shown) for run in runs]
    rows.append([f"best {shown.head} at any latency", *best])
    rows.append(["time", *(text.seconds(seconds(run)) for run in runs)])
    settings = differing_settings(comparison)
    return ["", *comparison.names], rows + [[name, *values] for name, values in settings.items()]


def hypervolume(comparison: Comparison) -> list[float | None]:
    """The share of the box up to the common reference point that each measured front dominates."""
    return [hypervolumes.of_front(run.front, comparison.reference) for run in comparison.runs]


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """The same for machines."""
    settings, task = differing_settings(comparison, is_raw=True), comparison.task
    rows = zip(comparison.names, comparison.runs, hypervolume(comparison), strict=True)
    return {
        "reference": {
            task.loss.name: comparison.reference.loss,
            "latency_ms": comparison.reference.latency_ms,
        },
        "runs": [
            {
                "run": str(run.folder),
                "name": name,
                "members": len(run.front),
                "hypervolume": volume,
                f"best_{task.shown.name}": [
                    {"latency_ms": latency, task.shown.name: best_score(run, latency)}
                    for latency in comparison.latencies_ms
                ],
                "seconds": seconds(run),
                "settings": {key: values[place] for key, values in settings.items()},
            }
            for place, (name, run, volume) in enumerate(rows)
        ],
    }
