"""A recurrent network decides one choice after the other, and learns from what came of it.

Which operation is good in a node depends on what feeds it; a recurrent policy knows what it has
decided before. It draws choice after choice, and its weights take a step along the gradient of the
expected reward with every trial.

Source: Zoph et al., Learning Transferable Architectures for Scalable Image Recognition (2018),
section 3.1 and appendix A.1: the controller that decides about inputs and operations of a cell in
turn. Where we depart:

- Steps of bounded length along the gradient of REINFORCE with a moving baseline, one per trial, in
  place of proximal policy optimization over batches: a search has tens of trials.
- One layer (`nas/controllers/_recurrent.py`). Options of one name share their weights wherever
  choices of one kind offer them, and each choice is known by a number of its own.
- A front has no single reward: `nas/controllers/_reward.py` says what a trial's is.
- Proposals over a modelled limit are repaired, and the gradient is that of what was measured.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np

from nas.controllers._base import CONTROLLERS, generator
from nas.controllers._folding import AbstractFolding
from nas.controllers._recurrent import Decisions, Recurrent
from nas.controllers._reward import reward
from nas.problem.feasible import repair
from nas.problem.problem import Problem
from nas.problem.trial import Trial
from search_spaces import SearchSpace, check_ranges

BROOD, ROUNDS = 8, 16
"""Encodings drawn at a time, and how often before `propose` has to help itself."""

MEMORY = 24
"""Of the recurrent network: numbers in its output and in its content."""


class Learnt(NamedTuple):
    """What was learnt: N measured trials, M objectives.

    Attributes:
        decisions: The choices in their order.
        policy: Decides.
        baseline: What reward is expected.
        losses_NM: Of the trials within the limits; NaN for the others.
    """

    decisions: Decisions
    policy: Recurrent
    baseline: float
    losses_NM: np.ndarray


@final
@CONTROLLERS.register
@dataclass(frozen=True, kw_only=True)
class RecurrentPolicy(AbstractFolding[Learnt]):
    """A recurrent policy by REINFORCE.

    Attributes:
        seed: Of the policy's first weights and of all draws.
        step_size: Length of a step of the policy's weights, per unit of reward.
        forget: Weight of a new reward in the baseline.
        explore: Probability that a choice is drawn uniformly.
    """

    seed: int = 0
    step_size: float = 1.0
    forget: float = 0.1
    explore: float = 0.05

    def __post_init__(self) -> None:
        where = "controller 'recurrent'"
        check_ranges(self, where, step_size=(0, np.inf), forget=(0, 1), explore=(0, 1))

    def begin(self, problem: Problem) -> Learnt:
        """Fresh weights, with which all options are about equally likely."""
        decisions = decisions_of(problem.space)
        features = decisions.options_TOF.shape[2]
        policy = Recurrent.fresh(decisions.num_read, MEMORY, features, generator(self.seed, ()))
        return Learnt(decisions, policy, 0.0, np.zeros((0, len(problem.objectives))))

    def fold(self, problem: Problem, state: Learnt, trial: Trial) -> Learnt:
        """One step along the gradient of the expected reward."""
        losses_1M = problem.within_limits(problem.losses([trial]), [trial])
        found = reward(losses_1M[0], state.losses_NM)
        encoding_1C = np.array([trial.candidate.encoding])
        (is_active_C,) = problem.space.is_active(encoding_1C)
        gradient = state.policy.gradient(state.decisions, encoding_1C[0], is_active_C)
        length = self.step_size * (found - state.baseline) / max(1.0, gradient.norm)
        return state._replace(
            policy=state.policy.plus(gradient, length),
            baseline=state.baseline + self.forget * (found - state.baseline),
            losses_NM=np.concatenate([state.losses_NM, losses_1M]),
        )

    def draws(
        self, problem: Problem, state: Learnt, rng: np.random.Generator
    ) -> Iterator[np.ndarray]:
        """Encodings as likely as was learnt, repaired."""
        for _ in range(ROUNDS):
            uniform_NC = problem.space.sample(rng, BROOD)
            learnt_NC = state.policy.drawn(state.decisions, BROOD, rng)
            is_uniform_NC = rng.random(uniform_NC.shape) < self.explore
            yield repair(problem, np.where(is_uniform_NC, uniform_NC, learnt_NC), rng)


def decisions_of(space: SearchSpace) -> Decisions:
    """Every choice by its number, every option by its name and the kind of its choice."""
    kinds = [choice.name.rpartition(".")[2] for choice in space.choices]
    of_kinds = zip(kinds, space.choices, strict=True)
    named = list(dict.fromkeys((kind, o) for kind, choice in of_kinds for o in choice.options))
    number = {name: place for place, name in enumerate(named)}
    most = max(space.cardinalities)
    options_TOF = np.zeros((len(kinds), most, len(named)))
    for turn, (kind, choice) in enumerate(zip(kinds, space.choices, strict=True)):
        for place, option in enumerate(choice.options):
            options_TOF[turn, place, number[kind, option]] = 1.0
    return Decisions(
        inputs_TI=np.eye(len(kinds)),
        options_TOF=options_TOF,
        is_option_TO=np.arange(most) < np.array(space.cardinalities)[:, None],
    )
