"""Our controllers and today's tools, on a real table and on made-up ones, in the same run.

    python benchmarks/controllers.py --table nas-bench-macro.csv [--known macs] [--seeds 10]
    python benchmarks/controllers.py --families all [--seeds 5]

The peers, each with its defaults and live (nothing is rebuilt): optuna's NSGA-II, TPE and GP
samplers; pymoo's NSGA-II (`pip install pymoo`); LINAS as in DyNAS-T (Sridhar et al., SimQ-NAS,
2023): evaluate a population, fit a ridge per objective on one-hot encodings, run NSGA-II for 20,000
predictions, evaluate the last population, and so on. A peer may propose what it has evaluated
before: it gets the answer again, which costs no evaluation; after 50 such proposals in a row it
gets a random new network. Of networks that failed, and of those over a limit, peers are told the
worst loss so far.
"""

import argparse
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from families import FAMILIES

from nas.bench.benchmark import Ask, Benchmark, controllers_of, mean, record_of, run_search, stderr
from nas.bench.table import read_table
from nas.controllers._variation import propose
from nas.problem.problem import Objective, Problem
from nas.problem.trial import Trial
from search_spaces import Candidate

Proposals = Generator[Sequence[int], Sequence[float], None]
"""Yields option indices, is sent the losses."""
EVALUATIONS = (50, 100, 200)
PATIENCE = 50
WORST = 1e6
POPULATION, PREDICTIONS = 50, 20_000


def optuna_peer(kind: str) -> Callable[[Problem, int], Proposals]:
    """A sampler of optuna with its defaults."""

    def proposals(problem: Problem, seed: int) -> Proposals:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = getattr(optuna.samplers, kind)(seed=seed)
        study = optuna.create_study(
            directions=["minimize"] * len(problem.objectives), sampler=sampler
        )
        cardinalities = problem.space.cardinalities
        distributions = {
            str(i): optuna.distributions.CategoricalDistribution(range(n))
            for i, n in enumerate(cardinalities)
        }
        while True:
            trial = study.ask(distributions)
            losses = yield [trial.params[str(i)] for i in range(len(cardinalities))]
            study.tell(trial, list(losses))

    return proposals


def pymoo_nsga2(problem: Problem, seed: int) -> Proposals:
    """pymoo's NSGA-II on integers, its population 20: of 100, most evaluations were random."""
    algorithm = _nsga2(problem, seed, population=20)
    while True:
        asked = algorithm.ask()
        losses = []
        for row in asked.get("X"):
            losses.append((yield [int(i) for i in row]))
        asked.set("F", np.array(losses, dtype=float))
        algorithm.tell(infills=asked)


def _nsga2(problem: Problem, seed: int, *, population: int) -> "object":
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import Problem as PymooProblem
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling

    cardinalities = np.array(problem.space.cardinalities)
    algorithm = NSGA2(
        pop_size=population,
        sampling=IntegerRandomSampling(),
        crossover=SBX(prob=0.9, eta=3.0, vtype=float, repair=RoundingRepair()),
        mutation=PM(eta=3.0, vtype=float, repair=RoundingRepair()),
        eliminate_duplicates=True,
    )
    integers = PymooProblem(
        n_var=len(cardinalities),
        n_obj=len(problem.objectives),
        xl=np.zeros(len(cardinalities), dtype=int),
        xu=cardinalities - 1,
        vtype=int,
    )
    algorithm.setup(integers, termination=("n_gen", 10**6), seed=seed, verbose=False)
    return algorithm


