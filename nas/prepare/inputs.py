"""What a search is given: data, space and limits, checked before anything is measured.

Every mistake that can be seen without measuring is refused before anything is written.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from nas.data import DataSet, identity, load_data
from nas.data._base import Accept
from nas.executors import EXECUTORS
from nas.executors._base import MOST_PER_CORE
from nas.latency import LatencyModel
from nas.prepare.answering import check_answers
from nas.prepare.brought import brought_space, with_input_rule, with_models_rule
from nas.prepare.settings import check_settings, refuse_what_needs_classes
from nas.prepare.several import check_devices
from nas.problem.budget import (
    LATENCY,
    Budget,
    metric_on,
    parse_budget,
    refuse_impossible,
    resolve,
)
from nas.problem.drop import drop_limit
from nas.problem.fix import fixed, refuse_pruned_only, refuse_without_brought
from nas.problem.joint import refuse_jointly_impossible
from nas.problem.problem import KnownMetrics, Limit, Objective, Problem
from nas.run.config import Config, differences
from nas.run.directory import WEIGHTS, Run
from nas.system.environment import num_cores
from nas.system.reporter import Reporter
from nas.targets import AbstractDevice, choose
from search_spaces import (
    DEFAULT_TASK,
    DENSE,
    FORMATS,
    MODELLED_MACS,
    PATTERNS,
    AbstractDenseTask,
    AbstractImageTask,
    Additive,
    Resolution,
    SearchSpace,
    UserError,
    check_patterns,
    check_precisions,
    check_ranks,
    format_of,
    load_space,
    task_of,
    written_sides,
)
from supernets.methods._base import METHODS, AbstractMethod
from supernets.tasks._base import losses_of

COSTS = ("latency_ms", "size_bytes")
"""To be minimised, beside the loss of the task."""

AMPLE_CLASSES = 1024
"""Of a space that settings are tried on before images are known: enough for any method, and the
square of a scale."""

SHOWN_SPLITS = ("train", "search", "test")


def prepare(
    config: Config, reporter: Reporter | None = None, *, is_trained: bool = False
) -> tuple[DataSet, SearchSpace, list[Limit]]:
    """Data, space and limits, with every mistake in them refused before anything is written.

    Args:
        config: What was asked.
        reporter: Told how far reading data is.
        is_trained: Whether the run has weights, so that nobody needs those of `config.supernet`.
    """
    budgets = [of_known_target(parse_budget(text), config) for text in config.budget]
    check_names(config, is_trained=is_trained)

    def possible(
        resolution: Resolution, channels: int, num_outputs: int
    ) -> tuple[SearchSpace, list[Limit]]:
        build = (
            partial(brought_space, config) if config.model else partial(load_space, config.space)
        )
        found = build(resolution=resolution, channels=channels, num_classes=num_outputs)
        space = found.with_policy(
            config.precision, config.sparsity, patterns=config.pattern, ranks=config.rank
        )
        if config.fix and not config.supernet:
            whole, space = space, fixed(space, config.fix)
            refuse_pruned_only(space)
            if config.model:
                refuse_without_brought(space, whole)
        assert space.costs is not None
        _check_patterns_are_offered(budgets, space.costs)
        limits = resolve(budgets, space.costs)
        refuse_impossible(limits, space.costs)
        refuse_jointly_impossible(limits, space.costs)
        if not is_trained and not config.supernet:
            method_of(config, space)
        return space, limits

    config = with_models_rule(config)
    data = with_input_rule(config, read_data(config, reporter, accept=possible))
    losses_of(data.task)
    drops = [drop_limit(config.max_drop, task_of(data.task).shown)] if config.max_drop else []
    space, limits = possible(data.resolution, data.channels, data.num_outputs)
    check_task(config, space, data.task)
    check_answers(space, data)
    return data, space, [*limits, *drops]


def check_task(config: Config, space: SearchSpace, task: str) -> None:
    """See that settings and the training method are for the labels that there are.

    Raises:
        UserError: If they need classes of images, and labels are images or masks.
    """
    if isinstance(task_of(task), AbstractDenseTask):
        refuse_what_needs_classes(config, method_of(config, space), task)


def make_problem(
    space: SearchSpace,
    limits: Sequence[Limit],
    model: LatencyModel | None = None,
    *,
    task: str = DEFAULT_TASK,
) -> Problem:
    """What the search is about: quality, latency and size, within the limits.

    Args:
        space: Its costs are known exactly.
        limits: What must hold.
        model: Predicts latency; without it only the other limits can be checked beforehand.
        task: Whose loss is the quality; of no matter where only limits are asked about.
    """
    return Problem(
        space=space,
        objectives=tuple(
            Objective(metric, "minimize") for metric in (task_of(task).loss.name, *COSTS)
        ),
        limits=tuple(limits),
        model=KnownMetrics((space.costs, model) if model else (space.costs,)),
    )


def read_data(
    config: Config,
    reporter: Reporter | None = None,
    accept: Accept = lambda resolution, channels, num_outputs: None,
) -> DataSet:
    """The data set that the configuration names; reading is a phase if it takes a while.

    Args:
        config: Names the data.
        reporter: Told how far reading is.
        accept: Given what is known of the images before they are decoded; may refuse them.
    """
    has_begun = False

    def progress(done: int, of: int, text: str) -> None:
        nonlocal has_begun
        if reporter is None:
            return
        if not has_begun:
            reporter.phase("data", f"reading '{config.data}'")
            has_begun = True
        reporter.advance(done, of, text)

    return load_data(
        config.data,
        task=config.task,
        resolution=config.resolution or None,
        data_dir=Path(config.data_dir) if config.data_dir else None,
        seed=config.split_seed,
        cache=Path(config.cache) if config.cache else None,
        progress=progress,
        accept=accept,
        skip_corrupt=config.skip_corrupt,
        held_gb=config.held_gb,
    )


def describe_data(data: DataSet) -> str:
    """What was read, in a sentence."""
    colours = "grey" if data.channels == 1 else "RGB"
    sizes = ", ".join(f"{len(getattr(data, split)):,} {split}" for split in SHOWN_SPLITS)
    what = f"{data.num_classes} classes{' of pixels' if data.train.labels_N.ndim > 1 else ''}"
    if isinstance(task_of(data.task), AbstractImageTask):
        height, width = data.train.labels_N.shape[2:]
        what = f"{data.task} to {written_sides((height, width))} px"
    return (
        f"data '{data.name}': {what}, {colours} at {data.resolution} px"
        f"{'' if data.sides[0] == data.sides[1] else ' (height x width)'}, "
        f"{sizes} images{'; ' + data.note if data.note else ''}"
    )


def check_names(config: Config, *, is_trained: bool = False) -> None:
    """Refuse what is unknown or not installed, before data is read.

    Raises:
        UserError: Naming what is known.
    """
    check_precisions(config.precision)
    check_patterns(config.pattern)
    check_ranks(config.rank)
    check_settings(config)
    check_threads(config)
    check_devices(config)
    for text in (config.target, *config.other_targets):
        target = choose(text).target
        if not isinstance(target, AbstractDevice) and not hasattr(target, "prepare"):
            raise UserError(
                f"target '{text}' says neither how a file becomes a call nor how files are "
                "timed. Derive it from AbstractRuntime or AbstractDevice of nas.targets."
            )
        target.describe()
    check_kernels(config)
    if not config.model:
        space = load_space(
            config.space,
            resolution=config.resolution or 32,
            channels=1,
            num_classes=AMPLE_CLASSES,
        )
        method_of(config, space)
    weights = Path(config.supernet) / WEIGHTS
    if config.supernet and not is_trained and not weights.is_file():
        raise UserError(
            f"supernet '{config.supernet}' has no {WEIGHTS}. Name the directory of a run whose "
            "training is finished, or leave out --supernet to train one."
        )


def method_of(config: Config, space: SearchSpace) -> AbstractMethod:
    """The training method with its settings.

    Raises:
        UserError: If it cannot have them, or be of this space.
    """
    method = METHODS.get(config.method)
    found = method(**config.settings_of(method), space=space)
    assert isinstance(found, AbstractMethod)
    return found


def _check_patterns_are_offered(budgets: Sequence[Budget], costs: Additive) -> None:
    """Refuse budgets of what patterns spare where no pattern may spare anything.

    Raises:
        UserError: Naming the first one.
    """
    asked = [b for b in budgets if b.metric == MODELLED_MACS and b.metric not in costs.metrics]
    if asked:
        names = " or ".join(f"{DENSE},{name}" for name in PATTERNS if name != DENSE)
        raise UserError(
            f"budget '{asked[0].text}' is of multiply-adds with sparsity patterns, and none but "
            f"dense is offered. Give --pattern {names}, or a budget of MACs."
        )


def check_threads(config: Config) -> None:
    """Refuse so many threads or processes that this machine would only switch between them.

    Raises:
        UserError: Naming what is allowed here.
    """
    most = MOST_PER_CORE * num_cores()
    names = ("threads", "workers") if EXECUTORS.get(config.executor).is_local else ("threads",)
    for name in names:
        if getattr(config, name) > most:
            raise UserError(
                f"{name} is {getattr(config, name)}, and this machine has {num_cores()} cores. It "
                f"must be at most {most}. Leave out --{name} for one per core."
            )


def of_known_target(budget: Budget, config: Config) -> Budget:
    """A budget whose metric names its target as the configuration does.

    Raises:
        UserError: If the search does not time on that target.
    """
    if not budget.target:
        return budget
    wanted, texts = choose(budget.target).text, [config.target, *config.other_targets]
    if wanted not in texts:
        raise UserError(
            f"budget '{budget.text}': this search does not time on '{wanted}', but on "
            f"{', '.join(texts)}. Add --target {wanted}, or change the budget."
        )
    target = "" if wanted == config.target else wanted
    return replace(budget, metric=metric_on(LATENCY, target), target=target)


def check_kernels(config: Config) -> None:
    """Refuse formats for which one of the targets has no kernels.

    Raises:
        UserError: Naming the first one, what it lacks, and the formats that run there.
    """
    for text, name in itertools.product((config.target, *config.other_targets), config.precision):
        target = choose(text).target
        if not target.offers(name):
            lacking = ", ".join(sorted(format_of(name).kernels - target.own_kernels))
            offered = [known for known in FORMATS.names() if target.offers(known)]
            raise UserError(
                f"precision '{name}' needs kernels that target '{text}' does not have: "
                f"{lacking}. Formats that run there: {', '.join(offered)}. "
                f"Give --precision {','.join(offered)} or another --target."
            )


def keep_data_facts(run: Run, data: DataSet) -> None:
    """Record what identifies the images, or see that they are still the same.

    Raises:
        UserError: If they are others than those that the run began with.
    """
    kept = run.decided("data.json", lambda: identity(data))
    changed = differences(kept, identity(data, kept))
    if changed:
        raise UserError(
            f"data '{data.name}' are not those that run '{run.path}' began with, which its "
            f"data.json describes: {'; '.join(changed):.300}. "
            "Begin a new run with --out, or restore the data."
        )
