"""The first half of a search: from a configuration to a trained supernet.

config -> data, space, limits -> profile -> trim, plan -> train
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from compress.bring.bring import give_weights, read_brought
from nas.data import DataSet
from nas.executors import make_executor, make_timer, make_timers
from nas.latency import LatencyModel
from nas.prepare.brought import in_words, keep_brought
from nas.prepare.given_profile import given_profile
from nas.prepare.inputs import describe_data, keep_data_facts, make_problem, prepare
from nas.prepare.plan import (
    check_criterion,
    make_method,
    plan_training,
    train_plan_of,
    training_images,
)
from nas.prepare.profile import profile
from nas.prepare.reopen import read_supernet
from nas.prepare.reuse import check_donor
from nas.prepare.several import check_are_here, sharing
from nas.prepare.sizing import decide_sizes
from nas.prepare.smallest import check_smallest_latency
from nas.prepare.speed import shared_cores
from nas.prepare.trim import announce, limit_rows, run_space
from nas.problem.feasible import trained_within
from nas.problem.fix import fixed
from nas.problem.problem import KnownMetrics, Limit, Problem
from nas.run.config import Config
from nas.run.directory import SEARCHED_SPACE, TRAINED_SPACE, WEIGHTS, Run, log_step, read_space
from nas.run.growth import as_begun, has_front
from nas.run.own_files import BROUGHT, keep_own_files, with_space_at_hand
from nas.run.trained_by import record
from nas.system.files import understood, write_json
from nas.system.reporter import Reporter
from search_spaces import SearchSpace
from supernets._group import num_machines
from supernets._worker import import_ahead
from supernets.checkpoint import write_tensors
from supernets.device import about, chosen_device, is_cpu
from supernets.gradients import label_gradients
from supernets.images import Images
from supernets.methods._base import remaining_of
from supernets.plan import TrainPlan
from supernets.steps import SupernetBatches
from supernets.supernet import Supernet
from supernets.train import train


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A run whose supernet is trained, before the search.

    Attributes:
        run: Its directory.
        data: All splits.
        problem: Space after trimming, objectives, limits, what is known.
        train_plan: How the supernet was trained.
        supernet: In evaluation mode.
    """

    run: Run
    data: DataSet
    problem: Problem
    train_plan: TrainPlan
    supernet: Supernet


def begin(config: Config, out: Path, reporter: Reporter, *, is_all: bool = False) -> Begun:
    """Begin or continue a run, up to its trained supernet.

    Args:
        config: What was asked.
        out: The run directory.
        reporter: Told how far it is.
        is_all: Whether nothing follows, so that training may take all of the time.

    Raises:
        UserError: If what was asked cannot be done, or the plan is for a device that is not here;
            nothing recorded is lost.
        OSError: If a disk is full or read-only; the same call continues.
    """
    make_executor(config).check()
    check_are_here(config)
    if not has_front(out):
        import_ahead()
    is_begun = (out / "config.toml").exists()
    found = with_space_at_hand(out, config)  # before the run records where its files are now
    run = Run.open(out, config, may_grow=not is_all) if is_begun else None
    data, space, limits = prepare(found, reporter, is_trained=(out / WEIGHTS).exists())
    torch.set_num_threads(config.threads or torch.get_num_threads())
    if run is None:
        check_given(config, data, space, limits)
        check_smallest_latency(config, space, limits, make_timers(config))
        run = Run.open(out, config)
    for text in filter(None, (f"run directory: {out}", run.continued, describe_data(data))):
        reporter.note(text)
    keep_data_facts(run, data)
    keep_own_files(run.path, found)
    keep_brought(run.path, found, data)
    if config.model and not (out / WEIGHTS).exists():
        for sentence in in_words(found, space, data):
            reporter.note(sentence)
    with sharing(config, out):
        return _trained(run, config, data, space, limits, reporter, is_all=is_all)


def check_given(config: Config, data: DataSet, space: SearchSpace, limits: list[Limit]) -> None:
    """See that a supernet, a criterion and a profile that are given can be used.

    Args:
        config: Names them.
        data: Of the search, and so are
        space: what is searched, and
        limits: what must hold.

    Raises:
        UserError: If one cannot.
    """
    check_donor(config, space, limits, data)
    check_criterion(config)
    if config.profile:
        given_profile(config, space)


