"""Made-up tables of many shapes, so that no controller is tuned to one real one.

Each family makes a table of a few thousand networks from a seed. Quality is a percentage with the
best networks near 95; what makes a good network differs:

    additive      six choices of five words; effects of single choices, weak interactions of pairs
    nk            eight choices of three words; every choice's effect depends on two others
    depth         one to four blocks of three choices each; inactive ones are empty
    cliffs        eight choices of three numbers; quality in steps, a fifth of the networks at
                  chance, a tenth failed
    noise         as additive, and an evaluation is off by 0.5 points (standard deviation)
    three         seven choices of three numbers; latency is not additive and limited, size is known
"""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from nas.bench.benchmark import Benchmark
from nas.bench.table import Table
from nas.problem.problem import Limit, Objective
from search_spaces import Choice, SearchSpace

QUALITY, COST = Objective("quality", "maximize"), Objective("macs", "minimize")
WORDS = ("conv", "window", "raft", "skip", "pool")
NOISE_POINTS = 0.5


@dataclass(frozen=True)
class Rows:
    """All networks of a space and how much each choice weighs."""

    space: SearchSpace
    rows_NC: np.ndarray

    def effects(self, rng: np.random.Generator) -> np.ndarray:
        """Effect of every row's options, shape (N, C): 0 where a choice is inactive."""
        tables = [rng.standard_normal(n) for n in self.space.cardinalities]
        columns = [table[self.rows_NC[:, c]] for c, table in enumerate(tables)]
        return np.stack(columns, axis=1) * self.space.is_active(self.rows_NC)

    def pairs(self, rng: np.random.Generator) -> np.ndarray:
        """Sum of the effects of all pairs of choices, shape (N,)."""
        total_N = np.zeros(len(self.rows_NC))
        active_NC = self.space.is_active(self.rows_NC)
        for a, b in itertools.combinations(range(len(self.space.choices)), 2):
            table = rng.standard_normal((self.space.cardinalities[a], self.space.cardinalities[b]))
            is_active_N = active_NC[:, a] & active_NC[:, b]
            total_N += table[self.rows_NC[:, a], self.rows_NC[:, b]] * is_active_N
        return total_N

    def cost(self, rng: np.random.Generator) -> np.ndarray:
        """A positive sum over active choices; later options tend to cost more."""
        tables = [np.cumsum(rng.uniform(0.2, 2.0, n)) for n in self.space.cardinalities]
        columns = [table[self.rows_NC[:, c]] for c, table in enumerate(tables)]
        active_NC = self.space.is_active(self.rows_NC)
        return 10.0 + (np.stack(columns, axis=1) * active_NC).sum(axis=1)


def all_rows(space: SearchSpace) -> Rows:
    """Every canonical network."""
    everything = np.indices(space.cardinalities).reshape(len(space.choices), -1).T
    return Rows(space, np.unique(space.canonical_many(everything), axis=0))


def flat(num_choices: int, options: tuple[int | str, ...]) -> Rows:
    """Choices that all offer the same options and are always active."""
    names = [f"slot{i}.operator" for i in range(num_choices)]
    return all_rows(SearchSpace("flat", tuple(Choice(name, options) for name in names)))


def percent(score_N: np.ndarray, cost_N: np.ndarray) -> np.ndarray:
    """Quality: better with the score, and up to a point with the cost; 40 to 95 about."""
    score_N = (score_N - score_N.mean()) / score_N.std()
    cost_N = (cost_N - cost_N.mean()) / cost_N.std()
    return 95.0 - 6.0 * np.log1p(np.exp(-(0.8 * score_N + 0.8 * cost_N)))


def benchmark(
    rows: Rows,
    values: Mapping[str, np.ndarray],
    objectives: tuple[Objective, ...] = (QUALITY, COST),
    **fields: object,
) -> Benchmark:
    """The table with a reference: the tenth percentile of qualities, the largest of costs."""
    reference = tuple(
        float(np.nanquantile(values[o.metric], 0.1 if o.goal == "maximize" else 1.0))
        for o in objectives
    )
    table = Table(rows.space.name, rows.space, rows.rows_NC, values)
    return Benchmark(table=table, objectives=objectives, reference=reference, **fields)  # type: ignore[arg-type]


