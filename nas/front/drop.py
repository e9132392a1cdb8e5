"""What networks lose against the one that was brought: on files, and in scores.

    baseline.json    of a search with --max-drop: what scores are compared with, decided once

Scores are of shared weights, which finalists improve on by training further. So a score is compared
with the worse of what the network itself has with the weights that it was brought with, and with
the shared ones. What is on the front is decided by files alone.
"""

from collections.abc import Mapping
from dataclasses import replace
from math import isnan, nan
from typing import Any

from nas.finalists.entry import AS_BROUGHT, trained_network
from nas.front.card import read_card
from nas.front.folders import CARD, DEPLOYED, FRONT, REFERENCES, UNQUANTIZED
from nas.front.references import references
from nas.prepare.reopen import Trained
from nas.problem.drop import DROP, drop_of
from nas.problem.trial import Score, Trial
from nas.run.directory import Run
from nas.run.own_files import kept_model
from nas.system.files import understood
from search_spaces import CandidateError, Metric, task_in

FILE = "baseline.json"


def quality_brought(card: Mapping[str, Any] | CandidateError) -> float:
    """The shown metric of the network that was brought, in fp32, on the search split.

    Args:
        card: Of it in any format; nan if it could not be measured.
    """
    if isinstance(card, CandidateError):
        return nan
    return _quality(card, UNQUANTIZED if UNQUANTIZED in card["files"] else DEPLOYED)


def _quality(card: Mapping[str, Any], file: str) -> float:
    task = task_in(card)
    return float(task.metrics_of(card["files"][file]["accuracy"]["search"])[task.shown.name])


def quality_brought_to(run: Run) -> float:
    """As `quality_brought`, of the network that a run measured; nan if it has not."""
    cards = (run.path.glob(f"{kind}/*{AS_BROUGHT}/{CARD}") for kind in (REFERENCES, FRONT))
    return next((quality_brought(read_card(path)) for paths in cards for path in paths), nan)


def with_drop(trial: Trial, brought: float, card: Mapping[str, Any]) -> Trial:
    """The measured numbers of a card, and what it loses; without that where it is not known.

    Args:
        trial: The numbers.
        brought: As `quality_brought` has it.
        card: Says what was learnt.
    """
    if isnan(brought):
        return trial
    drop = drop_of(_quality(card, DEPLOYED), brought, task_in(card).shown)
    return replace(trial, metrics={**trial.metrics, DROP: drop})


def scored_brought(trained: Trained) -> float:
    """The shown metric, on the images of a score, that scores are compared with; nan if no limit
    asks for that.
    """
    if not any(limit.metric == DROP for limit in trained.problem.limits):
        return nan
    found = trained.run.decided(FILE, lambda: _baseline(trained))
    with understood(f"'{trained.run.path / FILE}'"):
        values = [float(found["brought"]), float(found["shared"])]
    return max(values, key=trained.scorer.task.shown.signed)


def _baseline(trained: Trained) -> dict[str, Any]:
    scorer, problem = trained.scorer, trained.problem
    kept = kept_model(trained.run.path, trained.config)
    own = references(problem, 0, trained.config.seed, kept)[0]
    network, _ = trained_network(problem.space, own)
    assert network is not None
    shared = scorer.compressed(own.candidate).fp32
    name = scorer.task.shown.name
    return {
        "schema": 1,
        "metric": name,
        "images": scorer.num_images,
        "brought": scorer.quality(network)[name],
        "shared": scorer.quality(shared)[name],
    }


def score_with_drop(score: Score, brought: float, shown: Metric) -> Score:
    """The score, and what it loses; without that where nothing is compared, or it failed."""
    if isnan(brought) or shown.name not in score.metrics:
        return score
    drop = drop_of(score.metrics[shown.name], brought, shown)
    return replace(score, metrics={**score.metrics, DROP: drop})
