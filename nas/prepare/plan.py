"""How the given time is spent, decided by two short speed tests: training, then what follows it.

Each plan is written before it is followed (plan.json, search_plan.json) and reused when the run is
continued, so speed never changes what a continued run does. The second one makes good what a shared
machine did to the first: training that took longer leaves fewer candidates to score.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from nas.data._base import DataSet
from nas.data._streamed import streamed
from nas.executors import AbstractExecutor
from nas.prepare.afford import MIN_FINALISTS, affordable, finetune_seconds, judging_seconds
from nas.prepare.phases import PhasePlan, with_sensitivity
from nas.prepare.placed import first_plan, placed, precisions_here
from nas.prepare.speed import (
    SUPERNET_STEPS,
    fastest_plan,
    in_parts,
    time_score,
    time_steps,
    typical,
    with_batch,
    within_memory,
)
from nas.problem.feasible import trained_within
from nas.problem.problem import Problem
from nas.run.config import Config
from nas.scoring.scorer import CALIBRATION_IMAGES, Scorer
from nas.system.environment import WITHOUT_SATURATION
from nas.system.files import read_json, understood
from nas.system.typed import from_document
from nas.targets import AbstractDevice, choose
from search_spaces import UserError
from supernets.criteria._base import CRITERIA
from supernets.device import CPU, about, chosen_device, is_cpu
from supernets.gradients import num_batches
from supernets.images import Images
from supernets.methods._base import METHODS, AbstractMethod
from supernets.plan import BALANCED, TrainPlan
from supernets.supernet import Supernet

SCHEMA = 1
SPARE_SHARE = 0.05
TRAIN_SHARE, TRAIN_SHARE_WITHIN_DROP = 0.8, 0.65
"""Of the time that profile, finalists, fine-tuning and spare leave; the rest is for scoring. Where
it is asked how far one can go, finalists get more, and shared weights are trained less."""

WITHIN_DROP: Mapping[str, Any] = {"finetune_share": 0.7, "random_references": 0}
PILOTS_PER_CORE, MOST_PILOTS = 2, 8
"""There, finalists are first trained for a short time (`nas/finalists/rounds.py`)."""

MIN_TRIALS, MAX_TRIALS = 16, 2000
CYCLES_TIMED = 2
"""Whose mean says how many steps fit."""

TUNING_RATE = 0.2
"""Of an optimizer's own rate: for weights that have learnt already."""

MIN_STEPS = 20
KEPT_OF_DONOR = (
    *("batch_size", "learning_rate", "class_weights", "criterion", "precision", "channels_last"),
    *("augment", "repeats"),
)
FULL_PROFILE_S = 600.0
"""A search of this time or more times a full profile."""


def make_scorer(
    phases: PhasePlan, supernet: Supernet, data: DataSet, *, device: str = CPU
) -> Scorer:
    """Scores candidates of a trained supernet."""
    is_reduced = True if phases.portable_int8 else None
    return Scorer(
        supernet,
        data,
        phases.images_per_score,
        needs_reduced_range=is_reduced,
        calibrated_by=phases.calibration,
        device=device,
    )


def profile_sizes(config: Config) -> tuple[int, int]:
    """Signatures and whole networks that a profile times; fewer where time is short."""
    share = min(1.0, config.seconds / FULL_PROFILE_S)
    return max(14, round(60 * share)), max(6, round(30 * share))


def plan_training(
    config: Config,
    problem: Problem,
    data: DataSet,
    *,
    remaining_s: float,
    is_all: bool = False,
) -> dict[str, Any]:
    """plan.json without its limits: the training that fits, by a short speed test.

    What the test takes (`speed_test_s`, seconds) is no longer there for training.

    Args:
        config: Times and settings.
        problem: Only candidates within its limits are timed.
        data: To measure with.
        remaining_s: Seconds left of the configured time, for this and all that follows.
        is_all: Whether nothing follows.
    """
    started = time.perf_counter()
    train_plan = first_plan(config, **config.settings_of(TrainPlan))
    if config.model:
        train_plan = replace(train_plan, **_as_tuning(config, train_plan))
    if config.supernet:
        train_plan = replace(train_plan, **_as_donor(config))
    else:
        phases = search_settings(config)
        supernet = Supernet(problem.space, seed=config.seed)
        supernet.eval()
        images = phases.images_per_score
        tested = (supernet, data, problem, images, phases.calibration)
        speeds = time_score(*tested, device=train_plan.device)
        phases, finalists_s = affordable(config, phases, data, speeds)
        judging_s = judging_seconds(config, phases, speeds)

        def train_s() -> float:
            """Seconds for training, of what is left now."""
            left_s = remaining_s - (time.perf_counter() - started) - SPARE_SHARE * config.seconds
            if is_all:
                return max(0.0, left_s)
            available_s = max(0.0, left_s - finalists_s - judging_s)
            finetune_s = finetune_seconds(config, phases, available_s)
            return train_share(config) * max(0.0, available_s - finetune_s)

        train_plan = planned_steps(supernet, train_plan, problem, data, config, train_s)
    spent_s = time.perf_counter() - started
    here = {} if is_cpu(train_plan.device) else {"accelerator": about(train_plan.device)}
    return {"schema": SCHEMA, **asdict(train_plan), **here, "speed_test_s": round(spent_s, 2)}


