"""Controllers on a trained supernet: what of the common front each has after so many trials.

    python benchmarks/supernet.py RUN --controllers predictor,nsga2,random --trials 100 --seeds 3

RUN is a finished `nas search`; its scores are real ones: a candidate is cut out, compressed and
judged on the search split. A score is worked out once and kept in RUN/../NAME-scores.jsonl, so the
same command continues, and controllers that ask for the same candidate share its score.

Printed is the hypervolume of what was scored, as a share of that of all trials of all searches
together; the reference is guessing's log-loss and the worst of every other objective.
"""

import argparse
import json
import math
import statistics
from pathlib import Path

import numpy as np

from nas.controllers import CONTROLLERS
from nas.prepare.reopen import Trained, reopened
from nas.problem.pareto import hypervolume
from nas.problem.trial import Score, Trial
from nas.search_flow import trial_of
from nas.system.reporter import Silent
from search_spaces import Candidate

AFTER = (25, 50, 100, 200, 400)


def main() -> None:
    """Prints mean and standard error over seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--controllers", default="predictor,evolution,local,nsga2,tpe,gp,random")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    trained = reopened(arguments.run, Silent())
    scores = Scores(trained, arguments.run.parent / f"{arguments.run.name}-scores.jsonl")
    searches: dict[str, list[list[Trial]]] = {}
    for seed in range(arguments.seeds):
        for name in arguments.controllers.split(","):
            searches.setdefault(name, []).append(
                searched(trained, scores, name, seed, arguments.trials)
            )
            print(f"seed {seed}: {name}, {len(scores.known)} scores in all", flush=True)
    report(trained, searches, [n for n in AFTER if n <= arguments.trials])


class Scores:
    """Scores of candidates, each worked out once."""

    def __init__(self, trained: Trained, path: Path) -> None:
        self._trained = trained
        self._path = path
        self.known: dict[str, Score] = {}
        if path.exists():
            for line in path.read_text().splitlines():
                row = json.loads(line)
                self.known[row["key"]] = Score(row["metrics"], failure=row["failure"])

    def __call__(self, candidate: Candidate) -> Score:
        """The score, from the file if it is there."""
        if candidate.key not in self.known:
            score = self._trained.scorer(candidate)
            row = {"key": candidate.key, "metrics": dict(score.metrics), "failure": score.failure}
            with self._path.open("a") as file:
                file.write(json.dumps(row) + "\n")
            self.known[candidate.key] = score
        return self.known[candidate.key]


def searched(trained: Trained, scores: Scores, name: str, seed: int, number: int) -> list[Trial]:
    """The trials of one search."""
    controller = CONTROLLERS.get(name)(seed=seed)
    trials: list[Trial] = []
    while len(trials) < number:
        asked = controller.ask(trained.problem, trials, 1)
        if not asked:
            break
        trials.append(trial_of(trained.problem, asked[0], scores(asked[0]), len(trials)))
    return trials


def report(trained: Trained, searches: dict[str, list[list[Trial]]], after: list[int]) -> None:
    """Prints the table."""
    problem = trained.problem
    everything = [trial for of_seed in searches.values() for trials in of_seed for trial in trials]

    def losses(trials: list[Trial]) -> np.ndarray:
        losses_NM = problem.within_limits(problem.losses(trials), trials)
        return losses_NM[np.isfinite(losses_NM).all(axis=1)]

    all_NM = losses(everything)
    reference_M = all_NM.max(axis=0)
    metrics = [objective.metric for objective in problem.objectives]
    if "log_loss" in metrics:
        reference_M[metrics.index("log_loss")] = math.log(trained.data.num_classes)
    whole = hypervolume(all_NM, reference_M)
    print(f"objectives {', '.join(metrics)}; reference {reference_M.tolist()}")
    print("controller", *after, sep="\t")
    for name, of_seed in searches.items():
        cells = []
        for n in after:
            shares = [hypervolume(losses(trials[:n]), reference_M) / whole for trials in of_seed]
            error = statistics.stdev(shares) / len(shares) ** 0.5 if len(shares) > 1 else math.nan
            cells.append(f"{statistics.mean(shares):.3f} +- {error:.3f}")
        print(name, *cells, sep="\t")


if __name__ == "__main__":
    main()
