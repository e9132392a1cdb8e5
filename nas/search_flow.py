"""`nas search`, from a configuration to verified files. Read it top to bottom.

config -> data, space, limits -> profile -> trim, plan -> train (nas/prepare/train_supernet.py)
       -> ( ask -> extract -> compress -> score -> record )*
       -> train finalists further -> export, time, verify -> front
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nas.controllers import CONTROLLERS, Predicts
from nas.executors import Session, make_executor
from nas.finalists.baseline import baseline_of
from nas.finalists.rounds import explored_problem, train_within_drop
from nas.finalists.train import train_finalists
from nas.front.continuing import grown_plan
from nas.front.finish import finish
from nas.prepare.plan import judged, loss_of, make_scorer, phase_plan_of, plan_search
from nas.prepare.reopen import Trained
from nas.prepare.starts import expected_of, starts_of
from nas.prepare.train_supernet import Begun, begin
from nas.problem.drop import limit_on_drop
from nas.problem.problem import Problem
from nas.problem.trial import Score, Trial
from nas.run.config import Config
from nas.run.directory import Run
from nas.run.growth import asked
from nas.system.files import understood
from nas.system.hosts import unlike
from nas.system.reporter import Reporter
from nas.train import refuse_supernet_run
from search_spaces import Candidate, Metric, UserError


def search(config: Config, out: Path, reporter: Reporter) -> None:
    """Run or continue a search: afterwards the directory `out` holds the front and its files.

    Raises:
        UserError: If what was asked cannot be done; nothing recorded is lost.
        OSError: If a disk is full or read-only; the same command continues.
    """
    refuse_supernet_run(out)
    begun = begin(config, out, reporter)
    run, data, problem = begun.run, begun.data, begun.problem
    with run.phase("search"):
        document = decided_phases(begun, config)
        with understood(f"'{run.path}/search_plan.json'"):
            phases, data = phase_plan_of(document), judged(data, document)
        trained = Trained(
            run=run,
            config=config,
            data=data,
            problem=problem,
            train_plan=begun.train_plan,
            phases=phases,
            scorer=make_scorer(phases, begun.supernet, data, device=begun.train_plan.device),
        )
        trials = score_candidates(trained, reporter, starts_of(trained, reporter))
    if limit_on_drop(problem.limits):
        train_within_drop(trained, trials, reporter)
    else:
        train_finalists(trained, trials, reporter)
    with run.phase("finalists"):
        finish(trained, trials, reporter)


def decided_phases(begun: Begun, config: Config) -> dict[str, Any]:
    """search_plan.json: as decided when this run first came here, or was asked for more."""
    run = begun.run

    def plan(config: Config, remaining_s: float) -> dict[str, Any]:
        return plan_search(
            config,
            begun.supernet,
            begun.data,
            begun.problem,
            make_executor(config),
            remaining_s=remaining_s,
        )

    document = run.decided(
        "search_plan.json",
        lambda: (
            plan(config, run.remaining_s(config))
            | loss_of(begun.train_plan)
            | {"asked": asked(config)}
        ),
    )
    return grown_plan(run, config, document, plan)


def score_candidates(
    trained: Trained, reporter: Reporter, starts: Sequence[Candidate] = ()
) -> list[Trial]:
    """All trials, recorded in order; scores are recorded as soon as they are there.

    The candidate of trial i is asked for with the results of trials below i - lag: what is asked
    for does not depend on which score is finished first.

    Args:
        trained: What is scored, and how.
        reporter: Told how far it is.
        starts: Candidates that come before any that the controller is asked for.
    """
    run, config, problem = trained.run, trained.config, trained.problem
    number = trained.phases.trials
    controller, lag = make_controller(config), trained.phases.lag
    trials = run.trials(problem.space)
    waiting: list[Candidate] = []
    is_dry = False
    baseline = baseline_of(trained) if limit_on_drop(problem.limits) else None
    asked_about = explored_problem(problem, baseline) if baseline else problem
    asked_about = replace(asked_about, expected=expected_of(trained))
    reporter.phase("search", f"scoring {number} candidates with '{config.controller}'")
    with make_executor(config).session(trained.scoring) as session:
        while len(trials) < number:
            while not is_dry and len(waiting) <= lag and len(trials) + len(waiting) < number:
                seen = seen_with_lag(trials, waiting, lag)
                asked = starts_left(starts, seen)[:1] or controller.ask(asked_about, seen, 1)
                is_dry = not asked
                for candidate in asked:
                    waiting.append(candidate)
                    if not run.has_score(candidate.key):
                        session.start(candidate)
            if not waiting:
                break
            key = waiting[0].key
            score = run.score(key, partial(awaited, run, session, key))
            score = baseline.compared(score) if baseline else score
            trial = trial_of(problem, waiting.pop(0), score, len(trials))
            run.append_trial(trial)
            trials.append(trial)
            if isinstance(controller, Predicts):
                run.append_beliefs(len(trials), controller.evidence(asked_about, trials))
            reporter.advance(len(trials), number, _best(trials, trained.scorer.task.shown))
    if not trials:
        raise UserError(
            f"no network of space '{problem.space.name}' was found within all limits "
            f"together: {', '.join(limit.text for limit in problem.limits)}. Raise one."
        )
    if len(trials) < number:
        reporter.note(f"every network within the limits is scored: {len(trials)}")
    if text := unlike("scores", (run.host_of(trial.candidate.key) for trial in trials)):
        run.event("search", "message", text=text)
        reporter.note(text)
    return trials


def starts_left(starts: Sequence[Candidate], seen: Sequence[Trial]) -> list[Candidate]:
    """First candidates that were not asked for yet."""
    known = {trial.candidate.key for trial in seen[: len(starts)]}
    return [candidate for candidate in starts if candidate.key not in known]


def awaited(run: Run, session: Session, key: str) -> Score:
    """The score of a started candidate; others that are finished before it are recorded."""
    while True:
        other, score = session.finished()
        if other == key:
            return score
        run.score(other, partial(_same, score))


def _same(score: Score) -> Score:
    return score


def seen_with_lag(trials: Sequence[Trial], waiting: Sequence[Candidate], lag: int) -> list[Trial]:
    """What the next ask may see: the results of the last `lag` trials are hidden.

    Args:
        trials: The recorded ones.
        waiting: Candidates that were asked for after them.
        lag: How many trials before the next one count as being evaluated.
    """
    num_seen = max(0, len(trials) + len(waiting) - lag)
    hidden = [*(trial.candidate for trial in trials[num_seen:]), *waiting]
    return [
        *trials[:num_seen],
        *(
            Trial(number=num_seen + i, candidate=candidate, metrics={}, predicted={})
            for i, candidate in enumerate(hidden)
        ),
    ]


def trial_of(problem: Problem, candidate: Candidate, score: Score, number: int) -> Trial:
    """The trial that a score makes of a candidate."""
    row = np.array([candidate.encoding])
    predicted = {m: round(float(problem.model.of(m, row)[0]), 6) for m in problem.model.metrics}
    return Trial(
        number=number,
        candidate=candidate,
        metrics=score.metrics,
        predicted=predicted,
        failure=score.failure,
    )


def make_controller(config: Config) -> Any:
    """The controller with the hyper-parameters that `--set` gives it."""
    cls = CONTROLLERS.get(config.controller)
    return cls(**config.settings_of(cls), seed=config.seed)


def _best(trials: list[Trial], shown: Metric) -> str:
    """What the search has so far, for the progress line."""
    best = shown.best_of(trial.metrics.get(shown.name) for trial in trials)
    return "no score yet" if best is None else f"best {shown.title} so far {shown.text(best)}"