def _trained(
    run: Run,
    config: Config,
    data: DataSet,
    space: SearchSpace,
    limits: list[Limit],
    reporter: Reporter,
    *,
    is_all: bool,
) -> Begun:
    """What a run decides by measuring, and its supernet."""
    with run.phase("size"):
        sizes = decide_sizes(run, config, space, limits, data, reporter, is_all=is_all)
    user_limits = limits
    limits, space = sizes.limits(limits), sizes.space(space)
    with run.phase("profile"):
        model = profile(
            run, as_begun(run.path, config), space, limits, make_timer(config), reporter
        )
    limit_facts = limit_rows(user_limits, space, KnownMetrics((space.costs, model)), config.seed)
    space = run_space(run, config, space, limits, model, reporter)

    def asked_of(part: SearchSpace) -> Problem:
        predicts = LatencyModel.from_json(model.to_json(), part)
        return make_problem(part, limits, predicts, task=data.task)

    problem = asked_of(space)
    with run.phase("plan"):
        document = run.decided(
            "plan.json",
            lambda: (
                plan_training(
                    config, problem, data, remaining_s=run.remaining_s(config), is_all=is_all
                )
                | {"limits": limit_facts, **({"is_all": True} if is_all else {})}
            ),
        )
    with understood(f"'{run.path}/plan.json'"):
        train_plan = train_plan_of(document)
        announce(document, reporter, is_trained=bool(config.supernet))
    chosen_device(train_plan.device)
    with run.phase("train"):
        supernet = trained_supernet(run, config, problem, data, train_plan, reporter)
    if config.fix and config.supernet:
        supernet = _offering_fixed(run, config, supernet, reporter)
    if supernet.space is not problem.space:
        problem = asked_of(supernet.space)
    return Begun(run=run, data=data, problem=problem, train_plan=train_plan, supernet=supernet)


def _offering_fixed(run: Run, config: Config, supernet: Supernet, reporter: Reporter) -> Supernet:
    """A given supernet with what `fix` leaves of its networks."""
    run.decided(SEARCHED_SPACE, lambda: fixed(supernet.space, config.fix).to_json())
    found = supernet.offering(read_space(run.path))
    reporter.note(f"searching {found.space.size:,} networks, with {', '.join(config.fix)}")
    return found


def trained_supernet(
    run: Run,
    config: Config,
    problem: Problem,
    data: DataSet,
    train_plan: TrainPlan,
    reporter: Reporter,
) -> Supernet:
    """The supernet with trained weights: recorded, given, or trained now.

    Its space is that of the problem, without what training gave up.
    """
    space = problem.space
    supernet = Supernet(space, seed=config.seed)
    own = run.path / WEIGHTS
    if config.model and not own.exists():
        give_weights(supernet, read_brought(run.path / BROUGHT))
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
        text = f"step {step} of {train_plan.steps}, loss {numbers['loss']:.3f}"
        rate = f"{numbers['images_per_s']:.0f} images/s"
        reporter.advance(round(100 * step / train_plan.steps), 100, f"{text}, {rate}")
        log_step(log, numbers, train_plan.steps)

    cores = shared_cores(train_plan)
    record(
        run,
        device=train_plan.device,
        accelerator="" if is_cpu(train_plan.device) else about(train_plan.device),
        processes=cores["processes"],
        machines=num_machines(),
    )
    method = make_method(config, problem, train_plan)
    remaining_of(method, method.initial_state())  # what cannot be kept is refused now
    images, batches = training_images(data), SupernetBatches(train_plan, method)
    kept = train(
        supernet,
        images,
        train_plan,
        batches,
        directory=run.folder("train_state"),
        on_step=on_step,
        before_step=ranking(supernet, images, batches, problem),
        **cores,
    )
    remaining = remaining_of(method, kept)
    _record_summary(run, method.summary(kept), reporter)
    (run.path / TRAINED_SPACE).unlink(missing_ok=True)
    if remaining != space:
        supernet = supernet.restricted(remaining)
        _record_remaining(run, space, remaining, reporter)
    write_tensors(own, supernet.state_dict(), {"space": space.name})
    return supernet


def _record_summary(run: Run, text: str, reporter: Reporter) -> None:
    """Writes and says what a method tells of what it has trained, if anything."""
    if text:
        run.event("train", "message", text=text)
        reporter.note(text)


def ranking(
    supernet: Supernet, images: Images, batches: SupernetBatches, problem: Problem
) -> Callable[[int], None]:
    """What is done before every step of training: before one of them, channels are ranked."""
    plan = batches.plan

    def before_step(step: int) -> None:
        if step == plan.rank_step:
            found = label_gradients(supernet, images, batches, is_within=trained_within(problem))
            supernet.rank(plan.criterion, seed=plan.seed, gradients=found)

    return before_step


def _record_remaining(
    run: Run, space: SearchSpace, remaining: SearchSpace, reporter: Reporter
) -> None:
    """Writes and says what training left of the space."""
    write_json(run.path / TRAINED_SPACE, remaining.to_json())
    run.event("train", "message", text=f"lost in training: {given_up(space, remaining)}")
    lost = sum(space.cardinalities) - sum(remaining.cardinalities)
    reporter.note(
        f"options that lost in training, and are left out of the search: {lost}; "
        f"{TRAINED_SPACE} has the rest"
    )


def given_up(space: SearchSpace, remaining: SearchSpace) -> str:
    """The options of a space that a part of it has not, for people."""
    left = {choice.name: choice.options for choice in remaining.choices}
    lost = {c.name: [o for o in c.options if o not in left.get(c.name, ())] for c in space.choices}
    return "; ".join(f"{name} {options}" for name, options in lost.items() if options)
