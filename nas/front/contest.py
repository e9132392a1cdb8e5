"""From trials to the front: who is measured, who is replaced, who stays.

Everything that was measured competes: finalists, references, what was trained further, and the twin
of each (`nas/front/twins.py`). Membership is decided on the `search` split and measured latency;
`test` is only printed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import inf, nan
from typing import Any

from nas.data import DataSet
from nas.finalists.entry import TWIN, Entry, inherited
from nas.front.drop import quality_brought, with_drop
from nas.front.folders import DEPLOYED, without_folder
from nas.front.guessing import guesses, remedy
from nas.front.measure import Exporter
from nas.front.twins import twin_card, twin_of
from nas.problem.budget import format_value, nearest_budget
from nas.problem.drop import DROP, drop_text
from nas.problem.pareto import ParetoFront
from nas.problem.problem import Limit, Problem
from nas.problem.trial import Trial
from nas.targets import Timing, is_tie, timed_together
from search_spaces import CandidateError

MAX_ROUNDS = 4
"""How often finalists over a measured limit are replaced by the next candidates."""

MOST_REASONS = 2
"""Why networks are no members, in a message; numbers differ between many that are alike."""


Card = Mapping[str, Any]


@dataclass
class Measured:
    """What measuring finalists and references gave.

    Attributes:
        judged: Networks that run, with their cards; without twins.
        able: Those that are better than guessing, with their measured numbers.
        trials: Those of them that are within all limits.
        keys: Of the trials, by their numbers.
        timings: Of their deployed files, by key.
        replaced: Keys of finalists and others that do not compete, and why.
        references: Keys and names of the references that run.
        brought: The shown metric, on the search split, of the network that was brought; nan if
            there is none or it is not measured.
    """

    judged: list[tuple[Entry, Card]] = field(default_factory=list)
    able: list[Trial] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    keys: dict[int, str] = field(default_factory=dict)
    timings: dict[str, Timing] = field(default_factory=dict)
    replaced: list[dict[str, str]] = field(default_factory=list)
    references: list[dict[str, str]] = field(default_factory=list)
    brought: float = nan


@dataclass(frozen=True)
class Contest:
    """Who is measured.

    Attributes:
        queue: Trials in the order in which they are to be measured.
        num_finalists: How many of them, if so many are within all limits.
        finalist: What files are made of for a trial: its shared weights, or weights of its own.
        others: Networks that compete besides.
        references: Networks that compete, too, and are shown wherever they end up.
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
        front.json: members (keys, by latency), replaced, ties, knee, references; of an empty front
        also the failure, a sentence.
    """
    found = measure_finalists(exporter, contest, progress)
    front = ParetoFront.of(exporter.problem, found.trials)
    members = sorted(front.trials, key=lambda trial: (trial.value("latency_ms"), trial.number))
    keys = [found.keys[trial.number] for trial in members]
    elsewhere = {*keys, *(row["key"] for row in found.references)}
    dominated = [k for k in found.keys.values() if k not in elsewhere and not k.endswith(TWIN)]
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
        **({} if keys else {"failure": why_empty(exporter.problem, found, exporter.data)}),
    }


def measure_finalists(
    exporter: Exporter, contest: Contest, progress: Callable[[str], None]
) -> Measured:
    """Cards of finalists in the order they deserve it, those over a limit replaced by the next.

    References and others are measured together with the first finalists. A finalist that is a
    reference, too, is measured as that.
    """
    found = Measured()
    queue, beside = contest.queue, [*contest.references, *contest.others]
    references = {entry.key for entry in contest.references}
    finalists: set[str] = set()
    for _ in range(MAX_ROUNDS):
        num_admitted = len(finalists & found.timings.keys())
        batch = queue[: contest.num_finalists - num_admitted]
        queue = queue[len(batch) :]
        if not batch and not beside:
            break
        drawn = [contest.finalist(trial) for trial in batch]
        entries = [*beside, *(entry for entry in drawn if entry.key not in references)]
        cards = list(zip(entries, exporter.cards(entries, progress), strict=True))
        of_brought = [card for entry, card in cards if entry.brought]
        found.brought = next(map(quality_brought, of_brought), found.brought)
        for entry, card in cards:
            _judge(exporter, found, entry, card)
        finalists |= {entry.key for entry in drawn}
        beside = []
    _admit_twins(exporter, found)
    return found


def _judge(exporter: Exporter, found: Measured, entry: Entry, card: Card | CandidateError) -> None:
    """Adds a competitor, or why it is replaced; references without reasons."""
    reason: str | None
    if isinstance(card, CandidateError):
        reason = without_folder(str(card), exporter.run.path)
    elif entry.is_reference and not exporter.is_judged_on_all(card):
        reason = None
    else:
        found.judged.append((entry, card))
        reason = _admit(exporter, found, entry, card)
    if not entry.is_reference:
        found.replaced += [{"key": entry.key, "reason": reason}] if reason else []
    elif not isinstance(card, CandidateError):
        found.references.append({"key": entry.key, "name": entry.name})


def _admit(exporter: Exporter, found: Measured, entry: Entry, card: Card) -> str | None:
    """Adds a competitor; or says why it is none."""
    number, guess = len(found.keys), guesses(card)
    measured = with_drop(exporter.trial(number, entry.candidate, card), found.brought, card)
    if not guess:
        found.able.append(measured)
    if reason := over_limit(exporter.problem, measured) or guess:
        return reason
    found.trials.append(measured)
    found.keys[number] = entry.key
    found.timings[entry.key] = Timing.from_json(card["files"][DEPLOYED]["latency"])
    return None


def _admit_twins(exporter: Exporter, found: Measured) -> None:
    """Adds the twins that are not measured as networks of their own.

    With shared weights, that may be under the key of the candidate, or as the twin of another one.
    """
    space = exporter.problem.space
    networks = {entry.key for entry, _ in found.judged}
    for entry, card in found.judged:
        twin, own = twin_of(space, entry), twin_card(space, card)
        if twin is None or own is None:
            continue
        network = twin.key if entry.finetuned else replace(twin, twin_of="").key
        if network not in networks:
            networks.add(network)
            _admit(exporter, found, twin, own)


def why_empty(problem: Problem, found: Measured, data: DataSet) -> str:
    """What was measured where no network is on the front, and what would change that.

    Args:
        problem: The limits.
        found: What was measured.
        data: Learnt from.
    """
    total, able = len(found.judged), found.able
    text = f"no network is on the front, of {total} that were measured"
    facts = [fact for limit in problem.limits if (fact := _attainable(problem, limit, able))]
    if facts:
        return f"{text}. {' '.join(facts)}"
    reasons = list(dict.fromkeys(row["reason"] for row in found.replaced))
    shown = reasons[:MOST_REASONS]
    if more := len(reasons) - len(shown):
        shown.append(f"and {more} more such reasons")
    why = f": {'; '.join(shown)}" if shown else ""
    return f"{text}{why}. {remedy(reasons, data)}."


def _attainable(problem: Problem, limit: Limit, able: Sequence[Trial]) -> str:
    """Which value of a limit would let in a network that is within the others; "" if none would."""
    others = replace(problem, limits=tuple(x for x in problem.limits if x is not limit))
    values = [trial.get(limit.metric) for trial in able if over_limit(others, trial) is None]
    least = min(values, default=inf)
    if not limit.max < least < inf:
        return ""
    costs = problem.space.costs
    largest = costs.maximum(limit.metric)[0] if costs and limit.metric in costs.metrics else inf
    within = " of those within the other budgets" if others.limits else ""
    if limit.metric == DROP:
        return (
            f"'{limit.text}': the smallest drop{within} is {drop_text(limit, least)}. "
            f"Use --max-drop {drop_text(limit, least)} or more."
        )
    asked = limit.text.strip() or format_value(limit.metric, limit.max)
    nearest = nearest_budget(limit, minimum=least, maximum=largest)
    return (
        f"Budget '{asked}': the smallest {limit.metric}{within} is "
        f"{format_value(limit.metric, least)}. Use '{nearest}' or more."
    )


def over_limit(problem: Problem, trial: Trial) -> str | None:
    """Which limit the measured numbers exceed, as a sentence; None if all hold."""
    for limit in problem.limits:
        value = trial.get(limit.metric)
        if limit.metric == DROP and value > limit.max:
            return f"it is {drop_text(limit, value)} worse than as brought, over {limit.text}"
        if not value <= limit.max:
            return f"measured {limit.metric} {value:.6g} is over the limit {limit.max:.6g}"
    return None
