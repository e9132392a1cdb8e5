"""Networks made by hand against the fronts of finished runs: the comparison of `handmade.py`.

All files by hand and the deployed files of each run's front are timed again, together in one call,
because latencies compare within one call only; those are the latencies used. The front by hand is
chosen on the search split (accuracy, latency, bytes) from files of both precisions; a run's front
is its own, which it chose on the same split (by log-loss). Both are then judged on test.

Hypervolume is the share of a box that a side's front dominates. Accuracy reaches from guessing
(one of the classes) to 1; latency and bytes up to the largest of any row of either side. Their axis
is linear from 0, where small networks hardly differ, and logarithmic from the smallest of any row.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas.cli.console import print_table
from nas.executors import make_timer
from nas.front.timing import SPARE_PROCESSES, TIMING_PROCESSES
from nas.problem.pareto import hypervolume, non_dominated
from nas.run.config import Config
from nas.system.files import read_json, write_json
from reports.load import load_run
from reports.records import RunTables
from search_spaces import CandidateError, UserError

RESULTS = "against.json"
BY_HAND = "by hand"
AXES = ("linear", "log10")
COSTS = {"latency": "latency_ms", "size": "size_bytes"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One file.

    Attributes:
        side: `BY_HAND` or a run's name.
        name: Of the network.
        precision: Of the file.
        search: Accuracy on the search split.
        test: Accuracy on the test split.
        size_bytes: Of the file.
        macs: Multiply-adds.
        latency_ms: Median.
        is_chosen: Whether it is on its side's front.
    """

    side: str
    name: str
    precision: str
    search: float
    test: float
    size_bytes: int
    macs: int
    latency_ms: float
    is_chosen: bool


def compare(document: Mapping[str, Any], folder: Path, runs: Sequence[Path]) -> None:
    """Prints rows and hypervolumes, and keeps them in against.json.

    Args:
        document: handmade.json.
        folder: Where it and the files are.
        runs: Finished ones.

    Raises:
        UserError: If a run has no front, or is about other data or another way of timing.
    """
    tables = [load_run(run) for run in runs]
    for table in tables:
        refuse_another_problem(document, table)
    sides = [table.folder.resolve().name for table in tables]
    sides = sides if len(set(sides)) == len(sides) else [str(run) for run in runs]
    files = [folder / row["file"] for row in document["rows"]]
    facts = [facts_by_hand(row) for row in document["rows"]]
    for side, table in zip(sides, tables, strict=True):
        for member in table.front:
            deployed = member.deployed
            files.append(table.folder / member.folder / deployed.name)
            facts.append(
                {
                    "side": side,
                    "name": member.key,
                    "precision": deployed.precision,
                    "search": deployed.search.shown,
                    "test": deployed.test.shown,
                    "size_bytes": deployed.bytes,
                    "macs": member.macs,
                }
            )
    print(f"timing {len(files)} files of all sides together", flush=True)
    timings = make_timer(Config())(files, processes=TIMING_PROCESSES, spares=SPARE_PROCESSES)
    failed = next((timing for timing in timings if isinstance(timing, CandidateError)), None)
    if failed:
        raise failed
    latencies = [timing.median_ms for timing in timings]
    rows = chosen([{**f, "latency_ms": ms} for f, ms in zip(facts, latencies, strict=True)])
    num_classes = len(document["data"]["classes"])
    volumes = hypervolumes(rows, 1 / num_classes)
    write_json(
        folder / RESULTS,
        {
            "runs": [str(run) for run in runs],
            "rows": [asdict(row) for row in rows],
            "timings": [timing.to_json() for timing in timings],
            "hypervolume": volumes,
        },
    )
    print_rows(rows)
    print_hypervolumes(rows, volumes, num_classes)


def refuse_another_problem(document: Mapping[str, Any], table: RunTables) -> None:
    """Numbers of other images, or timed otherwise, do not compare.

    Raises:
        UserError: Saying what differs.
    """
    data, path = read_json(table.folder / "data.json"), table.folder
    for name, value in document["data"].items():
        if data.get(name) != value:
            raise UserError(
                f"run '{path}' has other images: {name} is {data.get(name)!r:.60} there and "
                f"{value!r:.60} by hand. Give the same data, resolution and seed."
            )
    for name in ("target", "timing_threads"):
        usual = getattr(Config(), name)
        if table.config.get(name) != usual:
            raise UserError(f"run '{path}' has {name} {table.config.get(name)}, not {usual}.")
    if not table.front:
        raise UserError(f"run '{path}' has no front yet. Finish its search first.")


