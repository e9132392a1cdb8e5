"""What judging and measuring finalists costs, and how many of them the time is enough for."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from nas.data._base import DataSet
from nas.prepare.phases import PhasePlan
from nas.prepare.speed import Speed, typical
from nas.run.config import Config
from nas.scoring.scorer import MOST_SCORES

TIMING_S_PER_FILE = 0.5
"""Of networks that minutes can teach; where the machine has one speed, half of it."""

FILES_PER_NETWORK = 2
"""As deployed and before quantization."""

FINALISTS_SHARE = 0.2
"""Of the time: what exporting, timing and verifying may take before fewer networks are measured."""
MIN_FINALISTS, MIN_REFERENCES = 3, 1


def time_finalists(
    phases: PhasePlan,
    data: DataSet,
    speeds: Sequence[Speed],
    num_largest: int,
    num_targets: int = 1,
) -> float:
    """Estimated seconds of the last phase: exports, timing, and verification of every file.

    The exported module itself answers the images of a score, to be compared with its file. All but
    timing is done for as many networks at a time as there are cores.

    Args:
        phases: How many networks.
        data: They answer the images of two splits.
        speeds: As `time_score` gives them: the last is that of the largest references.
        num_largest: How many of those there are, one per format.
        num_targets: On each of which files are timed.
    """
    images = len(data.search.labels_N) + len(data.test.labels_N)

    def seconds(speed: Speed) -> float:
        timing_s = num_targets * FILES_PER_NETWORK * TIMING_S_PER_FILE
        answers_s = phases.images_per_score * speed.score_s
        answers_s += FILES_PER_NETWORK * images * speed.answer_s
        return timing_s + (2 * speed.compress_s + answers_s) / torch.get_num_threads()

    num_usual = phases.finalists + phases.random_references
    return num_usual * seconds(typical(speeds)) + num_largest * seconds(speeds[-1])


def judging_seconds(config: Config, phases: PhasePlan, speeds: Sequence[Speed]) -> float:
    """Estimated seconds in which finalists that are trained further are judged.

    With --max-drop also the network that was brought and the largest member, and more images.
    """
    if not finetune_seconds(config, phases, 1.0):
        return 0.0

    def seconds(speed: Speed, scores: int) -> float:
        return speed.compress_s + scores * phases.images_per_score * speed.score_s

    if not config.max_drop:
        return phases.finalists * seconds(typical(speeds), 1)
    baseline_s = 2 * seconds(speeds[-1], 1)
    judged_s = phases.finalists * seconds(typical(speeds), MOST_SCORES)
    judged_s += seconds(speeds[-1], MOST_SCORES)
    return baseline_s + judged_s / torch.get_num_threads()


def affordable(
    config: Config, phases: PhasePlan, data: DataSet, speeds: Sequence[Speed]
) -> tuple[PhasePlan, float]:
    """The plan with as many finalists and references as the time allows, and their seconds.

    References go first, then finalists, down to a few of each; what the user set stays.
    """
    least = {"random_references": MIN_REFERENCES, "finalists": MIN_FINALISTS}
    while True:
        num_targets = 1 + len(config.other_targets)
        finalists_s = time_finalists(phases, data, speeds, len(config.precision), num_targets)
        if finalists_s <= FINALISTS_SHARE * config.seconds:
            return phases, finalists_s
        for name, number in least.items():
            if name not in config.set and getattr(phases, name) > number:
                phases = replace(phases, **{name: getattr(phases, name) - 1})
                break
        else:
            return phases, finalists_s


def finetune_seconds(config: Config, phases: PhasePlan, available_s: float) -> float:
    """Seconds for training finalists further: as set, or a share of what is free."""
    return phases.finetune_s if "finetune_s" in config.set else phases.finetune_share * available_s
