"""What files lose against the network that was brought: that alone decides what is on the front.

Both files answer the same images, so intervals are of paired differences. They decide nothing.
"""

from collections.abc import Mapping
from dataclasses import replace
from math import isnan, nan
from typing import Any

import numpy as np

from nas.finalists.entry import AS_BROUGHT, TWIN
from nas.finalists.rounds import RECOVERY
from nas.front.card import read_card
from nas.front.facts import judgements
from nas.front.folders import CARD, DEPLOYED, FRONT, REFERENCES, UNQUANTIZED
from nas.problem.drop import DROP, drop_of, paired_drop
from nas.problem.trial import Trial
from nas.run.directory import Run
from nas.system.files import read_json, understood
from search_spaces import CandidateError, Metric, task_in


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


def paired_drops(run: Run, front: Mapping[str, Any], shown: Metric) -> dict[str, dict[str, Any]]:
    """What members and references lose, by key: front.json's `drops`.

    Each has `drop`, its `interval` of 95 %, and `expected`, the same two as they were predicted
    where finalists were chosen by that. Without networks that no judgements were kept of.

    Args:
        run: Has these.
        front: Members and references.
        shown: The metric.
    """
    keys = [*front["members"], *(row["key"] for row in front["references"])]
    brought = next((key for key in keys if key.endswith(AS_BROUGHT)), None)
    own = {} if brought is None else _judged(run, brought)
    if not own:
        return {}
    own_N = own.get(UNQUANTIZED, own[DEPLOYED])
    path = run.path / RECOVERY
    with understood(f"'{path}'"):
        expected = read_json(path)["expected"] if path.exists() else {}
    found: dict[str, dict[str, Any]] = {}
    for key in dict.fromkeys(keys):
        judged = _judged(run, key.removesuffix(TWIN))
        is_own = key.endswith(AS_BROUGHT) and UNQUANTIZED not in judged
        if not judged or is_own:
            continue
        drop = paired_drop(judged[UNQUANTIZED if key.endswith(TWIN) else DEPLOYED], own_N, shown)
        found[key] = {"drop": drop.value, "interval": list(drop.interval)}
        if "-ft" in key and (candidate := key.partition("-")[0]) in expected:
            found[key]["expected"] = expected[candidate]
    return found


def _judged(run: Run, key: str) -> dict[str, np.ndarray]:
    """The shown metric of each image, by file; empty if it was not kept."""
    path = judgements(run.path / f"answers/{key}.json")
    if not path.exists():
        return {}
    with understood(f"'{path}'"):
        shown = read_json(path)["shown"]
        return {file: np.array(of_images, float) for file, of_images in shown.items()}
