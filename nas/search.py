"""`nas search`, from a configuration to verified files. Read it top to bottom.

config -> data, space, limits -> profile -> trim, plan -> train
       -> ( ask -> extract -> compress -> score -> record )*
       -> train finalists further -> export, time, verify -> front
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from nas._files import understood
from nas.config import Config
from nas.controllers import CONTROLLERS
from nas.data import DataSet
from nas.finish import finish, train_finalists
from nas.latency import LatencyModel
from nas.planning import (
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
from nas.trial import Trial
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
    run = Run.open(out, config) if (out / "config.toml").exists() else None
    data, space, limits = prepare(config, reporter, is_trained=(out / WEIGHTS).exists())
    torch.set_num_threads(config.threads or torch.get_num_threads())
    if run is None:
        check_smallest_latency(config, space, limits)
        run = Run.open(out, config)
    reporter.note(f"run directory: {out}")
    reporter.note(describe_data(data))
    keep_data_facts(run, data)
    keep_space_file(run, config)
    with run.phase("profile"):
        model = profile(run, config, space, reporter)
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
        document = run.decided(
            "search_plan.json",
            lambda: plan_search(
                config, supernet, data, problem, remaining_s=run.remaining_s(config)
            ),
        )
        with understood(f"'{run.path}/search_plan.json'"):
            phases = phase_plan_of(document)
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
    """All trials, each recorded before the next candidate is asked for."""
    run, config, problem = trained.run, trained.config, trained.problem
    number = trained.phases.trials
    controller = make_controller(config)
    trials = run.trials(problem.space)
    reporter.phase("search", f"scoring {number} candidates with '{config.controller}'")
    while len(trials) < number:
        asked = controller.ask(problem, trials, 1)
        if not asked:
            if not trials:
                raise UserError(
                    f"no network of space '{problem.space.name}' was found within all limits "
                    f"together: {', '.join(limit.text for limit in problem.limits)}. Raise one."
                )
            reporter.note(f"every network within the limits is scored: {len(trials)}")
            break
        trial = score_one(run, problem, trained.scorer, asked[0], len(trials))
        run.append_trial(trial)
        trials.append(trial)
        reporter.advance(len(trials), number, _best(trials))
    return trials


def score_one(
    run: Run, problem: Problem, scorer: Scorer, candidate: Candidate, number: int
) -> Trial:
    """The candidate's trial: a recorded score if there is one, else a new one."""
    score = run.score(candidate.key, lambda: scorer(candidate))
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
    own = {n: v for n, v in config.set.items() if n in cls.__dataclass_fields__}
    return cls(**own, seed=config.seed)


def _best(trials: list[Trial]) -> str:
    """What the search has so far, for the progress line."""
    accuracies = [t.metrics["accuracy"] for t in trials if "accuracy" in t.metrics]
    return f"best accuracy so far {max(accuracies):.1%}" if accuracies else "no score yet"
