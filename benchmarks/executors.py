"""Scores per second of `processes` against `inline`, on the supernet of a finished run.

    python benchmarks/executors.py RUN [--workers 2] [--scores 40] [--rounds 3]

The same random candidates, interleaved rounds; starting the workers is not counted.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nas.executors import EXECUTORS, Session
from nas.prepare.reopen import reopened
from nas.problem.feasible import sample_within
from nas.problem.problem import Problem
from nas.system.reporter import Silent
from search_spaces import Candidate


def main() -> None:
    """Prints the rates and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--scores", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    trained = reopened(arguments.run, Silent())
    candidates = drawn(trained.problem, arguments.scores + arguments.workers)
    seconds: dict[str, list[float]] = {"inline": [], "processes": []}
    for _ in range(arguments.rounds):
        for name, found in seconds.items():
            executor = EXECUTORS.get(name)(workers=arguments.workers)
            with executor.session(trained.scoring) as session:
                scored(session, candidates[: arguments.workers])
                found.append(scored(session, candidates[arguments.workers :]))
    for name, found in seconds.items():
        print(f"{name:10} {arguments.scores / statistics.median(found):.2f} scores/s")
    ratios = [a / b for a, b in zip(seconds["inline"], seconds["processes"], strict=True)]
    print(f"{arguments.workers} workers: {statistics.median(ratios):.2f}x of inline")


def drawn(problem: Problem, number: int) -> list[Candidate]:
    """The same random candidates every time, within the limits."""
    rows_NC = sample_within(problem, number, np.random.default_rng(0))
    return [problem.space.candidate(row) for row in rows_NC.tolist()]


def scored(session: Session, candidates: Sequence[Candidate]) -> float:
    """Seconds until all are scored."""
    started = time.perf_counter()
    for candidate in candidates:
        session.start(candidate)
    for _ in candidates:
        session.finished()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
