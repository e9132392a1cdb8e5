"""How far latencies of NAS-Bench-201 are predicted from few of them, on devices of others.

    python benchmarks/latency_public.py nb201-latency.csv --networks 50

The table has a row per network: its six edges, `macs`, and a column of milliseconds per device. A
network repeats one cell 15 times, so its time is a line through how often the cell has each
operation, non-negative and of relative errors as in the latency model. Runtimes differ in what they
run: all edges, or those alone that reach the output, and of cells that ignore their input hardly
anything. Which of the two a device does is decided by errors on fifths of the measured networks.
Beside it: multiply-adds alone, and a look-up table with the measured difference that each operation
makes to an empty cell.

Noise: where the second edge between the inner nodes is missing, exchanging these nodes changes
nothing, so the table has such cells twice, measured apart. Their differences, put on the line
through all networks, say what no prediction can exceed.
"""

import argparse
import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import nnls
from scipy.stats import kendalltau

NONE = "none"
OPERATIONS = ("avg_pool_3x3", "nor_conv_1x1", "nor_conv_3x3", "skip_connect")
SOURCES, TARGETS = (0, 0, 1, 0, 1, 2), (1, 2, 2, 3, 3, 3)
"""Nodes that the edges lead from and to: 0 is the input, 3 the output."""

EXCHANGED = (1, 0, 2, 3, 5, 4)
"""Edges of the cell whose inner nodes have changed places."""

RIDGE = 0.01
LARGE = 0.05
ROUNDS = 8
SPLITS = 5
FOLDS = 5


@dataclass(frozen=True)
class Table:
    """The table.

    Attributes:
        edges_NE: Operations.
        macs_N: Multiply-adds.
        devices: Names of columns.
        ms_ND: Milliseconds.
    """

    edges_NE: np.ndarray
    macs_N: np.ndarray
    devices: list[str]
    ms_ND: np.ndarray

    @staticmethod
    def read(path: Path) -> "Table":
        """Of a file."""
        header, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines())
        devices = [name for name in header if name.endswith("_ms")]
        columns = [header.index(name) for name in devices]
        return Table(
            np.array([row[:6] for row in rows]),
            np.array([float(row[header.index("macs")]) for row in rows]),
            devices,
            np.array([[float(row[column]) for column in columns] for row in rows]),
        )

    def twice(self) -> np.ndarray:
        """Rows of cells that are the same but for the order of their inner nodes, (P, 2)."""
        rows = {tuple(edges): number for number, edges in enumerate(self.edges_NE.tolist())}
        pairs = []
        for edges, number in rows.items():
            other = rows[tuple(edges[edge] for edge in EXCHANGED)]
            if edges[2] == NONE and number < other:
                pairs.append((number, other))
        return np.array(pairs)


def counts_all(edges_NE: np.ndarray) -> np.ndarray:
    """A call, and how often a cell has each operation, (N, 5)."""
    counts = [np.ones(len(edges_NE)), *((edges_NE == name).sum(axis=1) for name in OPERATIONS)]
    return np.stack(counts, axis=1).astype(float)


def counts_used(edges_NE: np.ndarray) -> np.ndarray:
    """The same of edges that reach the output, apart if the input does not, (N, 11)."""
    is_there_NE = edges_NE != NONE
    reached_NK = np.zeros((len(edges_NE), 4), bool)
    reached_NK[:, 0] = True
    for edge, (source, target) in enumerate(zip(SOURCES, TARGETS, strict=True)):
        reached_NK[:, target] |= reached_NK[:, source] & is_there_NE[:, edge]
    needed_NK = np.zeros((len(edges_NE), 4), bool)
    needed_NK[:, 3] = True
    for edge in reversed(range(6)):
        source, target = SOURCES[edge], TARGETS[edge]
        needed_NK[:, source] |= needed_NK[:, target] & is_there_NE[:, edge]
    is_used_NE = is_there_NE & needed_NK[:, TARGETS]
    joins = [is_used_NE[:, np.array(TARGETS) == node].sum(axis=1) for node in (2, 3)]
    sums_N = sum(np.maximum(join - 1, 0) for join in joins)
    used_NF = np.column_stack([counts_all(np.where(is_used_NE, edges_NE, NONE)), sums_N])
    depends_N1 = reached_NK[:, 3:]
    return np.hstack([used_NF * depends_N1, used_NF[:, :5] * ~depends_N1])


