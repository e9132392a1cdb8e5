"""TPE as in NNI: one density per choice, options drawn where good trials are denser than others.

Bergstra et al., Algorithms for Hyper-Parameter Optimization (NeurIPS 2011). The algorithm is NNI
3.0's `suggest`, a pure function of the trials, below the tuner that remembers them; so no tuner is
rebuilt. As in NNI a choice that is inactive in a trial learns nothing from it, and trials that are
being evaluated count as being as good as the best one.

Where we depart: NNI improves one number. Several objectives become one by weights that are drawn
anew for every proposal, as in Knowles, ParEGO (IEEE TEC 2006): the largest weighted loss, and a
twentieth of their sum, of losses as ranks among the trials, because NNI looks at their order alone.
What NNI proposes over a modelled limit is repaired, and what has been proposed before is passed
over, where NNI would go on with a grid.

NNI is on x86-64 alone, is not developed any further, and is installed without its requirements
(docs/decisions/0062).
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
from scipy.stats import rankdata

from nas.controllers._base import CONTROLLERS, AbstractController, check_installed, generator
from nas.controllers._optuna import REMEMBERED, TRIES, is_third_known, remembered
from nas.controllers._variation import encodings_of, propose
from nas.problem.feasible import repair
from nas.problem.problem import Problem
from nas.problem.trial import Trial
from search_spaces import Candidate, check_ranges, to_nni

if TYPE_CHECKING:
    from nni.algorithms.hpo.tpe_tuner import Record

AUGMENTED = 0.05
"""How much of the sum of losses is added to the largest."""


@final
@CONTROLLERS.register
@dataclass(frozen=True, kw_only=True)
class NniTPE(AbstractController):
    """NNI's tree-structured Parzen estimator (x86-64; needs NNI).

    Attributes:
        seed: Of all random draws.
        warm_up: Trials in which a choice was active before its density is estimated; until then,
            it is drawn at random.
        draws: Options drawn from the density of good trials, of which the best is proposed.
    """

    modules: ClassVar[tuple[str, ...]] = ("nni", "json_tricks", "typeguard", "psutil", "schema")
    install: ClassVar[str] = (
        "pip install -c constraints.txt -e '.[nni]' && pip install --no-deps nni==3.0 "
        "in the checkout of pareto-nas"
    )

    seed: int = 0
    warm_up: int = 20
    draws: int = 24

    def __post_init__(self) -> None:
        check_ranges(self, "controller 'nni-tpe'", warm_up=(1, np.inf), draws=(1, np.inf))

    def ask(self, problem: Problem, trials: Sequence[Trial], n: int) -> list[Candidate]:
        """See `AbstractController.ask`."""
        rng = generator(self.seed, trials)
        return propose(problem, trials, n, source=self._draws(problem, trials, n, rng), rng=rng)

    def _draws(
        self, problem: Problem, trials: Sequence[Trial], n: int, rng: np.random.Generator
    ) -> Iterator[np.ndarray]:
        if is_third_known(problem.space, trials):
            return
        check_installed("nni-tpe")
        from nni.algorithms.hpo.tpe_tuner import TpeArguments, suggest
        from nni.common.hpo_utils import format_search_space

        arguments = TpeArguments(n_startup_jobs=self.warm_up, n_ei_candidates=self.draws)
        offered = format_search_space(to_nni(problem.space))
        for history in itertools.islice(_histories(problem, trials, rng), TRIES * n):
            found = suggest(arguments, rng, offered, history)
            row_1C = np.array([[found[choice.name,] for choice in problem.space.choices]], int)
            yield repair(problem, row_1C, rng)


def _histories(
    problem: Problem, trials: Sequence[Trial], rng: np.random.Generator
) -> "Iterator[dict[tuple[str], list[Record]]]":
    """What NNI is told of the trials, each time with other weights of the objectives.

    Option and loss by choice, of the trials in which it is active, in their order.
    """
    from nni.algorithms.hpo.tpe_tuner import Record

    space = problem.space
    measured = remembered(problem, trials, num_best=REMEMBERED // 5)
    running = [trial for trial in trials if not (trial.metrics or trial.failure)]
    rows_NC = encodings_of(space, [*measured, *running])
    is_active_NC = space.is_active(rows_NC)
    active = [np.flatnonzero(column_N) for column_N in is_active_NC.T]
    options = [rows_NC[rows, column].tolist() for column, rows in enumerate(active)]
    losses_NM = problem.within_limits(problem.losses(measured), measured)
    rank_NM = rankdata(np.where(np.isnan(losses_NM), np.inf, losses_NM), axis=0)
    while True:
        loss_N = _one_number(rank_NM, rng)
        best = loss_N.min() if len(loss_N) else 0.0
        loss_N = np.concatenate([loss_N, np.full(len(running), best)])
        yield {
            (choice.name,): list(map(Record, found, loss_N[rows].tolist()))
            for choice, found, rows in zip(space.choices, options, active, strict=True)
        }


def _one_number(rank_NM: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What NNI is to minimize, by weights of the objectives that are drawn: shape (N,)."""
    weighted_NM = rank_NM * rng.dirichlet(np.ones(rank_NM.shape[1]))
    one_N: np.ndarray = weighted_NM.max(axis=1) + AUGMENTED * weighted_NM.sum(axis=1)
    return one_N
