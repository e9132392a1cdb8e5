"""`nas search`, from a configuration to verified files. Read it top to bottom.

config -> data, space, limits -> profile -> trim, plan -> train
       -> ( ask -> extract -> compress -> score -> record )*
       -> train finalists further -> export, time, verify -> front
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nas._files import understood
from nas.config import Config
from nas.controllers import CONTROLLERS, Predicts
from nas.data import DataSet
from nas.executors import Session, make_executor, make_timer
from nas.finish import finish, train_finalists
from nas.hosts import unlike
from nas.latency import LatencyModel
from nas.planning import (
    PhasePlan,
    make_method,
    phase_plan_of,
    plan_search,
    plan_training,
    train_plan_of,
    training_images,
)
from nas.preparation import (
    check_smallest_latency,
    describe_data,
    keep_data_facts,
    keep_space_file,
    make_problem,
    prepare,
)
from nas.problem import KnownMetrics, Problem
from nas.profiling import profile
from nas.reporter import Reporter
from nas.run import WEIGHTS, Run, log_step
from nas.score import Scorer
from nas.trained import Trained, read_supernet
from nas.trial import Score, Trial
from nas.trimming import announce, limit_rows, run_space
from search_spaces import Candidate, UserError
from supernets.checkpoint import write_tensors
from supernets.steps import SupernetStep
from supernets.supernet import Supernet
from supernets.train import TrainPlan, progress, train


def search(config: Config, out: Path, reporter: Reporter) -> None:
    """Run or continue a search: afterwards the directory `out` holds the front and its files.

    Raises:
        UserError: If what was asked cannot be done; nothing recorded is lost.
        OSError: If a disk is full or read-only; the same command continues.
    """
    make_executor(config).check()
    run = Run.open(out, config) if (out / "config.toml").exists() else None
    data, space, limits = prepare(config, reporter, is_trained=(out / WEIGHTS).exists())
    torch.set_num_threads(config.threads or torch.get_num_threads())
    timer = make_timer(config)
    if run is None:
        check_smallest_latency(config, space, limits, timer)
        run = Run.open(out, config)
    reporter.note(f"run directory: {out}")
    reporter.note(describe_data(data))
    keep_data_facts(run, data)
    keep_space_file(run, config)
    with run.phase("profile"):
        model = profile(run, config, space, limits, timer, reporter)
    limit_facts = limit_rows(limits, space, KnownMetrics((space.costs, model)), config.seed)
    space = run_space(run, space, limits, model, reporter)
    problem = make_problem(space, limits, LatencyModel.from_json(model.to_json(), space))
    with run.phase("plan"):
        document = run.decided(
            "plan.json",
            lambda: (
                plan_training(config, problem, data, remaining_s=run.remaining_s(config))
                | {"limits": limit_facts}
            ),
        )
    with understood(f"'{run.path}/plan.json'"):
        train_plan = train_plan_of(document)
        announce(document, reporter)
    with run.phase("train"):
        supernet = trained_supernet(run, config, problem, data, train_plan, reporter)
    with run.phase("search"):
        phases = decided_phases(run, config, supernet, data, problem)
        trained = Trained(
            run=run,
            config=config,
            data=data,
            problem=problem,
            train_plan=train_plan,
            phases=phases,
            scorer=Scorer(supernet, data, phases.images_per_score),
        )
        trials = score_candidates(trained, reporter)
    train_finalists(trained, trials, reporter)
    with run.phase("finalists"):
        finish(trained, trials, reporter)


def decided_phases(
    run: Run, config: Config, supernet: Supernet, data: DataSet, problem: Problem
) -> PhasePlan:
    """What follows training, as decided when this run first came here."""
    document = run.decided(
        "search_plan.json",
        lambda: plan_search(
            config,
            supernet,
            data,
            problem,
            make_executor(config),
            remaining_s=run.remaining_s(config),
        ),
    )
    with understood(f"'{run.path}/search_plan.json'"):
        return phase_plan_of(document)


def trained_supernet(
    run: Run,
    config: Config,
    problem: Problem,
    data: DataSet,
    train_plan: TrainPlan,
    reporter: Reporter,
) -> Supernet:
    """The supernet with trained weights: recorded, given, or trained now."""
    space = problem.space
    supernet = Supernet(space, seed=config.seed)
    own = run.path / WEIGHTS
    given = Path(config.supernet) / WEIGHTS if config.supernet else None
    source = own if own.exists() else given
    if source is not None:
        supernet = read_supernet(source, supernet)
        if source != own:
            write_tensors(own, supernet.state_dict(), {"space": space.name})
        return supernet
    reporter.phase("train", f"training the supernet, {train_plan.steps} steps")
    log = run.path / "train_log.jsonl"

    def on_step(numbers: dict[str, float]) -> None:
        step = int(numbers["step"])
        share = progress(step, train_plan)
        text = f"step {step} of {train_plan.steps}, loss {numbers['loss']:.3f}"
        rate = f"{numbers['images_per_s']:.0f} images/s"
        reporter.advance(round(100 * share), 100, f"{text}, {rate}")
        log_step(log, numbers, train_plan.steps)

    train(
        supernet,
        training_images(data),
        train_plan,
        SupernetStep(supernet, train_plan, make_method(config, problem, train_plan)),
        directory=run.folder("train_state"),
        on_step=on_step,
    )
    write_tensors(own, supernet.state_dict(), {"space": space.name})
    return supernet


def score_candidates(trained: Trained, reporter: Reporter) -> list[Trial]:
    """All trials, recorded in order; scores are recorded as soon as they are there.

    The candidate of trial i is asked for with the results of trials below i - lag: what is asked
    for does not depend on which score is finished first.
    """
    run, config, problem = trained.run, trained.config, trained.problem
    number = trained.phases.trials
    controller, lag = make_controller(config), trained.phases.lag
    trials = run.trials(problem.space)
    waiting: list[Candidate] = []
    is_dry = False
    reporter.phase("search", f"scoring {number} candidates with '{config.controller}'")
    with make_executor(config).session(trained) as session:
        while len(trials) < number:
            while not is_dry and len(waiting) <= lag and len(trials) + len(waiting) < number:
                seen = seen_with_lag(trials, waiting, lag)
                asked = controller.ask(problem, seen, 1)
                is_dry = not asked
                for candidate in asked:
                    waiting.append(candidate)
                    if not run.has_score(candidate.key):
                        session.start(candidate)
            if not waiting:
                break
            key = waiting[0].key
            score = run.score(key, partial(awaited, run, session, key))
            trial = trial_of(problem, waiting.pop(0), score, len(trials))
            run.append_trial(trial)
            trials.append(trial)
            if isinstance(controller, Predicts):
                run.append_beliefs(len(trials), controller.evidence(problem, trials))
            reporter.advance(len(trials), number, _best(trials))
    if not trials:
        raise UserError(
            f"no network of space '{problem.space.name}' was found within all limits "
            f"together: {', '.join(limit.text for limit in problem.limits)}. Raise one."
        )
    if len(trials) < number:
        reporter.note(f"every network within the limits is scored: {len(trials)}")
    if text := unlike(run.host_of(trial.candidate.key) for trial in trials):
        run.event("search", "message", text=text)
        reporter.note(text)
    return trials


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


def _best(trials: list[Trial]) -> str:
    """What the search has so far, for the progress line."""
    accuracies = [t.metrics["accuracy"] for t in trials if "accuracy" in t.metrics]
    return f"best accuracy so far {max(accuracies):.1%}" if accuracies else "no score yet"