def line(columns_NF: np.ndarray, ms_N: np.ndarray) -> np.ndarray:
    """Non-negative factors of relative errors, which few wrong measurements do not move far.

    Errors beyond `LARGE` count by their size and not by its square (Huber).
    """
    design_NF, weight_N = columns_NF / ms_N[:, None], np.ones(len(ms_N))
    size_F = design_NF.sum(axis=0) / np.maximum((design_NF > 0).sum(axis=0), 1)
    ridge_FF = np.sqrt(RIDGE) * np.diag(np.where(size_F > 0, size_F, 1.0))
    for _ in range(ROUNDS):
        stacked = np.concatenate([design_NF * weight_N[:, None], ridge_FF])
        found_F = nnls(stacked, np.concatenate([weight_N, np.zeros(len(size_F))]))[0]
        error_N = np.abs(design_NF @ found_F - 1)
        weight_N = np.sqrt(LARGE / np.maximum(error_N, LARGE))
    return found_F


Fits = Callable[[Table, np.ndarray, np.ndarray], np.ndarray]
"""Of a table, a device's times and which of them are measured: predictions of all."""


def by_macs(table: Table, ms_N: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The line of least squares through multiply-adds, cut off at the fastest measured."""
    slope, call_ms = np.polyfit(table.macs_N[seen] / 1e6, ms_N[seen], 1)
    return np.maximum(slope * table.macs_N / 1e6 + call_ms, ms_N[seen].min())


def by_table(table: Table, ms_N: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The cell without operations, and on each edge what its operation there adds to that.

    25 measured networks, whichever are `seen`: as many as the table has entries.
    """
    rows = {tuple(edges): number for number, edges in enumerate(table.edges_NE.tolist())}
    empty = (NONE,) * 6
    found_N = np.full(len(ms_N), ms_N[rows[empty]])
    for edge in range(6):
        for name in OPERATIONS:
            only = (*empty[:edge], name, *empty[edge + 1 :])
            added = ms_N[rows[only]] - ms_N[rows[empty]]
            found_N += added * (table.edges_NE[:, edge] == name)
    return found_N


def by_counts(table: Table, ms_N: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """A line through counts of operations: of all, or of those that a runtime has to run."""
    designs = [counts_all(table.edges_NE), counts_used(table.edges_NE)]
    folds = [seen[fold::FOLDS] for fold in range(FOLDS)]

    def unlikely(design_NF: np.ndarray) -> float:
        errors = []
        for fold in folds:
            others = np.setdiff1d(seen, fold)
            predicted = design_NF[fold] @ line(design_NF[others], ms_N[others])
            errors += np.abs(predicted / ms_N[fold] - 1).tolist()
        return float(np.mean(np.minimum(errors, 1.0)))

    best_NF = min(designs, key=unlikely)
    predicted_N: np.ndarray = best_NF @ line(best_NF[seen], ms_N[seen])
    return predicted_N


def said(predicted_N: np.ndarray, ms_N: np.ndarray) -> list[float]:
    """Median error, shares within 5 and 10 %, rank correlation."""
    error_N = np.abs(predicted_N / ms_N - 1)
    tau = float(kendalltau(predicted_N, ms_N).statistic)
    return [float(np.median(error_N)), (error_N <= 0.05).mean(), (error_N <= 0.1).mean(), tau]


def limit(table: Table, ms_N: np.ndarray) -> list[float]:
    """The same of a line through all networks against itself with the noise of pairs."""
    everything = np.arange(len(ms_N))
    true_N = np.maximum(by_counts(table, ms_N, everything), 1e-6)
    one, other = table.twice().T
    apart = np.log(ms_N[one] / ms_N[other]) / np.sqrt(2)
    drawn_N = np.random.default_rng(0).choice(np.concatenate([apart, -apart]), len(ms_N))
    return said(true_N, true_N * np.exp(drawn_N))


def main() -> None:
    """Print a row per device and model: means over random sets of measured networks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("csv", type=Path)
    parser.add_argument("--networks", type=int, default=50)
    options = parser.parse_args()
    table = Table.read(options.csv)
    print("| device | model | median error, % | within 5 % | within 10 % | tau |")
    print("|---|---|---|---|---|---|")
    models: dict[str, Fits] = {
        "multiply-adds": by_macs,
        "look-up table": by_table,
        "sum over operations": by_counts,
    }
    for device, ms_N in zip(table.devices, table.ms_ND.T, strict=True):
        rows: dict[str, list[list[float]]] = {name: [] for name in models}
        for split in range(SPLITS):
            order = np.random.default_rng(split).permutation(len(ms_N))
            seen, others = order[: options.networks], order[options.networks :]
            for name, model in models.items():
                rows[name].append(said(model(table, ms_N, seen)[others], ms_N[others]))
        rows["its own noise"] = [limit(table, ms_N)]
        for name, found in rows.items():
            median, within_5, within_10, tau = np.mean(found, axis=0)
            print(
                f"| {device.removesuffix('_ms')} | {name} | {100 * median:.1f} "
                f"| {within_5:.2f} | {within_10:.2f} | {tau:.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
