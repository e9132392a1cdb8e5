"""Sizes of what follows training: the settings of a search, which are known without torch."""

from dataclasses import dataclass, replace

from nas.allocations import ALLOCATIONS
from nas.allocations._base import NO_ALLOCATION
from nas.problem.problem import Problem
from nas.run.config import Config
from search_spaces import DEFAULT_CALIBRATION

FEW_STEPS = 150
"""With fewer training steps networks are poor."""

DEFAULT_ALLOCATION, UNINFORMED = "distortion", "uniform"
"""Of a network that was brought; and where there is no time to measure every sparsity once."""

BROUGHT, LARGEST, NO_TEACHER = "brought", "largest", "none"
"""Teachers of networks that are trained further; others are files."""


@dataclass(frozen=True, kw_only=True)
class PhasePlan:
    """Sizes of the phases after training.

    Attributes:
        trials: Candidates to score.
        lag: Trials by which the results that a candidate is asked for with may be behind.
        images_per_score: Images of the search split per score.
        finalists: Front members to export and measure.
        random_references: Random networks exported beside them.
        finetune_share: Of the time for training, scoring and this: training finalists further.
        finetune_s: Seconds of it for all finalists together; as the share says if not set.
        finalist_teacher: What finalists learn from besides labels: "none", the "largest" member, or
            the network as it was "brought"; "" for that where there is one, and for none elsewhere.
        finalist_labels_share: Of their loss beside a teacher; the rest is the teacher's.
        finalist_activate: Share of their units behind ReLUs that are made linear before training,
            those that are 0 most often.
        least_steps: Finalists that would get fewer in an equal share of that time are passed over.
        max_macs: Largest multiply-adds of a network, 0 for all; a pilot decides if not set.
        portable_int8: Whether int8 weights keep to 7 bits, which no processor saturates, even where
            this one could do with 8.
        allocation: What makes the first candidates, or "none"; "" for `DEFAULT_ALLOCATION` of
            a network that was brought, and for none elsewhere.
        sensitivity_share: Of the time for scoring: measuring what an allocation needs to know.
        sensitivity_s: Seconds for it; as the share says if not set.
        calibration: Name of what decides the ranges of int8 activations: "min-max", "percentile",
            "mse" or "entropy".
    """

    trials: int
    lag: int = 0
    images_per_score: int = 1000
    finalists: int = 8
    random_references: int = 3
    finetune_share: float = 0.6
    finetune_s: float = 0.0
    finalist_teacher: str = ""
    finalist_labels_share: float = 0.5
    finalist_activate: float = 0.0
    least_steps: int = FEW_STEPS
    max_macs: float = 0.0
    portable_int8: bool = False
    allocation: str = ""
    sensitivity_share: float = 0.2
    sensitivity_s: float = 0.0
    calibration: str = DEFAULT_CALIBRATION


def with_sensitivity(
    config: Config,
    phases: PhasePlan,
    problem: Problem,
    scoring_s: float,
    change_s: float = 0.0,
) -> PhasePlan:
    """The plan with the allocation that is asked for, and the time for what it needs to know.

    Args:
        config: What the user fixed.
        phases: The plan.
        problem: What is searched.
        scoring_s: Seconds for that and for scores.
        change_s: Seconds that measuring one change takes, and the network itself as well.
    """
    default = DEFAULT_ALLOCATION if problem.space.is_brought else NO_ALLOCATION
    name = phases.allocation or default
    seconds = 0.0
    if name != NO_ALLOCATION and "distortions" in ALLOCATIONS.get(name).needs:
        is_set = "sensitivity_s" in config.set
        seconds = phases.sensitivity_s if is_set else phases.sensitivity_share * scoring_s
        least_s = change_s * (1 + len(problem.space.columns("sparsity")))
        if not is_set and not phases.allocation and seconds < least_s:
            name, seconds = UNINFORMED, 0.0
    return replace(phases, allocation=name, sensitivity_s=round(max(0.0, seconds), 1))
