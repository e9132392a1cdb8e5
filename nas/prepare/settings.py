"""What `--set` may give: types and ranges of the settings, refused before anything is measured.

Defaults and meanings are in the dataclasses that own the settings: `supernets.plan.TrainPlan`,
`nas.prepare.phases.PhasePlan`, the controller, the training method and the executor.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from nas.allocations import ALLOCATIONS
from nas.allocations._base import NO_ALLOCATION
from nas.controllers import CONTROLLERS
from nas.executors import EXECUTORS, make_executor
from nas.prepare.phases import BROUGHT, LARGEST, NO_TEACHER, PhasePlan
from nas.run.config import Config
from nas.system.typed import TYPE_NAMES, is_a
from search_spaces import UserError, did_you_mean, wanted_task
from supernets.augmentations import chosen_augmentations
from supernets.compiled import ALWAYS, IF_IT_PAYS, NEVER
from supernets.criteria._base import CRITERIA
from supernets.device import FP16, TF32, is_cpu
from supernets.methods._base import GIVEN, METHODS, AbstractMethod
from supernets.optimizers._base import OPTIMIZERS
from supernets.plan import BALANCED, COSINE, STEPS, UNWEIGHTED, TrainPlan

RANGES: Mapping[str, tuple[float, float]] = {
    "steps": (1, 1e9),
    "batch_size": (2, 65_536),
    "shards": (1, 64),
    "max_macs": (0.0, math.inf),
    "learning_rate": (0.0, 10.0),
    "warmup": (0.0, 0.99),
    "weight_decay": (0.0, 10.0),
    "label_smoothing": (0.0, 0.99),
    "repeats": (1, 64),
    "clip_norm": (1e-6, math.inf),
    "ema_decay": (0.0, 0.999999),
    "drop_path": (0.0, 0.9),
    "dropout": (0.0, 0.9),
    "rank_at": (0.0, 1.0),
    "checkpoint_s": (0.0, math.inf),
    "images_per_score": (1, 1e9),
    "finalists": (1, 1000),
    "random_references": (0, 100),
    "finetune_share": (0.0, 0.95),
    "finetune_s": (0.0, math.inf),
    "finalist_labels_share": (0.0, 1.0),
    "finalist_activate": (0.0, 1.0),
    "least_steps": (1, 1e9),
    "sensitivity_share": (0.0, 0.95),
    "sensitivity_s": (0.0, math.inf),
}
"""Lowest and highest value; a plug-in checks its own."""

WORDS = {
    "precision": ("fp32", "bf16", FP16, TF32),
    "compile": (IF_IT_PAYS, ALWAYS, NEVER),
    "class_weights": (UNWEIGHTED, BALANCED),
    "schedule": (COSINE, STEPS),
    "finalist_teacher": (NO_TEACHER, LARGEST, BROUGHT),
}
BY_NAME = {kind.__name__: kind for kind in TYPE_NAMES}
FLAGS = {"seed", "threads", "trials", "workers", "lag", "ray_address", "device"}
"""Fields of the same dataclasses that have a flag of their own and are no settings."""


def check_settings(config: Config) -> None:
    """Refuse settings that do not exist, are of the wrong type, or are out of range.

    Raises:
        UserError: Naming the setting, what was found and what is allowed.
    """
    settings: Mapping[str, Any] = config.set
    controller = CONTROLLERS.get(config.controller)
    kinds = _kinds(
        {
            "the plan of training": TrainPlan,
            "the plan of the search": PhasePlan,
            f"controller '{config.controller}'": controller,
            f"executor '{config.executor}'": EXECUTORS.get(config.executor),
            f"training method '{config.method}'": METHODS.get(config.method),
        }
    )
    for name, value in settings.items():
        if name not in kinds:
            raise UserError(f"unknown setting '{name}'. {_instead(name, kinds)}")
        if kinds[name] not in TYPE_NAMES:
            allowed = ", ".join(TYPE_NAMES.values())
            raise UserError(
                f"setting '{name}' is declared as {kinds[name]}. What --set gives is {allowed}. "
                "Declare it so, or give it its value in the file."
            )
        if not is_a(value, kinds[name]):
            raise UserError(f"setting '{name}' is {value!r}. It must be {TYPE_NAMES[kinds[name]]}.")
        low, high = RANGES.get(name, (-math.inf, math.inf))
        if name in RANGES and not low <= value <= high:
            most = f" and at most {high:g}" if math.isfinite(high) else ""
            raise UserError(f"setting '{name}' is {value!r}. It must be at least {low:g}{most}.")
        if name in WORDS and value not in WORDS[name]:
            raise UserError(f"setting '{name}' is {value!r}. Known: {', '.join(WORDS[name])}.")
    precision = settings.get("precision", "")
    if precision in (FP16, TF32) and is_cpu(config.device):
        raise UserError(
            f"setting 'precision' is '{precision}', which is of accelerators, and device is "
            f"'{config.device}'. Name another with --device, or take fp32 or bf16."
        )
    _check_finalists(config)
    _check_dropping(config)
    for name, registry in (("optimizer", OPTIMIZERS), ("criterion", CRITERIA)):
        if name in settings:
            registry.get(settings[name])
    chosen_augmentations(settings.get("augment", ""))
    if config.task:
        wanted_task(config.task)
    if settings.get("allocation", NO_ALLOCATION) != NO_ALLOCATION:
        ALLOCATIONS.get(settings["allocation"])
    if "calibration" in settings:
        from compress.calibration._base import CALIBRATIONS  # which imports torch

        CALIBRATIONS.get(settings["calibration"])
    controller(**config.settings_of(controller))
    make_executor(config)


def _check_finalists(config: Config) -> None:
    """See that the teacher of finalists is there.

    Raises:
        UserError: If nothing was brought, or a share is given and nobody teaches.
    """
    teacher = config.set.get("finalist_teacher", BROUGHT if config.model else NO_TEACHER)
    if teacher == BROUGHT and not config.model:
        raise UserError(
            f"setting 'finalist_teacher' is '{BROUGHT}', and a search of a space is given no "
            "network. Take largest, or leave it out."
        )
    if teacher == NO_TEACHER and "finalist_labels_share" in config.set:
        raise UserError(
            "setting 'finalist_labels_share' is of the loss beside a teacher, and finalists have "
            "none. Add --set finalist_teacher=largest, or leave it out."
        )


def _check_dropping(config: Config) -> None:
    """See that blocks which images may pass by are known.

    Raises:
        UserError: If they are parts of a network that was brought.
    """
    if config.model and config.set.get("drop_path", 0.0):
        raise UserError(
            "setting 'drop_path' is about residual blocks of spaces, and nobody knows which parts "
            "of a network that is brought are such blocks. Leave it out; dropout can be set."
        )


def refuse_what_needs_classes(config: Config, method: AbstractMethod, task: str) -> None:
    """Refuse what is about classes of images, where labels are images or masks.

    Raises:
        UserError: Naming the first one.
    """
    for name, without in (("augment", ""), ("class_weights", UNWEIGHTED)):
        value = config.set.get(name, without)
        if value != without:
            raise UserError(
                f"setting '{name}' is '{value}', which is about images of classes, and the labels "
                f"of task '{task}' are images themselves. Leave it out."
            )
    if method.needs_classes:
        raise UserError(
            f"training method '{config.method}' needs labels that are classes, and those of task "
            f"'{task}' are images. Take another one, such as sortednet."
        )


def _kinds(owners: Mapping[str, type]) -> dict[str, Any]:
    """Types of all settings, by name.

    Args:
        owners: Dataclasses whose fields they are, by what they are called in messages.

    Raises:
        UserError: If one is no dataclass, or two have a field of one name.
    """
    kinds: dict[str, Any] = {}
    owner_of: dict[str, str] = {}
    for what, owner in owners.items():
        if not is_dataclass(owner):
            raise UserError(
                f"{what} is no dataclass. Make it a frozen one; its fields are settings."
            )
        for field in fields(owner):
            name = field.name
            if name in FLAGS | GIVEN:
                continue
            if name in kinds:
                raise UserError(
                    f"setting '{name}' belongs to {owner_of[name]} and to {what}. "
                    "Rename the field of the plug-in."
                )
            is_text = isinstance(field.type, str)  # from __future__ import annotations
            kinds[name] = BY_NAME.get(str(field.type)) if is_text else field.type
            owner_of[name] = what
    return kinds


def _instead(name: str, known: Iterable[str]) -> str:
    """What to write instead of an unknown setting."""
    if name in (field.name for field in fields(Config)):
        return f"Write '{name}' at the top of --config FILE.toml, or give its flag if it has one."
    return did_you_mean(name, known)
