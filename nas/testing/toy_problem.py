"""A search problem of integers: evaluated in microseconds, the same on every machine.

Up to four blocks; width and operator decide how much a block adds to the quality and to the cost,
and neighbouring blocks help each other if their operators differ. 551,880 networks.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.controllers import AbstractController
from nas.problem.problem import CostModel, Limit, NothingKnown, Objective, Problem
from nas.problem.trial import Trial
from search_spaces import Candidate, Choice, SearchSpace

BLOCKS = (1, 2, 3, 4)
OPERATORS = ("conv", "attention", "mixer")
REFERENCE_M = np.array([60_000.0, 2_000.0])
"""Worse than any network worth having: log-loss, multiply-adds."""

NOTHING_KNOWN = NothingKnown()
"""The model of a problem whose costs only an evaluation says."""


def toy_space(blocks: Sequence[int] = BLOCKS) -> SearchSpace:
    """The space with at most `len(blocks)` blocks."""
    choices = [Choice("depth", tuple(blocks))]
    for block in blocks:
        condition = (("depth", tuple(depth for depth in blocks if depth >= block)),)
        choices += [
            Choice(f"block{block}.operator", OPERATORS, condition),
            Choice(f"block{block}.width", (8, 16, 32), condition),
            Choice(f"block{block}.kernel_size", (3, 5, 7), condition),
        ]
    return SearchSpace("toy-integers", tuple(choices))


@dataclass(frozen=True)
class ToyCosts:
    """Multiply-adds of any encoding of a toy space, a sum over active blocks."""

    metrics: tuple[str, ...] = ("macs",)

    def of(self, metric: str, encodings_NC: np.ndarray) -> np.ndarray:
        """The cost of every row."""
        assert metric == "macs"
        rows_NC = np.asarray(encodings_NC)
        total_N = np.full(len(rows_NC), 10.0)
        for block in range((rows_NC.shape[1] - 1) // 3):
            operator_N, width_N, kernel_N = rows_NC[:, 1 + 3 * block : 4 + 3 * block].T
            cost_N = 8 * 2**width_N * (3 + 2 * kernel_N + 4 * operator_N)
            total_N += np.where(rows_NC[:, 0] >= block, cost_N, 0)
        return total_N


def evaluate(candidate: Candidate) -> dict[str, float]:
    """The measured metrics of a candidate of a toy space."""
    depth = candidate.encoding[0] + 1
    blocks = np.array(candidate.encoding[1:]).reshape(-1, 3)[:depth]
    points = sum(2 ** (width + 1) * (3 + (kernel + op) % 3) for op, width, kernel in blocks)
    points += sum(5 for above, below in itertools.pairwise(blocks) if above[0] != below[0])
    return {"log_loss": float(1_000_000 // (10 + points))}


def toy_problem(
    *,
    blocks: Sequence[int] = BLOCKS,
    max_macs: float | None = None,
    model: CostModel | None = None,
) -> Problem:
    """Quality against cost, the cost known beforehand unless another model is given."""
    return Problem(
        space=toy_space(blocks),
        objectives=(Objective("log_loss", "minimize"), Objective("macs", "minimize")),
        limits=() if max_macs is None else (Limit("macs", max_macs),),
        model=ToyCosts() if model is None else model,
    )


def trial_of(number: int, candidate: Candidate, **fields: Any) -> Trial:
    """The trial that evaluating the candidate gives, or one with other fields."""
    macs = float(ToyCosts().of("macs", np.array([candidate.encoding]))[0])
    known = {"metrics": evaluate(candidate), "predicted": {"macs": macs}}
    return Trial(number=number, candidate=candidate, **{**known, **fields})


def search(
    controller: AbstractController, problem: Problem, num_trials: int, *, batch: int = 1
) -> list[Trial]:
    """Runs a controller until it has that many trials or proposes nothing."""
    trials: list[Trial] = []
    while len(trials) < num_trials:
        candidates = controller.ask(problem, trials, min(batch, num_trials - len(trials)))
        if not candidates:
            break
        trials += [trial_of(len(trials) + i, candidate) for i, candidate in enumerate(candidates)]
    return trials
