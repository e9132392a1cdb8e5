"""The front and the references as tables: for pareto.csv, report.md and the terminal.

One frame (`pareto_frame`) holds the numbers; the texts are made from it or from the same members,
so that the files cannot disagree. Selection used the `search` split; `test` stands beside it.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from reports import (
    bit_cost,
    efficiency,
    gains,
    kernels_page,
    portability,
    robustness_page,
    summary,
    text,
)
from reports.load import load_run
from reports.records import UNTUNED, Gain, Member, ModelledCosts, RunTables
from search_spaces import treatments_said


def pareto_frame(run: RunTables) -> pd.DataFrame:
    """One row per front member, by latency, then one per reference; missing numbers are NaN."""
    columns = list(_row(replace(_EMPTY, task=run.task)))
    left_out = {} if _has_gains(run) else _gain_row(_EMPTY)
    if not any(member.modelled for member in run.members):
        left_out = {**left_out, **_modelled_row(_EMPTY)}
    if not has_energy(run):
        left_out = {**left_out, **_energy_row(_EMPTY)}
    names = portability.targets(run)
    columns = [column for column in columns if column not in left_out]
    columns += [*portability.columns(_EMPTY, names), *efficiency.columns(run, _EMPTY)]
    rows = [
        _row(member) | portability.columns(member, names) | efficiency.columns(run, member)
        for member in run.members
    ]
    return pd.DataFrame(rows, columns=columns)


def trials_frame(run: RunTables) -> pd.DataFrame:
    """One row per trial, in order: the task's metrics as measured, costs as predicted."""
    shown, loss = run.task.shown.name, run.task.loss.name
    fields = {
        "number": "number",
        "key": "key",
        shown: "shown",
        loss: "loss",
        "macs": "macs",
        "params": "params",
        "latency_predicted_ms": "latency_predicted_ms",
        "size_predicted_bytes": "size_predicted_bytes",
        "bit_ops": "bit_ops",
        "failure": "failure",
    }
    rows = [[getattr(trial, field) for field in fields.values()] for trial in run.trials]
    return pd.DataFrame(rows, columns=list(fields))


def pareto_csv(run: RunTables) -> str:
    """`pareto_frame` as comma-separated text; a missing number is an empty field."""
    return str(pareto_frame(run).to_csv(index=False, lineterminator="\n"))


def _row(member: Member) -> dict[str, object]:
    deployed, unquantized = member.deployed, member.unquantized
    shown, loss = member.task.shown.name, member.task.loss.name
    low, high = deployed.search.interval or (None, None)
    test_low, test_high = deployed.test.interval or (None, None)
    fast, slow = deployed.latency.interval_ms or (None, None)
    return {
        "key": member.key,
        "role": "reference" if member.is_reference else "front",
        "name": member.name,
        "is_knee": member.is_knee,
        "tied_with": " ".join(member.tied_with),
        "over_limits": " ".join(member.over_limits),
        "finetuned_from": member.finetuned.source if member.finetuned else "",
        "macs": _integer(member.macs),
        "params": _integer(member.params),
        "bit_ops": member.bit_ops,
        f"{shown}_search": deployed.search.shown,
        f"{shown}_search_low": low,
        f"{shown}_search_high": high,
        f"{loss}_search": deployed.search.loss,
        f"{shown}_test": deployed.test.shown,
        f"{shown}_test_low": test_low,
        f"{shown}_test_high": test_high,
        f"{shown}_test_fp32": unquantized.test.shown,
        "latency_ms": deployed.latency.median_ms,
        "latency_ms_low": fast,
        "latency_ms_high": slow,
        **_energy_row(member),
        "latency_ms_fp32": unquantized.latency.median_ms,
        "latency_predicted_ms": deployed.latency_predicted_ms,
        "size_bytes": _integer(deployed.bytes),
        "size_bytes_fp32": _integer(unquantized.bytes),
        **_gain_row(member),
        **_modelled_row(member),
        "integer_kernels": _integer(deployed.integer_kernels),
        "precision": text.per_stage(member.arch, member.policy, "precision"),
        "sparsity": text.per_stage(member.arch, member.policy, "sparsity"),
        "network": "; ".join(text.network(member.arch, member.policy)),
        "encoding": " ".join(map(str, member.encoding)),
        "folder": member.folder,
    }


