"""Judging short trainings in the processes that trained them.

What is found is judged.json beside the training: the shown metric of each image, or why there is
none.
"""

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np
from torch import nn

from nas.prepare.reopen import Trained
from nas.problem.drop import Drop, paired_drop
from nas.scoring.scorer import MOST_SCORES, Scorer
from nas.standalone.beside import Job
from nas.system.files import read_json, understood, write_json
from search_spaces import Candidate, CandidateError, Metric
from supernets.network import PlainNetwork

JUDGED = "judged.json"


@final
@dataclass(frozen=True)
class Judge:
    """Judges a trained network, compressed as its candidate is.

    Attributes:
        scorer: Has the images.
        candidate: Which.
        file: Where what is found goes; what is there is not judged again.
    """

    scorer: Scorer
    candidate: Candidate
    file: Path

    def __call__(self, network: nn.Module) -> None:
        """Writes the file; the network stays as it is."""
        if self.file.exists():
            return
        try:
            assert isinstance(network, PlainNetwork), "finalists are extracted"
            own = copy.deepcopy(network)
            shown_N = self.scorer.shown(self.scorer.compressed(self.candidate, own).network)
        except CandidateError as error:
            write_json(self.file, {"schema": 1, "failure": str(error)})
        else:
            write_json(self.file, {"schema": 1, "failure": "", "shown": shown_N.tolist()})

    def read_back(self, job: Job) -> None:
        """Judges a training that is finished, if it was not judged."""
        if not self.file.exists():
            replace(job, after=self).carry_out(lambda numbers, steps: None)


def judging_scorer(trained: Trained) -> Scorer:
    """Scores on more images than those that candidates are scored on, if there are more."""
    return Scorer(
        trained.scorer.supernet,
        trained.data,
        MOST_SCORES * trained.phases.images_per_score,
        needs_reduced_range=trained.scorer.needs_reduced_range,
        calibrated_by=trained.scorer.calibrated_by,
        device=trained.scorer.device,
    )


def judged_drop(file: Path, brought_N: np.ndarray, shown: Metric) -> Drop | None:
    """What a short training lost; None if it diverged or cannot be judged.

    Args:
        file: What a `Judge` wrote.
        brought_N: The shown metric of each image of the network that was brought.
        shown: The metric.
    """
    if not file.exists():
        return None
    with understood(f"'{file}'"):
        document = read_json(file)
        if document["failure"]:
            return None
        return paired_drop(np.array(document["shown"], float), brought_N, shown)
