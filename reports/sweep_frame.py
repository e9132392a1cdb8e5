"""A sweep as one frame, for analysis elsewhere: sweep.parquet."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from reports import tables, text
from reports.records import Member
from reports.sweep import SweepRun, SweepTables
from reports.sweep_numbers import hypervolumes_by_run
from search_spaces import DEFAULT_TASK, AbstractTask, task_of

FIRST = {"run": "string", "status": "string", "key": "string", "role": "string"}
LAST = {
    "latency_ms": "float64",
    "latency_ms_low": "float64",
    "latency_ms_high": "float64",
    "size_bytes": "Int64",
    "macs": "Int64",
    "params": "Int64",
    "hypervolume": "float64",
}
"""Columns before and after those of the tasks' metrics."""


def sweep_frame(sweep: SweepTables) -> pd.DataFrame:
    """One row per member of every finished run's front; missing numbers are null."""
    volumes = hypervolumes_by_run(sweep)
    pairs = [(run, member) for run in sweep.runs for member in run.front]
    rows = [_row(run, member, volumes[run.name]) for run, member in pairs]
    metrics = [name for group in sweep.groups for name in _metrics(group.task)]
    names = dict.fromkeys(metrics or _metrics(task_of(DEFAULT_TASK)), "float64")
    columns = {**FIRST, **names, **LAST}
    frame = pd.DataFrame(rows, columns=list(columns)).astype(columns)
    for place, name in enumerate(sweep.varying, start=1):
        values = [run.setting(name) for run, _ in pairs]
        frame.insert(place, name, _column(values))
    return frame


def sweep_parquet(sweep: SweepTables) -> bytes:
    """`sweep_frame` as a Parquet file."""
    content: bytes = sweep_frame(sweep).to_parquet(index=False)
    return content


def _metrics(task: AbstractTask) -> list[str]:
    shown, loss = task.shown.name, task.loss.name
    return [f"{shown}_search", f"{loss}_search", f"{shown}_test"]


def _row(run: SweepRun, member: Member, volume: float | None) -> dict[str, object]:
    deployed = member.deployed
    values = (deployed.search.shown, deployed.search.loss, deployed.test.shown)
    low, high = deployed.latency.interval_ms or (None, None)
    return {
        "run": run.name,
        "status": run.status,
        "key": member.key,
        "role": tables.role(member),
        **dict(zip(_metrics(member.task), values, strict=True)),
        "latency_ms": deployed.latency.median_ms,
        "latency_ms_low": low,
        "latency_ms_high": high,
        "size_bytes": deployed.bytes,
        "macs": member.macs,
        "params": member.params,
        "hypervolume": volume,
    }


def _column(values: Iterable[Any]) -> pd.Series:
    """A setting's values: numbers where all are, else text."""
    found = list(values)
    kinds = {type(value) for value in found if value is not None}
    if kinds and kinds <= {int, float}:
        return pd.Series(found, dtype="Int64" if kinds == {int} else "Float64")
    shown = [None if value is None else text.shown(value) for value in found]
    return pd.Series(shown, dtype="string")