def additive(seed: int) -> Benchmark:
    """See the module."""
    rng = np.random.default_rng([1, seed])
    rows = flat(6, WORDS)
    cost_N = rows.cost(rng)
    score_N = rows.effects(rng).sum(axis=1) + 0.25 * rows.pairs(rng)
    return benchmark(rows, {"quality": percent(score_N, cost_N), "macs": cost_N})


def nk(seed: int) -> Benchmark:
    """See the module. Source: Kauffman and Weinberger, The NK model of rugged landscapes (1989)."""
    rng = np.random.default_rng([2, seed])
    rows = flat(8, WORDS[:3])
    cost_N = rows.cost(rng)
    score_N = np.zeros(len(rows.rows_NC))
    for choice in range(8):
        others = rng.permutation([c for c in range(8) if c != choice])[:2]
        table = rng.random((3, 3, 3))
        score_N += table[tuple(rows.rows_NC[:, c] for c in (choice, *others))]
    return benchmark(rows, {"quality": percent(score_N, cost_N), "macs": cost_N})


def depth(seed: int) -> Benchmark:
    """See the module."""
    rng = np.random.default_rng([3, seed])
    choices = [Choice("depth", (1, 2, 3, 4))]
    for block in (1, 2, 3, 4):
        condition = (("depth", tuple(d for d in (1, 2, 3, 4) if d >= block)),)
        choices.append(Choice(f"block{block}.operator", WORDS[:3], condition))
        choices.append(Choice(f"block{block}.width", (8, 16, 32), condition))
    rows = all_rows(SearchSpace("depth", tuple(choices)))
    cost_N = rows.cost(rng)
    score_N = rows.effects(rng).sum(axis=1) + 0.25 * rows.pairs(rng)
    return benchmark(rows, {"quality": percent(score_N, cost_N), "macs": cost_N})


def cliffs(seed: int) -> Benchmark:
    """See the module."""
    rng = np.random.default_rng([4, seed])
    rows = flat(8, (3, 5, 7))
    cost_N = rows.cost(rng)
    quality_N = np.round(percent(rows.effects(rng).sum(axis=1), cost_N), 0)
    edge_N = rows.effects(rng)[:, :3].sum(axis=1)
    quality_N[edge_N > np.quantile(edge_N, 0.8)] = 10.0
    broken_N = rows.effects(rng)[:, 3:6].sum(axis=1)
    quality_N[broken_N > np.quantile(broken_N, 0.9)] = np.nan
    return benchmark(rows, {"quality": quality_N, "macs": cost_N})


def noise(seed: int) -> Benchmark:
    """See the module."""
    rng = np.random.default_rng([5, seed])
    rows = flat(6, WORDS)
    cost_N = rows.cost(rng)
    score_N = rows.effects(rng).sum(axis=1) + 0.25 * rows.pairs(rng)
    values = {
        "quality": percent(score_N, cost_N),
        "macs": cost_N,
        "std": np.full(len(cost_N), NOISE_POINTS),
    }
    return benchmark(rows, values, noise="std")


def three(seed: int) -> Benchmark:
    """See the module."""
    rng = np.random.default_rng([6, seed])
    rows = flat(7, (8, 16, 32))
    cost_N = rows.cost(rng)
    latency_N = cost_N * np.exp(0.15 * rows.pairs(rng) / np.sqrt(21.0))
    size_N = rows.cost(rng)
    score_N = rows.effects(rng).sum(axis=1) + 0.25 * rows.pairs(rng)
    values = {"quality": percent(score_N, cost_N), "latency_ms": latency_N, "size_bytes": size_N}
    objectives = (
        QUALITY,
        Objective("latency_ms", "minimize"),
        Objective("size_bytes", "minimize"),
    )
    limit = Limit("latency_ms", float(np.quantile(latency_N, 0.6)))
    return benchmark(rows, values, objectives, limits=(limit,), known=("size_bytes",))


FAMILIES: Mapping[str, Callable[[int], Benchmark]] = {
    "additive": additive,
    "nk": nk,
    "depth": depth,
    "cliffs": cliffs,
    "noise": noise,
    "three": three,
}