def plan_search(
    config: Config,
    supernet: Supernet,
    data: DataSet,
    problem: Problem,
    executor: AbstractExecutor,
    *,
    remaining_s: float,
) -> dict[str, Any]:
    """search_plan.json: how many candidates can be scored in what training has left of the time.

    What the speed test takes (`score_test_s`, seconds) is no longer there for scores.

    Args:
        config: Times and settings.
        supernet: Trained.
        data: To measure with.
        problem: As in `plan_training`.
        executor: Scores so many candidates at the same time as it has cores for.
        remaining_s: Seconds left of the configured time, for the search and the finalists.
    """
    started = time.perf_counter()
    phases = search_settings(config)
    if "portable_int8" not in config.set and _saturates_elsewhere(config):
        phases = replace(phases, portable_int8=True)
    images = phases.images_per_score
    tested = (supernet, data, problem, images, phases.calibration)
    speeds = time_score(*tested, device=chosen_device(config.device))
    speed = typical(speeds)
    seconds_per_score = speed.compress_s + speed.score_s * phases.images_per_score
    phases, finalists_s = affordable(config, phases, data, speeds)
    judging_s = judging_seconds(config, phases, speeds)
    spent_s = time.perf_counter() - started
    fixed_s = spent_s + finalists_s + judging_s + SPARE_SHARE * config.seconds
    available_s = max(0.0, remaining_s - fixed_s)
    trained_s = 0.0 if config.supernet else train_share(config) * (1 - phases.finetune_share)
    finetune_s = round(finetune_seconds(config, phases, available_s / (1 - trained_s)), 1)
    at_once = max(1, min(executor.at_once, executor.num_cores))
    rate = at_once / seconds_per_score
    lag = executor.lag if config.lag < 0 else config.lag
    change_s = speed.compress_s + speed.score_s * CALIBRATION_IMAGES
    phases = with_sensitivity(config, phases, problem, available_s - finetune_s, change_s)
    scoring_s = available_s - finetune_s - phases.sensitivity_s
    trials = max(MIN_TRIALS, min(MAX_TRIALS, int(scoring_s * rate)))
    return {
        "schema": SCHEMA,
        **asdict(replace(phases, trials=config.trials or trials, lag=lag, finetune_s=finetune_s)),
        "seconds_per_score": round(seconds_per_score, 4),
        "finalists_s": round(finalists_s, 1),
        "judging_s": round(judging_s, 1),
        "score_test_s": round(spent_s, 2),
        "calibration_images": min(CALIBRATION_IMAGES, len(data.calibration)),
    }


def train_plan_of(document: Mapping[str, Any]) -> TrainPlan:
    """The plan in a plan.json."""
    return from_document(TrainPlan, document)


def phase_plan_of(document: Mapping[str, Any]) -> PhasePlan:
    """The plan in a search_plan.json."""
    return from_document(PhasePlan, document)


def loss_of(plan: TrainPlan) -> dict[str, Any]:
    """What search_plan.json says of the loss that ranks: it is what training minimises."""
    return {"balanced_loss": True} if plan.class_weights == BALANCED else {}


def judged(data: DataSet, document: Mapping[str, Any]) -> DataSet:
    """The data with the loss that a search_plan.json says; earlier versions' ones say nothing."""
    return replace(data, is_balanced=document.get("balanced_loss") is True)


def search_settings(config: Config) -> PhasePlan:
    """What the user fixed of the phases after training, and defaults; trials are not decided."""
    defaults: dict[str, Any] = {"trials": 1}
    if config.max_drop:
        pilots = min(MOST_PILOTS, max(MIN_FINALISTS, PILOTS_PER_CORE * torch.get_num_threads()))
        defaults |= {**WITHIN_DROP, "finalists": pilots}
    return PhasePlan(**{**defaults, **config.settings_of(PhasePlan)})


def _saturates_elsewhere(config: Config) -> bool:
    """Whether one of the targets is a device whose processor needs int8 weights of 7 bits."""
    texts = (config.target, *config.other_targets)
    targets = [choose(text, threads=config.timing_threads).target for text in texts]
    return any(
        target.machine()["instruction_set"] not in WITHOUT_SATURATION
        for target in targets
        if isinstance(target, AbstractDevice)
    )


