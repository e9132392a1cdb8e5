"""Compression by a recurrent policy: what of a network is removed, and what of the rest is shrunk.

Ashok et al., N2N Learning: Network to Network Compression via Policy Gradient Reinforcement
Learning (2017): one policy removes layers of a trained network, a second one shrinks those that are
left, and both learn by REINFORCE from R = C (2 - C) q. C is what was saved, 1 - size / own size of
the network that was brought, q the quality as a share of its own; invalid networks have R = -1.
Where we depart:

- One recurrent network decides first what is removed, then what is shrunk, one choice after the
  other and in one direction; theirs looks at layers in both directions before it removes any.
- The quality is that of the first objective. Of a loss q is the brought network's loss divided by
  the candidate's, at most `MOST_QUALITY`. In a space without a brought network, or before that one
  was measured, the best loss so far stands in its place, and the largest size.
- The size is what the first budget that is known beforehand limits, or else parameters.
- Steps of bounded length along the gradient instead of Adam: a search has tens of trials.
- Proposals over a modelled limit are repaired. Invalid are trials over a measured one; failed ones
  are not learnt from.

Weights of the policy see choices and options by their features alone, so that one policy could
decide about any network; a search begins with fresh ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, final

import numpy as np

from nas.controllers._base import CONTROLLERS, generator
from nas.controllers._folding import AbstractFolding
from nas.controllers._recurrent import Decisions, Recurrent
from nas.controllers._variation import cheap_and_costly
from nas.problem.feasible import repair
from nas.problem.problem import Problem
from nas.problem.trial import Trial
from search_spaces import SearchSpace, check_ranges

BROOD, ROUNDS = 8, 16
"""Encodings drawn at a time, and how often before `propose` has to help itself."""

MEMORY = 12
"""Of the recurrent network: numbers in its output and in its content."""

PARAMS, DEPTH = "params", "depth"
KINDS = (DEPTH, "width", "operator", "kernel_size", "expand_ratio", "precision", "sparsity")
"""Dimensions that the policy tells apart; all others are alike."""

MOST_QUALITY = 2.0
INVALID = -1.0
"""Reward of what is no network within the limits, and the least of any."""


class Reference(NamedTuple):
    """What candidates are compared with.

    Attributes:
        loss: Of the brought network, in the first objective; infinite before any is known.
        size: Its size; 0 likewise.
        is_brought: Whether both were measured of that network.
    """

    loss: float = np.inf
    size: float = 0.0
    is_brought: bool = False


class Compressing(NamedTuple):
    """What was learnt.

    Attributes:
        decisions: The choices in the order of decisions.
        columns_T: Which they are in the space.
        policy: Decides.
        baseline: What reward is expected; None before the first one.
        reference: What candidates are compared with.
    """

    decisions: Decisions
    columns_T: np.ndarray
    policy: Recurrent
    baseline: float | None
    reference: Reference


@final
@CONTROLLERS.register
@dataclass(frozen=True, kw_only=True)
class N2N(AbstractFolding[Compressing]):
    """A recurrent policy that removes first and shrinks then, by REINFORCE.

    Attributes:
        seed: Of the policy's first weights and of all draws.
        step_size: Length of a step of the policy's weights, per unit of reward.
        forget: Weight of a new reward in the baseline.
        explore: Probability that a choice is drawn uniformly.
    """

    wants_front: ClassVar[bool] = False

    seed: int = 0
    step_size: float = 0.5
    forget: float = 0.1
    explore: float = 0.1

    def __post_init__(self) -> None:
        check_ranges(self, "controller 'n2n'", step_size=(0, np.inf), forget=(0, 1), explore=(0, 1))

    def begin(self, problem: Problem) -> Compressing:
        """Fresh weights, with which all options are about equally likely."""
        columns_T = decided_in_turn(problem.space)
        decisions = decisions_of(problem, columns_T)
        num_features = decisions.options_TOF.shape[2]
        rng = generator(self.seed, ())
        policy = Recurrent.fresh(decisions.num_read, MEMORY, num_features, rng)
        return Compressing(decisions, columns_T, policy, None, Reference(size=own_size(problem)))

    def fold(self, problem: Problem, state: Compressing, trial: Trial) -> Compressing:
        """One step along the gradient of the expected reward."""
        losses_1M = problem.losses([trial])
        loss, size = float(losses_1M[0, 0]), trial.get(size_metric(problem))
        reference = compared_with(problem, state.reference, trial, loss, size)
        is_within = np.isfinite(problem.within_limits(losses_1M, [trial])).all()
        found = reward(loss, size, reference) if is_within else INVALID
        baseline = found if state.baseline is None else state.baseline
        encoding_1C = np.array([trial.candidate.encoding])
        is_active_1C = problem.space.is_active(encoding_1C)
        taken_T, is_active_T = (row[0, state.columns_T] for row in (encoding_1C, is_active_1C))
        gradient = state.policy.gradient(state.decisions, taken_T, is_active_T)
        length = self.step_size * (found - baseline) / max(1.0, gradient.norm)
        return state._replace(
            policy=state.policy.plus(gradient, length),
            baseline=baseline + self.forget * (found - baseline),
            reference=reference,
        )

    def draws(
        self, problem: Problem, state: Compressing, rng: np.random.Generator
    ) -> Iterator[np.ndarray]:
        """The brought network first; then what the policy makes of it, repaired."""
        space = problem.space
        if space.is_brought and not state.reference.is_brought:
            yield np.zeros((1, len(space.choices)), dtype=int)
        for _ in range(ROUNDS):
            uniform_NC = space.sample(rng, BROOD)
            learnt_NC = np.empty_like(uniform_NC)
            learnt_NC[:, state.columns_T] = state.policy.drawn(state.decisions, BROOD, rng)
            is_uniform_NC = rng.random(uniform_NC.shape) < self.explore
            yield repair(problem, np.where(is_uniform_NC, uniform_NC, learnt_NC), rng)


def reward(loss: float, size: float, reference: Reference) -> float:
    """C (2 - C) q, see the module; at least that of an invalid network.

    Args:
        loss: Of a network in the first objective: one that is to be maximised, negative.
        size: Its size; NaN if nobody knows it, which is as if all were saved.
        reference: What it is compared with.
    """
    saved = 1.0 - size / reference.size if reference.size > 0.0 and np.isfinite(size) else 1.0
    return max(INVALID, saved * (2.0 - saved) * quality(loss, reference.loss))


def quality(loss: float, own_loss: float) -> float:
    """How good a network is, as a share of how good the brought one is; 0 if they do not compare.

    Args:
        loss: What is minimised: a loss, or the negative of what is to be maximised.
        own_loss: The brought network's.
    """
    if loss < 0.0 and own_loss < 0.0:
        return min(MOST_QUALITY, loss / own_loss)
    if loss >= 0.0 and own_loss > 0.0:
        return min(MOST_QUALITY, own_loss / loss) if loss else MOST_QUALITY
    return 1.0 if loss == own_loss else 0.0


def compared_with(
    problem: Problem, known: Reference, trial: Trial, loss: float, size: float
) -> Reference:
    """The reference once this trial is known, too."""
    if known.is_brought:
        return known
    if problem.space.is_brought and not any(trial.candidate.encoding):
        return Reference(loss, size, is_brought=True)
    return Reference(min(known.loss, loss), max(known.size, size if np.isfinite(size) else 0.0))


def size_metric(problem: Problem) -> str:
    """The metric that is saved; "" if there is none."""
    modelled = problem.model.metrics
    names = [limit.metric for limit in problem.modelled_limits]
    names += [PARAMS] if PARAMS in modelled else []
    names += [objective.metric for objective in problem.objectives[1:]]
    return [*names, *modelled, ""][0]


def own_size(problem: Problem) -> float:
    """Of the unchanged network; 0 if it is not known beforehand."""
    metric = size_metric(problem)
    if metric not in problem.model.metrics:
        return 0.0
    return float(problem.model.of(metric, unchanged(problem)[None])[0])


def decided_in_turn(space: SearchSpace) -> np.ndarray:
    """Columns of all choices: those that remove something come first; (T,)."""
    return np.argsort(~removes(space), kind="stable")


def removes(space: SearchSpace) -> np.ndarray:
    """Which choices decide whether parts of a network are there: booleans, (C,)."""
    conditions = {name for choice in space.choices for name, _ in choice.active_if}
    names = [choice.name for choice in space.choices]
    return np.array([n in conditions or n.rpartition(".")[2] == DEPTH for n in names])


def decisions_of(problem: Problem, columns_T: np.ndarray) -> Decisions:
    """Features of the choices and of their options, as far as they are known beforehand.

    Of a choice: its dimension, its place in the order, whether it comes before those that shrink,
    how many options it has, whether they are numbers, and which share of the size it decides about.
    Of an option: its place among them and the square of it, whether it is the unchanged network's,
    and what it changes the size by, alone.
    """
    space = problem.space
    num_choices, num_options = len(columns_T), max(space.cardinalities)
    inputs_TI = np.zeros((num_choices, 5 + len(KINDS)))
    options_TOF = np.zeros((num_choices, num_options, 4))
    is_option_TO = np.zeros((num_choices, num_options), dtype=bool)
    unchanged_C, removes_C = unchanged(problem), removes(space)
    for turn, column in enumerate(columns_T.tolist()):
        choice = space.choices[column]
        places_O = np.arange(len(choice.options)) / max(1, len(choice.options) - 1)
        larger_O = _larger(problem, unchanged_C, column)
        is_unchanged_O = np.arange(len(choice.options)) == unchanged_C[column]
        features_OF = np.stack([places_O, places_O**2, is_unchanged_O, larger_O], axis=1)
        options_TOF[turn, : len(choice.options)] = features_OF
        is_option_TO[turn, : len(choice.options)] = True
        dimension = choice.name.rpartition(".")[2]
        inputs_TI[turn] = (
            *(dimension == kind for kind in KINDS),
            turn / num_choices,
            removes_C[column],
            len(choice.options) / num_options,
            not isinstance(choice.options[0], str),
            np.abs(larger_O).max(),
        )
    return Decisions(inputs_TI=inputs_TI, options_TOF=options_TOF, is_option_TO=is_option_TO)


def unchanged(problem: Problem) -> np.ndarray:
    """The brought network, or about the largest one; the last options if no size is known."""
    space, metric = problem.space, size_metric(problem)
    last_C = np.array(space.cardinalities) - 1
    if space.is_brought:
        return np.zeros(len(space.choices), dtype=int)
    if metric in problem.model.metrics:
        return cheap_and_costly(problem, metric, last_C)[1]
    return last_C


def _larger(problem: Problem, unchanged_C: np.ndarray, column: int) -> np.ndarray:
    """By how much of its size each option of one choice makes the unchanged network larger: (O,).

    0 where the size is not known beforehand.
    """
    metric, number = size_metric(problem), problem.space.cardinalities[column]
    if metric not in problem.model.metrics:
        return np.zeros(number)
    rows_OC = np.repeat(unchanged_C[None], number, axis=0)
    rows_OC[:, column] = np.arange(number)
    size_O = problem.model.of(metric, rows_OC)
    own = size_O[unchanged_C[column]]
    return np.asarray(size_O / own - 1.0 if own > 0.0 else np.zeros(number))