def linas(problem: Problem, seed: int) -> Proposals:
    """DyNAS-T's loop: predictors refitted after every population."""
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(seed)
    cardinalities = problem.space.cardinalities
    rows = problem.space.sample(rng, POPULATION).tolist()
    known: dict[tuple[int, ...], Sequence[float]] = {}
    while True:
        for row in rows:
            known[tuple(row)] = yield row
        features = one_hot(np.array(list(known)), cardinalities)
        losses_NM = np.array(list(known.values()))
        models = [Ridge(alpha=1.0).fit(features, column) for column in losses_NM.T]
        algorithm = _nsga2(problem, int(rng.integers(2**31)), population=POPULATION)
        for _ in range(PREDICTIONS // POPULATION):
            asked = algorithm.ask()  # type: ignore[attr-defined]
            encoded = one_hot(asked.get("X").astype(int), cardinalities)
            asked.set("F", np.stack([model.predict(encoded) for model in models], axis=1))
            algorithm.tell(infills=asked)  # type: ignore[attr-defined]
        found = algorithm.pop.get("X").astype(int)  # type: ignore[attr-defined]
        rows = [row for row in found.tolist() if tuple(row) not in known]
        rows = rows or problem.space.sample(rng, POPULATION).tolist()


def one_hot(rows_NC: np.ndarray, cardinalities: Sequence[int]) -> np.ndarray:
    """Shape (N, sum of cardinalities)."""
    return np.concatenate(
        [np.eye(n)[rows_NC[:, column]] for column, n in enumerate(cardinalities)], axis=1
    )


PEERS: dict[str, Callable[[Problem, int], Proposals]] = {
    "optuna NSGA-II": optuna_peer("NSGAIISampler"),
    "optuna TPE": optuna_peer("TPESampler"),
    "optuna GP": optuna_peer("GPSampler"),
    "pymoo NSGA-II": pymoo_nsga2,
    "LINAS": linas,
}


@dataclass
class Live:
    """A peer as a controller: keeps its state from ask to ask.

    Attributes:
        proposals: The peer.
        rng: For networks that it gets when it repeats itself.
        row: Its proposal that has no answer yet.
    """

    proposals: Proposals
    rng: np.random.Generator
    row: Sequence[int] = field(init=False)

    def __post_init__(self) -> None:
        self.row = next(self.proposals)

    def __call__(self, problem: Problem, trials: Sequence[Trial], n: int) -> list[Candidate]:
        """As `AbstractController.ask`, for one candidate."""
        losses_NM = problem.losses(trials)
        worst_M = np.nan_to_num(np.nanmax(losses_NM, axis=0, initial=-WORST), nan=WORST)
        is_bad_N = ~np.isfinite(losses_NM).all(axis=1) | (problem.excesses(trials) > 0.0)
        losses_NM[is_bad_N] = worst_M
        known = dict(zip((t.candidate.encoding for t in trials), losses_NM.tolist(), strict=True))
        for _ in range(PATIENCE):
            candidate = problem.space.candidate([int(i) for i in self.row])
            if candidate.encoding in known:
                self.row = self.proposals.send(known[candidate.encoding])
            elif not problem.is_feasible(np.array([candidate.encoding]))[0]:
                self.row = self.proposals.send(worst_M.tolist())
            else:
                return [candidate]
        return propose(problem, trials, n, source=(), rng=self.rng)


def main() -> None:
    """Prints a table per problem."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--known", default="")
    parser.add_argument("--families", default="", help="names with commas, or all")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", default="", help="names with commas")
    arguments = parser.parse_args()
    only = [name for name in arguments.only.split(",") if name]
    if arguments.table:
        table = read_table(arguments.table, ["layer*"])
        objectives = (Objective("test_acc", "maximize"), Objective("macs", "minimize"))
        problem = Benchmark(
            table=table,
            objectives=objectives,
            reference=(80.0, float(table.column("macs").max())),
            known=tuple(arguments.known.split(",")) if arguments.known else (),
        )
        compare(lambda seed: problem, arguments.seeds, (30, *EVALUATIONS), only)
    families = list(FAMILIES) if arguments.families == "all" else arguments.families.split(",")
    for name in filter(None, families):
        print(f"\n{name}")
        compare(FAMILIES[name], arguments.seeds, EVALUATIONS, only)


def compare(
    problem_of: Callable[[int], Benchmark], seeds: int, evaluations: Sequence[int], only: list[str]
) -> None:
    """Prints a line per controller: mean and standard error after so many evaluations."""
    contestants: dict[str, Callable[[Problem, int], Ask]] = {}
    for name, controller in controllers_of(()).items():
        contestants[name] = lambda _, seed, own=controller: replace(own, seed=seed).ask
    for name, peer in PEERS.items():
        contestants[name] = lambda problem, seed, peer=peer: Live(
            peer(problem, seed), np.random.default_rng(seed)
        )
    for name in only or contestants:
        start = time.perf_counter()
        records = []
        for seed in range(seeds):
            benchmark = problem_of(seed)
            ask = contestants[name](benchmark.problem, seed)
            outcome = run_search(benchmark, ask, evaluations=max(evaluations), seed=seed)
            records.append(record_of(benchmark, [outcome], evaluations))
        cells = []
        for number in evaluations:
            found = [record.shares[number][0] for record in records]
            cells.append(f"{mean(found):.3f} +- {stderr(found):.3f}")
        ask_ms = mean([record.ask_ms for record in records])
        seconds = time.perf_counter() - start
        print(f"{name:15} {'   '.join(cells)}   {ask_ms:7.1f} ms   {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