def _gain_row(member: Member) -> dict[str, object]:
    """Against the network that was brought."""
    gain = member.gain or Gain()
    low, high = gain.interval or (None, None)
    return {
        "times_faster": gain.times_faster,
        "times_smaller": gain.times_smaller,
        "change": gain.change,
        "change_low": low,
        "change_high": high,
        "change_expected": gain.expected,
    }


def _modelled_row(member: Member) -> dict[str, object]:
    """With kernels for its sparsity patterns, and which these are."""
    costs = member.modelled or ModelledCosts()
    return {
        "modelled_macs": _integer(costs.macs),
        "modelled_size_bytes": _integer(costs.size_bytes),
        "pattern": text.per_stage(member.arch, member.policy, "pattern"),
    }


def _energy_row(member: Member) -> dict[str, object]:
    """Of a call; no column where the machine does not count it."""
    return {"energy_mj": member.deployed.latency.energy_mj}


def has_energy(run: RunTables) -> bool:
    """Whether any network's energy was counted."""
    return any(member.deployed.latency.energy_mj is not None for member in run.members)


def _integer(value: int | None) -> object:
    """Kept out of float columns: 12345678 must not become 1.2345678e7 beside a missing value."""
    return pd.NA if value is None else value


_EMPTY = Member(
    key="",
    name="",
    is_reference=False,
    folder="",
    arch={},
    policy={},
    encoding=(),
    macs=None,
    params=None,
    files=(),
    classes=(),
    input={},
)


def front_table(run_dir: Path, *, is_brief: bool = False) -> tuple[list[str], list[list[str]]]:
    """The front and the references for a terminal.

    Args:
        run_dir: Of the run.
        is_brief: Whether for a narrow one: few columns, no intervals.

    Returns:
        The header and one row of strings per network, as long as the header.

    Raises:
        UserError: If the run directory cannot be read.
    """
    run = load_run(run_dir)
    return _brief_texts(run) if is_brief else table_texts(run)


def gain_lines(run_dir: Path) -> list[str]:
    """What members of the front gain against the network that was brought; none where none was.

    Raises:
        UserError: If the run directory cannot be read.
    """
    return gains.lines(load_run(run_dir))


def portability_table(run_dir: Path) -> tuple[list[str], list[list[str]], list[str]]:
    """Header, a row per network and sentences on other targets, for a terminal.

    Raises:
        UserError: If the run directory cannot be read.
    """
    run = load_run(run_dir)
    return (*portability.table(run), portability.sentences(run))


def filter_lines(run_dir: Path) -> list[str]:
    """What trained kernels look like, by network, for a terminal; nothing if it was not measured.

    Raises:
        UserError: If the run directory cannot be read.
    """
    return kernels_page.sentences(load_run(run_dir))


def robustness_table(run_dir: Path) -> tuple[list[str], list[list[str]]]:
    """Header and a row per file of what networks answer on moved images, for a terminal.

    Raises:
        UserError: If the run directory cannot be read.
    """
    return robustness_page.table(load_run(run_dir))


def front_rows(run_dir: Path) -> list[dict[str, Any]]:
    """The rows of pareto.csv for machines; a missing number is None.

    Raises:
        UserError: If the run directory cannot be read.
    """
    frame = pareto_frame(load_run(run_dir))
    rows: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", double_precision=15))
    return rows


