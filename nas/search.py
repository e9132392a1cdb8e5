"""`nas search`, from a configuration to verified files. Read it top to bottom.

config -> data, space, limits -> profile -> trim, plan -> train
       -> ( ask -> extract -> compress -> score -> record )* -> export, time, verify -> front
"""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nas._files import append_line, understood, write_json
from nas.config import Config
from nas.controllers import CONTROLLERS
from nas.data import DataSet
from nas.finalists import Entry, Exporter
from nas.front import choose_front
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
    KnownMetrics,
    announce,
    check_smallest_latency,
    describe_data,
    keep_space_file,
    limit_rows,
    prepare,
    profile,
    run_space,
)
from nas.problem import Objective, Problem
from nas.reporter import Reporter
from nas.run import WEIGHTS, Run
from nas.score import Scorer
from nas.trial import Trial
from search_spaces import Candidate, SearchSpace, UserError
from supernets.checkpoint import read_tensors, same_shapes, write_tensors
from supernets.supernet import Supernet
from supernets.train import TrainPlan, progress, train

OBJECTIVES = ("log_loss", "latency_ms", "size_bytes")


def search(config: Config, out: Path, reporter: Reporter) -> None:
    """Run or continue a search: afterwards the directory `out` holds the front and its files.

    Raises:
        UserError: If what was asked cannot be done; nothing recorded is lost.
        OSError: If a disk is full or read-only; the same command continues.
    """
    data, space, limits = prepare(config, reporter)
    torch.set_num_threads(config.threads or torch.get_num_threads())
    if not (out / "config.toml").exists():
        check_smallest_latency(config, space, limits)
    run = Run.open(out, config)
    reporter.note(f"run directory: {out}")
    reporter.note(describe_data(data))
    keep_space_file(run, config)
    with run.phase("profile"):
        model = profile(run, config, space, reporter)
    limit_facts = limit_rows(limits, space, KnownMetrics((space.costs, model)), config.seed)
    space = run_space(run, space, limits, model, reporter)
    with run.phase("plan"):
        document = run.decided(
            "plan.json",
            lambda: (
                plan_training(config, space, data, limits, remaining_s=run.remaining_s(config))
                | {"limits": limit_facts}
            ),
        )
    with understood(f"'{run.path}/plan.json'"):
        train_plan = train_plan_of(document)
        announce(document, reporter)
    with run.phase("train"):
        supernet = trained(run, config, space, data, train_plan, reporter)
    problem = Problem(
        space=space,
        objectives=tuple(Objective.of(metric) for metric in OBJECTIVES),
        limits=tuple(limits),
        model=KnownMetrics((space.costs, LatencyModel.from_json(model.to_json(), space))),
    )
    with run.phase("search"):
        document = run.decided(
            "search_plan.json",
            lambda: plan_search(
                config, supernet, data, limits, remaining_s=run.remaining_s(config)
            ),
        )
        with understood(f"'{run.path}/search_plan.json'"):
            phases = phase_plan_of(document)
        scorer = Scorer(supernet, data, phases.images_per_score)
        trials = score_candidates(run, config, problem, scorer, phases, reporter)
    exporter = Exporter(run, problem, scorer, data, config.target, config.timing_threads)
    with run.phase("finalists"):
        finish(run, config, exporter, trials, phases, reporter)