def facts_by_hand(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of handmade.json as one of `Row`."""
    accuracy = {split: found["fraction"] for split, found in row["accuracy"].items()}
    kept = {"name": row["network"], "precision": row["precision"], "macs": row["macs"]}
    return {"side": BY_HAND, "size_bytes": row["bytes"], **kept, **accuracy}


def chosen(facts: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Rows, of which those by hand know whether the search split puts them on a front."""
    losses_NM = np.array(
        [
            (-f["search"], f["latency_ms"], f["size_bytes"])
            if f["side"] == BY_HAND
            else [np.nan] * 3
            for f in facts
        ],
        dtype=float,
    )
    is_front_N = non_dominated(losses_NM)
    return [
        Row(**f, is_chosen=bool(is_front) or f["side"] != BY_HAND)
        for f, is_front in zip(facts, is_front_N, strict=True)
    ]


def hypervolumes(rows: Sequence[Row], chance: float) -> dict[str, dict[str, dict[str, float]]]:
    """Share of the box by cost, side and axis."""
    sides = dict.fromkeys(row.side for row in rows)
    return {
        name: {side: shares(rows, side, cost, chance) for side in sides}
        for name, cost in COSTS.items()
    }


def shares(rows: Sequence[Row], side: str, cost: str, chance: float) -> dict[str, float]:
    """Shares of the box with a linear and with a logarithmic axis of this cost."""
    costs = [getattr(row, cost) for row in rows]
    least, most = min(costs), max(costs)
    members = [row for row in rows if row.side == side and row.is_chosen]
    errors = [1 - row.test for row in members]
    linear = [getattr(row, cost) / most for row in members]
    decades = math.log10(most / least)
    found = {"linear": box_share(errors, linear, 1 - chance)}
    if decades > 0:
        logarithmic = [math.log10(getattr(row, cost) / least) / decades for row in members]
        found["log10"] = box_share(errors, logarithmic, 1 - chance)
    return found


def box_share(errors: Sequence[float], costs: Sequence[float], worst_error: float) -> float:
    """The dominated share of the box up to this error and cost 1."""
    losses_N2 = np.stack([errors, costs], axis=1)
    return hypervolume(losses_N2, np.array([worst_error, 1.0])) / worst_error


def print_rows(rows: Sequence[Row]) -> None:
    """All files by latency, and which are on fronts."""
    losses_NM = np.array([(-row.test, row.latency_ms, row.size_bytes) for row in rows])
    is_best_N = non_dominated(losses_NM)
    cells = [
        [
            row.side,
            row.name,
            row.precision,
            f"{row.macs / 1e6:.2f}",
            f"{row.size_bytes / 1e3:.1f}",
            f"{row.latency_ms:.4f}",
            f"{100 * row.search:.1f}",
            f"{100 * row.test:.1f}",
            "**" if is_best and row.is_chosen else "*" if row.is_chosen else "",
        ]
        for row, is_best in sorted(
            zip(rows, is_best_N, strict=True), key=lambda pair: pair[0].latency_ms
        )
    ]
    header = ["side", "network", "precision", "MMACs", "kB", "ms", "search %", "test %", "front"]
    print_table(header, cells)
    print("front: * of its side, chosen on search; ** and no row of any side dominates it on test")


def print_hypervolumes(
    rows: Sequence[Row], volumes: Mapping[str, Mapping[str, Mapping[str, float]]], num_classes: int
) -> None:
    """A line per cost and side."""
    most = {name: max(getattr(row, cost) for row in rows) for name, cost in COSTS.items()}
    print(
        f"hypervolume, share of the box; reference point: accuracy on test 1/{num_classes}, "
        f"{most['latency']:.4f} ms, {most['size'] / 1e3:.1f} kB"
    )
    header = ["accuracy and", "side", "members", "linear axis %", "log10 axis %"]
    cells = []
    for name, by_side in volumes.items():
        for side, found in by_side.items():
            members = sum(row.side == side and row.is_chosen for row in rows)
            axes = [f"{100 * found[axis]:.2f}" if axis in found else "-" for axis in AXES]
            cells.append([name, side, str(members), *axes])
    print_table(header, cells)