def table_texts(run: RunTables) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the short table."""
    shown = run.task.shown
    header = [
        "network",
        "key",
        f"{shown.head} (search)",
        f"test {shown.unit}".rstrip(),
        f"test fp32 {shown.unit}".rstrip(),
        f"latency ms{summary.per_batch(run)}",
        *(["mJ"] if has_energy(run) else []),
        "fp32 ms",
        "predicted ms",
        *portability.heads(portability.targets(run)),
        "size",
        "size fp32",
        "MACs",
        "params",
        *(["bit cost"] if bit_cost.is_known(run) else []),
        *_gain_head(run),
        "precision",
        "sparsity",
    ]
    return header, [_texts(run, member) for member in run.members]


def _gain_head(run: RunTables) -> list[str]:
    """Against the network that was brought; no columns where none was."""
    return ["faster", "smaller", f"{run.task.shown.title} change"] if _has_gains(run) else []


def _has_gains(run: RunTables) -> bool:
    return gains.brought(run.members) is not None


def _gain_texts(member: Member) -> list[str]:
    gain = member.gain
    if gain is None:
        return []
    return [
        gains.times(gain.times_faster),
        gains.times(gain.times_smaller),
        gains.change(gain, member.task.shown),
    ]


def _texts(run: RunTables, member: Member) -> list[str]:
    deployed, unquantized, shown = member.deployed, member.unquantized, member.task.shown
    score, latency = text.score(deployed.search.shown, shown), deployed.latency
    return [
        role(member),
        member.key,
        _with_range(score, text.score_range(deployed.search.interval, shown)),
        text.score(deployed.test.shown, shown),
        text.score(unquantized.test.shown, shown),
        _with_range(text.significant(latency.median_ms), text.span(latency.interval_ms)),
        *([text.significant(latency.energy_mj)] if has_energy(run) else []),
        text.significant(unquantized.latency.median_ms),
        text.significant(deployed.latency_predicted_ms),
        *portability.texts(member, portability.targets(run)),
        text.size(deployed.bytes),
        text.size(unquantized.bytes),
        text.count(member.macs),
        text.count(member.params),
        *([text.count(member.bit_ops)] if bit_cost.is_known(run) else []),
        *_gain_texts(member),
        text.per_stage(member.arch, member.policy, "precision"),
        text.per_stage(member.arch, member.policy, "sparsity"),
    ]


def _brief_texts(run: RunTables) -> tuple[list[str], list[list[str]]]:
    shown, names = run.task.shown, portability.targets(run)
    header = [
        "network",
        "key",
        f"{shown.head} (search)",
        f"test {shown.unit}".rstrip(),
        f"latency ms{summary.per_batch(run)}",
        *portability.heads(names),
        "size",
        *_gain_head(run),
    ]
    rows = [
        [
            role(member),
            member.key,
            text.score(member.deployed.search.shown, shown),
            text.score(member.deployed.test.shown, shown),
            text.significant(member.deployed.latency.median_ms),
            *portability.texts(member, names),
            text.size(member.deployed.bytes),
            *_gain_texts(member),
        ]
        for member in run.members
    ]
    return header, rows


def role(member: Member) -> str:
    """What the row is, in words: "front, knee", "front, random 2", "random 1, over the limit"."""
    marks = [UNTUNED] if member.is_untuned else []
    marks += ["altered"] if member.is_altered else []
    if member.is_reference:
        over = ["over the limit"] if member.over_limits else []
        return ", ".join([member.name, *marks, *over])
    ties = [f"tied with {key}" for key in member.tied_with]
    tuned = [f"fine-tuned from {member.finetuned.source}"] if member.finetuned else []
    own = [member.role] if member.role else treatments_said(member.policy)
    named = [*own, *(["knee"] if member.is_knee else [])]
    return ", ".join(["front", *named, *tuned, *marks, *ties])


def _with_range(value: str, bounds: str) -> str:
    return f"{value} ({bounds})" if bounds and value != text.MISSING else value
