"""Leaving out parts of a network while it is trained: stochastic depth, paths, and dropout.

- Some images of a batch pass by a residual block as if it were not there. What the block adds to
  the others is divided by the share of images that it sees, so on average a block adds what it adds
  in evaluation mode. The share that pass by grows evenly from block to block, up to the plan's
  `drop_path` at the last one.
- Where a network adds up several maps, as nodes of a cell do, each of them is 0 for some images and
  larger for the others. The share rises linearly over the training up to `drop_path`. Maps that are
  nothing but another one are never left out.
- Of what the classifier reads, the share `dropout` is 0, and the rest is larger.

Sources: Bello et al., Revisiting ResNets: Improved Training and Scaling Strategies (2021), which
has the first and the last in its recipe; stochastic depth is of Huang et al., Deep Networks with
Stochastic Depth (2016); paths are the ScheduledDropPath of Zoph et al., Learning Transferable
Architectures for Scalable Image Recognition (2018), section 4. Departures: a block is a slot with
all of its shortcuts, and what it does behind the last shortcut is passed by, too; nodes that a cell
hands on are added up here, and so are paths, too; networks alone are trained so, because members of
a supernet differ in depth as it is; all are 0 unless a setting says otherwise, since short
trainings do not overfit.

Shapes: B batch, F what the classifier reads.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from supernets._modules import RESIDUAL_END
from supernets.device import moved
from supernets.network import PlainNetwork, has_sum, module_name
from supernets.plan import TrainPlan
from supernets.traced.fragment import PlainFragment

IDENTITY = "identity"
STREAM = 15
"""Of random numbers, among those of a seed."""


@contextmanager
def dropping(network: nn.Module, plan: TrainPlan, turn: int) -> Iterator[None]:
    """In this context a network leaves out what the plan says, for one batch.

    Args:
        network: In training mode, or a module that trains it.
        plan: Its `drop_path`, `dropout`, steps and seed.
        turn: Number of the batch, which with the seed decides what is left out.
    """
    plain = next((each for each in network.modules() if isinstance(each, PlainNetwork)), network)
    rng = np.random.default_rng([plan.seed, STREAM, turn])
    with ExitStack() as stack:
        blocks = residual_blocks(plain) if plan.drop_path else []
        for number, block in enumerate(blocks, start=1):
            passed_by = partial(_passed_by, plan.drop_path * number / len(blocks), rng)
            stack.callback(block.register_forward_hook(passed_by).remove)
        rate = plan.drop_path * (turn // plan.shards) / plan.steps
        for path in paths_of(plain) if rate else []:
            left_out = partial(_left_out, rate, rng)
            stack.callback(plain.get_submodule(path).register_forward_hook(left_out).remove)
        classifier = classifier_of(plain) if plan.dropout else None
        if classifier is not None:
            dropped = partial(_dropped, plan.dropout, rng)
            stack.callback(classifier.register_forward_pre_hook(dropped).remove)
        yield


def residual_blocks(network: nn.Module) -> list[nn.Module]:
    """Children with a last layer before a shortcut, in their order; of what was brought, none."""
    return [
        child
        for child in network.children()
        if not isinstance(child, PlainFragment)
        and any(RESIDUAL_END in name.split(".") for name, _ in child.named_modules())
    ]


def paths_of(network: nn.Module) -> list[str]:
    """Names of modules whose maps are added to others, but for those that change nothing."""
    slots = network.arch if isinstance(network, PlainNetwork) else ()
    added = {name for slot in slots if has_sum(slot) for name in slot.inputs or ()}
    return [
        module_name(slot.name)
        for slot in slots
        if slot.name in added and slot.signature.operator != IDENTITY
    ]


def classifier_of(network: nn.Module) -> nn.Linear | None:
    """The last linear layer of the last child, which makes logits; None where there is none."""
    last = list(network.children())[-1:]
    layers = [m for child in last for m in child.modules() if isinstance(m, nn.Linear)]
    return layers[-1] if layers else None


def _passed_by(
    share: float,
    rng: np.random.Generator,
    block: nn.Module,
    inputs: tuple[Any, ...],
    output: Tensor,
) -> Tensor | None:
    """What a block hands on, by which some images have passed; None if it has no shortcut."""
    x = inputs[0]
    if output.shape != x.shape:
        return None
    factor = _factor(rng, share, (len(x), *[1] * (x.ndim - 1)), output)
    return x + factor * (output - x)


def _left_out(
    share: float,
    rng: np.random.Generator,
    path: nn.Module,
    inputs: tuple[Any, ...],
    output: Tensor,
) -> Tensor:
    """The map of a path, which some images do not get; larger by as much as there are fewer."""
    return output * _factor(rng, share, (len(output), *[1] * (output.ndim - 1)), output)


def _dropped(
    share: float, rng: np.random.Generator, layer: nn.Module, inputs: tuple[Any, ...]
) -> tuple[Tensor]:
    """What a classifier reads: (B, F)."""
    x_BF = inputs[0]
    return (x_BF * _factor(rng, share, tuple(x_BF.shape), x_BF),)


def _factor(rng: np.random.Generator, share: float, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """0 with this probability, else what makes the mean 1."""
    stays = (rng.random(shape) >= share) / (1.0 - share)
    return moved(torch.from_numpy(stays).to(like.dtype), str(like.device))
