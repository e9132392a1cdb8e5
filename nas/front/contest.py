"""From trials to the front: who is measured, who is replaced, who stays.

Membership is decided on the `search` split and measured latency; `test` is only printed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from nas.finalists.entry import Entry, inherited
from nas.front.folders import DEPLOYED, without_folder
from nas.front.guessing import guesses
from nas.front.measure import Exporter
from nas.problem.pareto import ParetoFront
from nas.problem.problem import Problem
from nas.problem.trial import Trial
from nas.targets import Timing, is_tie, timed_together
from search_spaces import CandidateError

MAX_ROUNDS = 4
"""How often finalists over a measured limit are replaced by the next candidates."""


@dataclass
class Measured:
    """What measuring finalists and references gave.

    Attributes:
        trials: Finalists within all limits, with their measured numbers.
        keys: Of the trials, by their numbers.
        timings: Of their deployed files, by key.
        replaced: Keys of the others, and why.
        references: Keys and names of the references that run.
    """

    trials: list[Trial] = field(default_factory=list)
    keys: dict[int, str] = field(default_factory=dict)
    timings: dict[str, Timing] = field(default_factory=dict)
    replaced: list[dict[str, str]] = field(default_factory=list)
    references: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Contest:
    """Who is measured.

    Attributes:
        queue: Trials in the order in which they are to be measured.
        num_finalists: How many of them, if so many are within all limits.
        finalist: What files are made of for a trial: its shared weights, or weights of its own.
        others: Networks that compete besides.
        references: Networks that are measured too, and do not compete.
    """

    queue: Sequence[Trial]
    num_finalists: int
    finalist: Callable[[Trial], Entry] = inherited
    others: Sequence[Entry] = ()
    references: Sequence[Entry] = ()


def choose_front(
    exporter: Exporter,
    contest: Contest,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Measures finalists until enough of them are within all limits, and keeps the best.

    Returns:
        front.json: members (keys, by latency), replaced, ties, knee, references.
    """
    found = measure_finalists(exporter, contest, progress)
    front = ParetoFront.of(exporter.problem, found.trials)
    members = sorted(front.trials, key=lambda trial: (trial.value("latency_ms"), trial.number))
    keys = [found.keys[trial.number] for trial in members]
    dominated = [key for key in found.keys.values() if key not in keys]
    timings, knee = found.timings, front.knee
    return {
        "schema": 1,
        "members": keys,
        "replaced": found.replaced
        + [{"key": key, "reason": "dominated once measured"} for key in dominated],
        "ties": [
            [a, b]
            for a, b in pairwise(keys)
            if timed_together(timings[a], timings[b]) and is_tie(timings[a], timings[b])
        ],
        "knee": found.keys[knee.number] if knee else None,
        "references": found.references,
    }


def measure_finalists(
    exporter: Exporter, contest: Contest, progress: Callable[[str], None]
) -> Measured:
    """Cards of finalists in the order they deserve it, those over a limit replaced by the next.

    References and others are measured together with the first finalists.
    """
    found = Measured()
    queue = contest.queue
    beside = [*contest.references, *contest.others]
    others = {entry.key for entry in contest.others}
    for _ in range(MAX_ROUNDS):
        num_admitted = len(set(found.timings) - others)
        batch = queue[: contest.num_finalists - num_admitted]
        queue = queue[len(batch) :]
        entries = [*beside, *map(contest.finalist, batch)]
        if not entries:
            break
        cards = exporter.cards(entries, progress)
        for entry, card in zip(entries, cards, strict=True):
            if not entry.is_reference:
                _admit(exporter, found, entry, card)
            elif not isinstance(card, CandidateError):
                found.references.append({"key": entry.key, "name": entry.name})
        beside = []
    return found


def _admit(
    exporter: Exporter, found: Measured, entry: Entry, card: dict[str, Any] | CandidateError
) -> None:
    """Adds a competitor, or the reason why it is replaced."""
    key, number = entry.key, len(found.keys)
    if isinstance(card, CandidateError):
        failure = without_folder(str(card), exporter.run.path)
        found.replaced.append({"key": key, "reason": failure})
        return
    measured = exporter.trial(number, entry.candidate, card)
    reason = over_limit(exporter.problem, measured) or guesses(card)
    if reason:
        found.replaced.append({"key": key, "reason": reason})
        return
    found.trials.append(measured)
    found.keys[number] = key
    found.timings[key] = Timing.from_json(card["files"][DEPLOYED]["latency"])


def over_limit(problem: Problem, trial: Trial) -> str | None:
    """Which limit the measured numbers exceed, as a sentence; None if all hold."""
    for limit in problem.limits:
        value = trial.get(limit.metric)
        if not value <= limit.max:
            return f"measured {limit.metric} {value:.6g} is over the limit {limit.max:.6g}"
    return None
