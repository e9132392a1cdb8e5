"""The end of `series.py`: finalists of all sides are trained further, exported and timed together.

Sides have rows: a file each, that of a network as deployed or before quantization. A side's front
is chosen on the search split (accuracy, latency, bytes) and judged on test, as by
`_handmade_against.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from _handmade_against import Row, hypervolumes

from nas.executors import make_timers
from nas.finalists.order import finalist_order
from nas.finalists.train import final_training, train_finalists
from nas.front.folders import DEPLOYED, UNQUANTIZED
from nas.front.measure import Exporter
from nas.prepare.afford import time_finalists
from nas.prepare.reopen import Trained
from nas.prepare.speed import time_score
from nas.problem.feasible import largest_member
from nas.problem.pareto import non_dominated
from nas.problem.trial import Trial
from nas.run.directory import Run
from nas.search_flow import trial_of
from nas.system.environment import num_cores
from nas.system.reporter import Silent
from search_spaces import FULL_PRECISION, CandidateError

LARGEST, LARGEST_INT8, INT8 = "largest fp32", "largest int8", "int8"
DROPS = (0.0, 0.005)
"""Of accuracy on the search split, against the largest network in fp32."""

LEAST_TRAIN_S = 3.0
"""Of one core, for each network, however little time is left."""


@dataclass(frozen=True, kw_only=True)
class Finalist:
    """A network that is measured.

    Attributes:
        trial: Of the whole space, scored.
        sides: That chose it.
    """

    trial: Trial
    sides: tuple[str, ...]


def chosen(whole: Trained, found: Mapping[str, Sequence[Trial]], number: int) -> list[Finalist]:
    """The best of every side, as a search chooses its finalists, and the largest in int8."""
    space = whole.problem.space
    row = np.array([largest_member(whole.problem).encoding])
    largest = space.candidate(space.in_precision(row, INT8)[0].tolist())
    score = whole.scorer(largest)
    best = {
        LARGEST_INT8: [trial_of(whole.problem, largest, score, 0)],
        **{side: finalist_order(whole.problem, trials)[:number] for side, trials in found.items()},
    }
    sides: dict[str, list[str]] = {}
    trials: dict[str, Trial] = {}
    for side, of_side in best.items():
        for trial in of_side:
            trials.setdefault(trial.candidate.key, trial)
            sides.setdefault(trial.candidate.key, []).append(side)
    return [
        Finalist(trial=replace(trial, number=i), sides=tuple(sides[key]))
        for i, (key, trial) in enumerate(trials.items())
    ]


def further_s(whole: Trained, number: int, left_s: float) -> float:
    """Seconds for training so many finalists, of what is left for that and for their files."""
    phases = replace(whole.phases, finalists=number - 1, random_references=0)
    problem, supernet = whole.problem, whole.scorer.supernet
    speeds = time_score(supernet, whole.data, problem, phases.images_per_score)
    files_s = time_finalists(phases, whole.data, speeds, 1)
    return max(LEAST_TRAIN_S * number / num_cores(), left_s - files_s)


def measured(
    whole: Trained, folder: Path, finalists: Sequence[Finalist], train_s: float
) -> list[Row]:
    """Rows of all sides.

    Args:
        whole: The trained supernet and its space.
        folder: For the run.
        finalists: All of them, trained further for equally long.
        train_s: Of all cores, for all of them.

    Raises:
        CandidateError: If one cannot be exported.
    """
    config = replace(whole.config, supernet=str(whole.run.path))
    phases = replace(whole.phases, finalists=len(finalists), finetune_s=train_s, least_steps=1)
    trained = replace(whole, run=Run.open(folder, config), config=config, phases=phases)
    trials = [finalist.trial for finalist in finalists]
    train_finalists(trained, trials, Silent())
    plan = final_training(trained, finalist_order(trained.problem, trials), Silent())
    exporter = Exporter(
        trained.run,
        trained.problem,
        trained.scorer,
        trained.data,
        make_timers(config),
    )
    rows: list[Row] = []
    cards = exporter.cards([plan.finalist(trial) for trial in trials])
    for finalist, card in zip(finalists, cards, strict=True):
        if isinstance(card, CandidateError):
            raise card
        for side in finalist.sides:
            for file in (DEPLOYED, UNQUANTIZED):
                if file in card["files"]:
                    rows.append(_row(card, file, side))
    return with_fronts(rows)


def _row(card: Mapping[str, Any], file: str, side: str) -> Row:
    facts = card["files"][file]
    is_whole = side == LARGEST_INT8 and file == UNQUANTIZED
    return Row(
        side=LARGEST if is_whole else side,
        name=card["key"],
        precision=facts["precision"] if file == DEPLOYED else FULL_PRECISION,
        search=facts["accuracy"]["search"]["fraction"],
        test=facts["accuracy"]["test"]["fraction"],
        size_bytes=facts["bytes"],
        macs=card["macs"],
        latency_ms=facts["latency"]["median_ms"],
        is_chosen=False,
    )


def with_fronts(rows: Sequence[Row]) -> list[Row]:
    """The rows, of which those on their side's front know it."""
    found = list(rows)
    for side in dict.fromkeys(row.side for row in rows):
        places = [place for place, row in enumerate(rows) if row.side == side]
        losses_NM = np.array(
            [(-rows[i].search, rows[i].latency_ms, rows[i].size_bytes) for i in places]
        )
        for place, is_front in zip(places, non_dominated(losses_NM), strict=True):
            found[place] = replace(rows[place], is_chosen=bool(is_front))
    return found


def lossless(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Per side and drop, the fastest and the smallest file that lose no more on search.

    Ratios are of the largest network in fp32, trained further like all others, to these.
    """
    (base,) = (row for row in rows if row.side == LARGEST)
    found = []
    for side in dict.fromkeys(row.side for row in rows if row.side != LARGEST):
        for drop in DROPS:
            able = [r for r in rows if r.side == side and r.search >= base.search - drop - 1e-9]
            entry: dict[str, Any] = {"side": side, "drop": drop, "faster": None, "smaller": None}
            if able:
                fastest = min(able, key=lambda row: row.latency_ms)
                smallest = min(able, key=lambda row: row.size_bytes)
                entry["faster"] = base.latency_ms / fastest.latency_ms
                entry["smaller"] = base.size_bytes / smallest.size_bytes
                entry["test_change_of_fastest"] = fastest.test - base.test
                entry["test_change_of_smallest"] = smallest.test - base.test
            found.append(entry)
    return found


def document(rows: Sequence[Row], num_classes: int) -> dict[str, Any]:
    """All that is computed of rows."""
    return {
        "rows": [asdict(row) for row in rows],
        "num_classes": num_classes,
        "hypervolume": hypervolumes(rows, 1 / num_classes),
        "lossless": lossless(rows),
    }
