"""The searches of `series.py`: on one trained supernet, jointly and one kind of choice at a time.

A search is `nas search --supernet RUN --fix ... --controller predictor` without what goes before
and after its scores: the same space, limits, predicted latency, controller and scores, in a run of
its own. Scores that a step begins with are those of the step before; they count once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nas.finalists.order import finalist_order
from nas.latency import LatencyModel
from nas.prepare.inputs import make_problem
from nas.prepare.plan import make_scorer
from nas.prepare.reopen import Trained
from nas.problem.fix import fixed
from nas.problem.trial import Score, Trial
from nas.run.directory import Run
from nas.search_flow import score_candidates, trial_of
from nas.system.files import read_json
from nas.system.reporter import Silent
from search_spaces import Option

LAG = 1
"""Of every search: two processes score, and steps of few scores learn from most of theirs."""

DENSE, IN_FP32 = "*.sparsity=0", "*.precision=fp32"
PRECISION = ".precision"


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a side has found.

    Attributes:
        trials: In the whole space, numbered from 0.
        evaluations: Scores that it took.
    """

    trials: Sequence[Trial]
    evaluations: int


def jointly(whole: Trained, folder: Path, evaluations: int) -> Found:
    """Architecture, sparsity and formats in one search."""
    trials = searched(whole, folder, (), evaluations)
    return Found(trials=trials, evaluations=len(trials))


def in_series(whole: Trained, folder: Path, evaluations: int, carried: int) -> Found:
    """Architecture first, then the sparsity of the best, then the formats of the best of these.

    Args:
        whole: The trained supernet and its space.
        folder: For the runs.
        evaluations: A third each.
        carried: Networks that go on to the next step, the best first; further ones do where all
            that these can become is scored.
    """
    first = (evaluations + 2) // 3
    trials = searched(whole, folder / "architecture", (DENSE, IN_FP32), first)
    found = Found(trials=trials, evaluations=len(trials))
    found = _refined(whole, folder / "sparsity", found, first + evaluations // 3, carried)
    return _refined(whole, folder / "formats", found, evaluations, carried)


def _refined(whole: Trained, folder: Path, found: Found, until: int, carried: int) -> Found:
    """Also with what the best become, each searched alone, until there are so many scores."""
    trials, evaluations = list(found.trials), found.evaluations
    share = -(-(until - evaluations) // carried)
    for place, trial in enumerate(finalist_order(whole.problem, found.trials)):
        number = min(share, until - evaluations)
        if number <= 0:
            break
        fix = tuple(_texts(trial, frees_formats=folder.name == "formats"))
        new = searched(whole, folder / str(place), fix, number, known=trial)
        trials += new
        evaluations += len(new)
    return Found(trials=_numbered(_distinct(trials)), evaluations=evaluations)


def _texts(trial: Trial, *, frees_formats: bool) -> Iterator[str]:
    """What of a network stays: its architecture, and its formats or else its sparsity."""
    arch, policy = trial.candidate.arch, trial.candidate.policy
    kept: Mapping[str, Option] = {
        **arch,
        **{name: o for name, o in policy.items() if name.endswith(PRECISION) != frees_formats},
    }
    return (f"{name}={option}" for name, option in kept.items())


def searched(
    whole: Trained, folder: Path, fix: Sequence[str], number: int, known: Trial | None = None
) -> list[Trial]:
    """Up to so many new scores in a part of the space, as trials of the whole space.

    Args:
        whole: The trained supernet and its space.
        folder: For the run; what it has is not scored again.
        fix: As `nas search --fix`.
        number: Of scores.
        known: A network of the part that is scored already.
    """
    part = fixed(whole.problem.space, fix)
    model = LatencyModel.from_json(read_json(whole.run.path / "profile/profile.json"), part)
    problem = make_problem(part, whole.problem.limits, model, task=whole.data.task)
    config = replace(whole.config, supernet=str(whole.run.path), fix=tuple(fix))
    phases = replace(whole.phases, trials=number + bool(known), lag=LAG)
    run = Run.open(folder, config)
    if known and not run.trials(part):
        candidate = part.candidate(part.encode({**known.candidate.arch, **known.candidate.policy}))
        run.append_trial(trial_of(problem, candidate, Score(known.metrics), 0))
    one = replace(
        whole,
        run=run,
        config=config,
        problem=problem,
        phases=phases,
        scorer=make_scorer(phases, whole.scorer.supernet.offering(part), whole.data),
    )
    trials = score_candidates(one, Silent())
    return [in_whole(whole, trial) for trial in trials[bool(known) :]]


def in_whole(whole: Trained, trial: Trial) -> Trial:
    """A trial of a part of the space as one of the whole."""
    space = whole.problem.space
    options = {**trial.candidate.arch, **trial.candidate.policy}
    candidate = space.candidate(space.encode(options))
    return trial_of(whole.problem, candidate, Score(trial.metrics, trial.failure), trial.number)


def _distinct(trials: Sequence[Trial]) -> list[Trial]:
    return list({trial.candidate.key: trial for trial in trials}.values())


def _numbered(trials: Sequence[Trial]) -> list[Trial]:
    return [replace(trial, number=number) for number, trial in enumerate(trials)]
