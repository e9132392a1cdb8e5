"""What scores are compared with where `--max-drop` is given.

    baseline.json    decided once, before any score is compared

A score is of shared weights. It is compared with the worse of what the network that was brought has
with its own weights and with the shared ones: what both lose is no fault of a candidate.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

from nas.finalists.entry import Entry, trained_network
from nas.prepare.reopen import Trained
from nas.problem.drop import DROP, drop_of
from nas.problem.feasible import largest_member
from nas.problem.trial import Score
from nas.run.own_files import kept_model
from nas.system.files import understood
from search_spaces import Metric
from supernets.network import PlainNetwork

FILE = "baseline.json"


@dataclass(frozen=True)
class Baseline:
    """The shown metric of the network that was brought, on the images of a score.

    Attributes:
        value: The worse of those with its own and with shared weights.
        gap: What that is worse than with its own.
        error: The standard error of a mean over these images: the unit in which differences of
            scores mean something.
        shown: The metric.
    """

    value: float
    gap: float
    error: float
    shown: Metric

    def compared(self, score: Score) -> Score:
        """The score, and what it loses; without that where it failed."""
        if self.shown.name not in score.metrics:
            return score
        drop = drop_of(score.metrics[self.shown.name], self.value, self.shown)
        return replace(score, metrics={**score.metrics, DROP: drop})


def baseline_of(trained: Trained) -> Baseline:
    """As it was decided, or is now."""
    found = trained.run.decided(FILE, lambda: _decided(trained))
    shown = trained.scorer.task.shown
    with understood(f"'{trained.run.path / FILE}'"):
        own = float(found["brought"])
        value = max(own, float(found["shared"]), key=shown.signed)
        deviation, images = float(found["deviation"]), int(found["images"])
    return Baseline(value, drop_of(value, own, shown), deviation / math.sqrt(images), shown)


def as_brought(trained: Trained) -> PlainNetwork:
    """The network with the weights and the statistics that it was brought with."""
    kept = kept_model(trained.run.path, trained.config)
    entry = Entry(largest_member(trained.problem), "brought", brought=kept)
    network, _ = trained_network(trained.problem.space, entry)
    assert network is not None, "nothing was brought"
    return network


def _decided(trained: Trained) -> dict[str, Any]:
    scorer = trained.scorer
    own_N = scorer.shown(as_brought(trained))
    shared = scorer.compressed(largest_member(trained.problem)).fp32
    return {
        "schema": 1,
        "metric": scorer.task.shown.name,
        "images": scorer.num_images,
        "brought": float(own_N.mean()),
        "shared": scorer.quality(shared)[scorer.task.shown.name],
        "deviation": float(own_N.std()),
    }
