"""Supernets that benchmarks train for equal steps, and members of theirs that they judge."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nas.data import DataSet
from nas.prepare.plan import training_images
from nas.prepare.speed import shared_cores
from search_spaces import SearchSpace, Slot, load_space, task_of
from supernets.calibrate import recalibrated
from supernets.methods._base import METHODS
from supernets.plan import TrainPlan
from supernets.steps import SupernetBatches
from supernets.supernet import Supernet
from supernets.train import train

BATCH = 250


def space_for(name: str, data: DataSet) -> SearchSpace:
    """Unpruned fp32 networks of a space for these images."""
    outputs = task_of(data.task).num_outputs(len(data.classes))
    space = load_space(
        name, resolution=data.resolution, channels=data.channels, num_classes=outputs
    )
    return space.with_policy(("fp32",), (0.0,))


def trained(
    space: SearchSpace, data: DataSet, plan: TrainPlan, method: str, **settings: Any
) -> Supernet:
    """A supernet after a training, by as many processes as there are cores."""
    supernet = Supernet(space, seed=plan.seed)
    own = METHODS.get(method)(space=space, seed=plan.seed, **settings)
    with tempfile.TemporaryDirectory() as folder:
        train(
            supernet,
            training_images(data),
            plan,
            SupernetBatches(plan, own),
            directory=Path(folder),
            **shared_cores(plan),
        )
    return supernet


@torch.no_grad()
def member(supernet: Supernet, slots: Sequence[Slot], calibration: Tensor) -> nn.Module:
    """A plain network with batch-norm statistics of these images, in evaluation mode."""
    return recalibrated(supernet.extract(slots), calibration.split(BATCH))


def sized(space: SearchSpace, share: float) -> tuple[int, ...]:
    """The member whose sizes are so far along what is offered; of words it has the first ones."""
    encoding = []
    for choice in space.choices:
        order = sorted(range(len(choice.options)), key=lambda i: choice.options[i])
        is_named = isinstance(choice.options[0], str)
        encoding.append(0 if is_named else order[round(share * (len(order) - 1))])
    return space.canonical(encoding)


def images_of(data: DataSet, split: Any) -> Tensor:
    """Normalised."""
    return torch.from_numpy(data.normalised(split.images_NCHW))