def train_share(config: Config) -> float:
    """Of the time for training the supernet and for scores: training."""
    return TRAIN_SHARE_WITHIN_DROP if config.max_drop else TRAIN_SHARE


def planned_steps(
    supernet: Supernet,
    plan: TrainPlan,
    problem: Problem,
    data: DataSet,
    config: Config,
    train_s: Callable[[], float],
) -> TrainPlan:
    """The plan in the fastest precision, with the batch and steps for the time.

    Settings that the user fixed are not varied. A processor without products of bf16 emulates them,
    and one step would take many seconds.

    Args:
        supernet: Trained a little by the tests.
        plan: What is not decided here.
        problem: Whose members are trained.
        data: To train on.
        config: What the user fixed.
        train_s: Seconds for the steps: fewer after every test.
    """
    images = training_images(data)
    tried = formats_of(config, plan)
    plan, method = tried[0], make_method(config, problem, plan)
    parts = 1
    if len(tried) > 1:
        parts, fastest = within_memory(
            plan,
            lambda parts: fastest_plan(
                supernet, images, [in_parts(one, parts) for one in tried], method
            ),
        )
        plan = replace(plan, precision=fastest.precision)
    if "steps" in config.set:
        return in_parts(plan, parts)
    plan, step_s = with_batch(
        plan,
        train_s(),
        lambda one: time_steps(supernet, images, one, method, cycles=CYCLES_TIMED),
        num_images=len(images.labels_N),
        is_fixed="batch_size" in config.set,
        many_steps=SUPERNET_STEPS,
    )
    passes = num_batches(supernet.space) if CRITERIA.get(plan.criterion).needs_gradients else 0
    return replace(plan, steps=max(MIN_STEPS, int(train_s() / step_s) - passes))


def formats_of(config: Config, plan: TrainPlan) -> list[TrainPlan]:
    """The plan in every precision that is worth a test, and in the memory format for it.

    That is channels last, unless the user said something else.
    """
    is_last = plan.channels_last if "channels_last" in config.set else True
    return [
        replace(plan, precision=name, channels_last=is_last) for name in precisions_of(config, plan)
    ]


def precisions_of(config: Config, plan: TrainPlan) -> list[str]:
    """Precisions that are worth a test: that of the plan if the user set it."""
    if "precision" in config.set:
        return [plan.precision]
    return precisions_here(plan.device)


def training_images(data: DataSet) -> Images:
    """The train split as the trainer wants it."""
    return Images(
        images_NCHW=streamed(data.train) or torch.from_numpy(data.train.images_NCHW),
        labels_N=torch.from_numpy(data.train.labels_N),
        mean=data.mean,
        std=data.std,
        can_flip=data.can_flip,
        crop_padding=data.crop_padding,
        task=data.task,
    )


def make_method(config: Config, problem: Problem, plan: TrainPlan) -> AbstractMethod:
    """The training method that the configuration names, with the settings of `--set`."""
    cls = METHODS.get(config.method)
    method: AbstractMethod = cls(
        **config.settings_of(cls),
        space=problem.space,
        seed=config.seed,
        sparse_from=plan.rank_step * plan.shards,
        is_within=trained_within(problem),
    )
    return method


def check_criterion(config: Config) -> None:
    """See that a given supernet was trained with the criterion that is asked for, if any is.

    Its sparse members were trained with the channels that the criterion kept.

    Raises:
        UserError: If it was trained with another one.
    """
    donor, asked = _donor(config), config.set.get("criterion")
    if donor and asked is not None and asked != donor.criterion:
        raise UserError(
            f"criterion '{asked}' is asked for, and supernet '{config.supernet}' was trained with "
            f"'{donor.criterion}'. Leave out the setting, or leave out --supernet to train one."
        )


def _as_tuning(config: Config, plan: TrainPlan) -> dict[str, Any]:
    """What of a plan is another one for weights that have learnt already.

    Channels are ranked by weights as they were brought, so that all members can be pruned.
    """
    found = {"rank_at": 0.0, "learning_rate": TUNING_RATE * plan.peak_rate}
    return {name: value for name, value in found.items() if name not in config.set}


def _as_donor(config: Config) -> dict[str, Any]:
    """What of a given supernet's training its members' further training keeps."""
    donor = _donor(config)
    if donor is None:
        return {}
    donor = placed(donor, config.device)
    return {name: getattr(donor, name) for name in KEPT_OF_DONOR if name not in config.set}


def _donor(config: Config) -> TrainPlan | None:
    """How a given supernet was trained; None if none is given, or it is not known."""
    path = Path(config.supernet) / "plan.json"
    if not config.supernet or not path.exists():
        return None
    with understood(f"'{path}'"):
        return train_plan_of(read_json(path))
