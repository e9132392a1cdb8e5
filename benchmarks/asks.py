"""How long a controller takes to propose one candidate of a space of 80 choices.

    python benchmarks/asks.py

Two objectives that nobody knows beforehand; the trials so far are random networks. One thread.
Every ask has one trial more than the one before it, as in a search, so some of them learn anew.
"""

import statistics
import time

import numpy as np
import torch

from nas.controllers import CONTROLLERS
from nas.problem.problem import Objective, Problem
from nas.problem.trial import Trial
from search_spaces import Choice, SearchSpace

CHOICES, ASKS = 80, 20
SIZES = {"predictor": (100, 1000), "evolution": (1000, 10_000)}
"""Trials so far."""


def main() -> None:
    """Prints the median and the mean of every controller and number of trials."""
    torch.set_num_threads(1)
    space = SearchSpace("80", tuple(Choice(f"choice{i}", (1, 2, 3)) for i in range(CHOICES)))
    objectives = (Objective("log_loss", "minimize"), Objective("latency_ms", "minimize"))
    problem = Problem(space=space, objectives=objectives)
    rng = np.random.default_rng(0)
    effects = rng.normal(size=(CHOICES, 3))
    rows_NC = space.sample(rng, max(max(sizes) for sizes in SIZES.values()) + ASKS)
    losses_N = effects[np.arange(CHOICES), rows_NC].sum(axis=1)
    latencies_N = 1.0 + rows_NC.sum(axis=1)
    trials = [
        Trial(
            number=number,
            candidate=space.candidate(row),
            metrics={"log_loss": float(loss), "latency_ms": float(latency_ms)},
            predicted={},
        )
        for number, (row, loss, latency_ms) in enumerate(
            zip(rows_NC.tolist(), losses_N, latencies_N, strict=True)
        )
    ]
    for name, sizes in SIZES.items():
        controller = CONTROLLERS.get(name)(seed=1)
        for size in sizes:
            milliseconds = []
            for extra in range(ASKS):
                started = time.perf_counter()
                controller.ask(problem, trials[: size + extra], 1)
                milliseconds.append(1e3 * (time.perf_counter() - started))
            median, mean = statistics.median(milliseconds), statistics.mean(milliseconds)
            print(f"{name:10} {size:6} trials: median {median:.0f} ms, mean {mean:.0f} ms")


if __name__ == "__main__":
    main()
