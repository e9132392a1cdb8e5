"""Whether a search decided anything, in one sentence: the first thing that a report says.

What the search found is compared with networks that were drawn at random, by the metric that people
are shown, on the search split; where that does not tell them apart, by measured latency, too. Only
like is compared with like for the claim: where the one network was trained further and the other
was not, the best trial, which has shared weights, stands for it. If that is not told apart, the
claim says that it is by training.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from reports import hypervolumes, text
from reports.intervals import difference, wilson
from reports.records import UNTUNED, Interval, Member, RunTables
from reports.tips import score
from search_spaces import Metric

RANDOM, TWIN = "random ", "fp32 of "
BETTER, ALIKE, WORSE = "better", "not told apart", "worse"
CLAIMS = {
    BETTER: "The search found better networks than random drawing does",
    ALIKE: "The search is not told apart from random drawing",
    WORSE: "The search found worse networks than random drawing does",
    "": "Whether the search beats random drawing is not known",
}
NO_TRIAL = "Nothing is decided yet: no trial has a score."
TRAINED = "What the search found and trained further is better than random drawing"
FASTER = "The search found faster networks than random drawing does, no larger and no worse"
TRAINED_FASTER = (
    "What the search found and trained further is faster than random drawing, no larger and no "
    "worse"
)
GUESSING = "The search had nothing to go by, as shared weights are not told apart from guessing"
NONE_OF_ITS_OWN = "The search put no network of its own on the front"


@dataclass(frozen=True, kw_only=True)
class Scored:
    """The shown metric of one network, with its 95 % interval where that is known."""

    value: float
    interval: Interval | None


def sentence(run: RunTables) -> str:
    """The claim, and what it rests on."""
    shared = _shared(run)
    if shared is None:
        return NO_TRIAL
    own_members, random = [m for m in run.front if not _is_reference(run, m)], _random(run)
    found, drawn = _best(run, own_members), _best(run, random)
    own, other = _scored(found), _scored(drawn)
    is_alike = found is None or drawn is None or bool(found.finetuned) == bool(drawn.finetuned)
    shown = run.task.shown
    at_first = compared(own, other, shown)
    fair = at_first if found is not None and is_alike else compared(shared, other, shown)
    guessed = hypervolumes.guessing(run.task, run.members)
    parts = [_shared_words(run, shared, None if guessed is None else guessed[1])]
    parts.append(
        f"the best network that it found has {_words(found)}"
        if found is not None
        else "none that it found is on the front"
    )
    parts.append(
        f"the best random one has {_words(drawn)}{_outcome(at_first, fair, is_alike)}"
        if drawn is not None
        else "no random one was measured"
    )
    is_guess = guessed is not None and _outcome_of(shared, guessed[1], shown) in (ALIKE, WORSE)
    share = slowest_share(own_members, random)
    said = claim(
        fair=fair,
        at_first=at_first,
        is_faster=slowest_share(own_members, random, is_alike=True) is not None,
        is_faster_by_training=share is not None,
        is_guess=is_guess,
        has_own=found is not None or not run.front,
    )
    if said in (FASTER, TRAINED_FASTER) and share is not None:
        most = f"{text.percent(share)} %"
        parts.append(f"for each random one it found one with at most {most} of its latency")
    parts += _ranking(run)
    metric = "" if said in (GUESSING, NONE_OF_ITS_OWN) else f" in {shown.title}"
    return f"{said}{metric}: {'; '.join(parts)}."


def claim(
    *,
    fair: str,
    at_first: str,
    is_faster: bool = False,
    is_faster_by_training: bool = False,
    is_guess: bool = False,
    has_own: bool = True,
) -> str:
    """What is claimed of the front as a whole.

    Args:
        fair: How the shown metric of what was found compares, like with like.
        at_first: How it compares whoever was trained further.
        is_faster: Whether every random network is beaten by one that was trained like it.
        is_faster_by_training: Whether every one is by some network that was found.
        is_guess: Whether shared weights may be guessing.
        has_own: Whether the front has a network that was found.
    """
    if is_guess:
        return GUESSING
    if not has_own:
        return NONE_OF_ITS_OWN
    if fair != ALIKE:
        return CLAIMS[fair]
    if is_faster:
        return FASTER
    if at_first == BETTER:
        return TRAINED
    return TRAINED_FASTER if is_faster_by_training else CLAIMS[ALIKE]


def slowest_share(
    found: Sequence[Member], drawn: Sequence[Member], *, is_alike: bool = False
) -> float | None:
    """What share of a random network's latency found ones need that beat it, at most.

    Args:
        found: By the search.
        drawn: At random.
        is_alike: Whether only those count that were trained further as little or as much.

    Returns:
        Of the random network of which it is the largest; None unless every one is beaten.
    """
    shares = []
    for other in drawn:
        beating = [
            (member.deployed.latency.median_ms or 0.0) / (other.deployed.latency.median_ms or 1.0)
            for member in found
            if beats(member, other)
            and (not is_alike or bool(member.finetuned) == bool(other.finetuned))
        ]
        if not beating:
            return None
        shares.append(min(beating))
    return max(shares, default=None)


def beats(one: Member, other: Member) -> bool:
    """Whether one is surely faster, no larger, and no worse in the shown metric.

    Faster is who has all of the 95 % interval of the latency below that of the other.
    """
    a, b = one.deployed, other.deployed
    known = (a.search.shown, b.search.shown, a.bytes, b.bytes)
    times = (a.latency.interval_ms, b.latency.interval_ms)
    if None in known or None in times:
        return False
    signed = one.task.shown.signed
    is_no_worse = signed(a.search.shown or 0.0) <= signed(b.search.shown or 0.0)
    is_no_larger = (a.bytes or 0) <= (b.bytes or 0)
    (_, slowest), (fastest, _) = (interval or (0.0, 0.0) for interval in times)
    return is_no_worse and is_no_larger and slowest < fastest


def compared(one: Scored | None, other: Scored | None, shown: Metric) -> str:
    """Whether one is better than the other, by the interval of their difference; "" if not known.

    Networks answer the same images, so their errors go together: the interval is too wide rather
    than too narrow.
    """
    if one is None or other is None or one.interval is None or other.interval is None:
        return ""
    return _side(difference(one.value, one.interval, other.value, other.interval), 0.0, shown)


def _outcome_of(one: Scored, than: float, shown: Metric) -> str:
    return "" if one.interval is None else _side(one.interval, than, shown)


def _side(interval: Interval, than: float, shown: Metric) -> str:
    worst, best = sorted(map(shown.signed, interval), reverse=True)
    if worst < shown.signed(than):
        return BETTER
    return WORSE if best > shown.signed(than) else ALIKE


def _shared(run: RunTables) -> Scored | None:
    """The best trial. Being the best of many widens its interval (Bonferroni)."""
    shown = run.task.shown
    values = [t.shown for t in run.trials if t.failure is None and t.shown is not None]
    best, images = shown.best_of(values), run.images_per_score or 0
    if best is None:
        return None
    if not (shown.is_share and images > 0 and 0.0 <= best <= 1.0):
        return Scored(value=best, interval=None)
    z = NormalDist().inv_cdf(1 - 0.025 / len(values))
    return Scored(value=best, interval=wilson(round(best * images), images, z))


def _scored(member: Member | None) -> Scored | None:
    found = None if member is None else member.deployed.search
    if found is None or found.shown is None:
        return None
    return Scored(value=found.shown, interval=found.interval)


def _best(run: RunTables, members: Iterable[Member]) -> Member | None:
    """By the shown metric; None if none is known."""
    shown = run.task.shown
    known = [m for m in members if m.deployed.search.shown is not None]
    return min(known, key=lambda m: shown.signed(m.deployed.search.shown or 0.0), default=None)


def _random(run: RunTables) -> list[Member]:
    """Drawn at random; those over a limit only if all are."""
    drawn = [member for member in run.members if _role(run, member).startswith(RANDOM)]
    return [member for member in drawn if not member.over_limits] or drawn


def _is_reference(run: RunTables, member: Member) -> bool:
    """Whether it would have been measured whatever the search had found."""
    role = _role(run, member)
    return bool(role) and not role.startswith(TWIN)


def _role(run: RunTables, member: Member) -> str:
    """Of the network that this one is before quantization, or was before it was trained further."""
    source = member.finetuned.source if member.finetuned else member.role.partition(TWIN)[2]
    return next((other.role for other in run.members if other.key == source), member.role)


def _words(member: Member) -> str:
    """ "93.0 % (92.3-93.7) at 0.346 ms, trained further"."""
    found = member.deployed
    latency = text.with_unit(text.significant(found.latency.median_ms), "ms")
    parts = [f"{score(member.task.shown, found.search.shown, found.search.interval)} at {latency}"]
    parts += ["trained further"] if member.finetuned else []
    parts += [UNTUNED] if member.is_untuned else []
    parts += ["over the limit"] if member.over_limits else []
    return ", ".join(parts)


def _shared_words(run: RunTables, shared: Scored, guessed: float | None) -> str:
    shown = run.task.shown
    against = "" if guessed is None else f", where {run.task.untaught} has {score(shown, guessed)}"
    best = score(shown, shared.value, shared.interval)
    return f"with shared weights the best trial has {best}{against}"


def _outcome(at_first: str, fair: str, is_alike: bool) -> str:
    """ " (better; with shared weights alone not told apart)"."""
    words = [at_first] if at_first else []
    if not is_alike and fair:
        words.append(f"with shared weights alone {fair}")
    return f" ({'; '.join(words)})" if words else ""


def _ranking(run: RunTables) -> list[str]:
    """How well the controller, if it predicts, has ranked trials in the end."""
    loss = run.task.loss
    taus = [belief.kendall_tau for belief in run.beliefs if belief.metric == loss.name]
    if not taus:
        return []
    return [
        f"the controller's predictions rank trials by {loss.title} with Kendall tau {taus[-1]:.2f} "
        "(1: all in order, 0: by chance)"
    ]