def trained(
    run: Run,
    config: Config,
    space: SearchSpace,
    data: DataSet,
    train_plan: TrainPlan,
    reporter: Reporter,
) -> Supernet:
    """The supernet with trained weights: recorded, given, or trained now."""
    supernet = Supernet(space, seed=config.seed)
    own = run.path / WEIGHTS
    given = Path(config.supernet) / WEIGHTS if config.supernet else None
    source = own if own.exists() else given
    if source is not None:
        tensors, _ = read_tensors(source)
        if not same_shapes(tensors, supernet):
            raise UserError(
                f"supernet '{source}' was trained for another space, resolution or budget. "
                "Leave out --supernet to train one, or use the options of that run."
            )
        supernet.load_state_dict(tensors)
        if source != own:
            write_tensors(own, tensors, {"space": space.name})
        return supernet.eval()
    reporter.phase("train", f"training the supernet, {train_plan.steps} steps")
    log = run.path / "train_log.jsonl"

    def on_step(numbers: dict[str, float]) -> None:
        step = int(numbers["step"])
        share = progress(step, train_plan)
        text = f"step {step} of {train_plan.steps}, loss {numbers['loss']:.3f}"
        rate = f"{numbers['images_per_s']:.0f} images/s"
        reporter.advance(round(100 * share), 100, f"{text}, {rate}")
        if step % max(1, train_plan.steps // 100) == 0 or step == train_plan.steps:
            append_line(log, {name: float(f"{v:.6g}") for name, v in numbers.items()})

    train(
        supernet,
        training_images(data),
        train_plan,
        make_method(config, space, train_plan),
        directory=run.folder("train_state"),
        on_step=on_step,
    )
    write_tensors(own, supernet.state_dict(), {"space": space.name})
    return supernet


def score_candidates(
    run: Run,
    config: Config,
    problem: Problem,
    scorer: Scorer,
    phases: PhasePlan,
    reporter: Reporter,
) -> list[Trial]:
    """All trials, each recorded before the next candidate is asked for."""
    controller = make_controller(config)
    trials = run.trials(problem.space)
    reporter.phase("search", f"scoring {phases.trials} candidates with '{config.controller}'")
    while len(trials) < phases.trials:
        asked = controller.ask(problem, trials, 1)
        if not asked:
            if not trials:
                raise UserError(
                    f"no network of space '{problem.space.name}' was found within all limits "
                    f"together: {', '.join(limit.text for limit in problem.limits)}. Raise one."
                )
            reporter.note(f"every network within the limits is scored: {len(trials)}")
            break
        trial = score_one(run, problem, scorer, asked[0], len(trials))
        run.append_trial(trial)
        trials.append(trial)
        reporter.advance(len(trials), phases.trials, _best(trials))
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


def finish(
    run: Run,
    config: Config,
    exporter: Exporter,
    trials: list[Trial],
    phases: PhasePlan,
    reporter: Reporter,
) -> None:
    """Exports, measures and verifies finalists and reference networks; writes front.json."""
    reporter.phase("finalists", "exporting, timing and verifying")
    beside = references(exporter.problem.space, phases.random_references, config.seed)
    progress = _counted(reporter, 2 * (len(beside) + phases.finalists) + 1)
    front = choose_front(exporter, trials, phases.finalists, beside, progress)
    if not front["members"]:
        reporter.note("no candidate is within all limits once measured: raise the budget")
    exporter.settle(front["members"])
    write_json(run.path / "front.json", front)


def references(space: SearchSpace, num_random: int, seed: int) -> list[Entry]:
    """Networks shown beside the front: the largest in each precision, and random ones."""
    assert space.costs is not None
    largest = list(space.costs.maximum("macs")[1])
    found = []
    columns = [i for i, c in enumerate(space.choices) if c.name.endswith(".precision")]
    for option, precision in enumerate(space.choices[columns[0]].options):
        for column in columns:
            largest[column] = option
        found.append((space.candidate(largest), f"largest {precision}"))
    rng = np.random.default_rng([seed, 12])
    for number, encoding in enumerate(space.sample(rng, num_random), start=1):
        found.append((space.candidate(encoding.tolist()), f"random {number}"))
    unique = {candidate.key: Entry(candidate, name, True) for candidate, name in reversed(found)}
    return list(reversed(unique.values()))


def make_controller(config: Config) -> Any:
    """The controller with the hyper-parameters that `--set` gives it."""
    cls = CONTROLLERS.get(config.controller)
    own = {n: v for n, v in config.set.items() if n in cls.__dataclass_fields__}
    return cls(**own, seed=config.seed)


def _counted(reporter: Reporter, of: int) -> Callable[[str], None]:
    """Each call is one of about `of` steps; replaced finalists can need a few more."""
    numbers = itertools.count(1)

    def progress(text: str) -> None:
        reporter.advance(min(next(numbers), of), of, text)

    return progress


def _best(trials: list[Trial]) -> str:
    """What the search has so far, for the progress line."""
    accuracies = [t.metrics["accuracy"] for t in trials if "accuracy" in t.metrics]
    return f"best accuracy so far {max(accuracies):.1%}" if accuracies else "no score yet"
