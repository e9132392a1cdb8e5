"""The state of a training, and the checkpoint that holds all of it.

Its tensors:

    model.<name>        weights and buffers
    average.<name>      averaged weights
    <moment>.<name>     what the optimizers keep of a parameter
    method.<name>       what batches keep from step to step
"""

from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor, nn

from search_spaces import UserError
from supernets.checkpoint import read_tensors, same_shapes, under, write_tensors
from supernets.loss_scale import continued_scale
from supernets.optimizers._base import OPTIMIZERS, SCALE
from supernets.team import State

NOTHING: State = MappingProxyType({})


class TrainState:
    """What a checkpoint holds: weights, their average, optimizers' moments, the next step, and what
    batches keep.

    Args:
        network: Trained in place.
        optimizer: Its name.
        weight_decay: Of matrices and kernels only.
        ema_decay: Of the averaged weights.
        kept: By batches, before the first step.
        averaged: A copy of the network whose parameters become the averaged weights; None if nobody
            computes with them.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        optimizer: str,
        weight_decay: float,
        ema_decay: float,
        kept: State = NOTHING,
        averaged: nn.Module | None = None,
    ) -> None:
        self.network = network
        self.names, self.parameters = zip(*network.named_parameters(), strict=True)
        own = (parameter.detach().clone() for parameter in self.parameters)
        self.average: list[Tensor] = [*(own if averaged is None else averaged.parameters())]
        self.optimizers = OPTIMIZERS.get(optimizer)().build(network, weight_decay=weight_decay)
        self.step = 0
        self.kept = _arrays(kept)
        self._ema_decay = ema_decay

    def advance(self, rate: float) -> None:
        """One step along the gradients at this learning rate."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group[SCALE]
            optimizer.step()
        self.step += 1
        self.update_average()

    def pass_over(self) -> None:
        """One step that changes nothing."""
        self.step += 1

    def update_average(self) -> None:
        """Moves the averaged weights towards the current ones; early averages forget faster."""
        decay = min(self._ema_decay, (1 + self.step) / (10 + self.step))
        current = [parameter.detach() for parameter in self.parameters]
        torch._foreach_lerp_(self.average, current, 1 - decay)

    @torch.no_grad()
    def apply_average(self) -> None:
        """Gives the network the averaged weights."""
        for parameter, average in zip(self.parameters, self.average, strict=True):
            parameter.copy_(average)

    def keep(self, kept: State) -> None:
        """Replaces what batches keep.

        Raises:
            UserError: If its names, shapes or types are others, which no checkpoint could continue.
        """
        new = _arrays(kept)
        if _layout(new) != _layout(self.kept):
            raise UserError(
                f"the training method keeps {_layout(new)} after step {self.step}, and before it "
                f"{_layout(self.kept)}. Its `fold` must leave names, shapes and types as they are."
            )
        self.kept = new

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        tensors = {f"model.{n}": t for n, t in self.network.state_dict().items()}
        tensors |= {f"average.{n}": t for n, t in zip(self.names, self.average, strict=True)}
        for name, parameter in zip(self.names, self.parameters, strict=True):
            for key, value in self._moments(parameter).items():
                tensors[f"{key}.{name}"] = value
        tensors |= {f"method.{name}": torch.tensor(value) for name, value in self.kept.items()}
        write_tensors(path, tensors, {"step": self.step})

    def load(self, path: Path) -> None:
        """Continue from a checkpoint.

        Raises:
            UserError: If it belongs to another network, or what its batches kept to other batches.
        """
        tensors, document = read_tensors(path)
        model = under("model.", tensors)
        if not same_shapes(model, self.network):
            raise UserError(
                f"checkpoint '{path}' belongs to another network. Delete it to train from the "
                "start, or use the space and the version of this program it was trained with."
            )
        kept = {name: tensor.numpy() for name, tensor in under("method.", tensors).items()}
        kept = dict(continued_scale(kept, self.kept))
        if _layout(kept) != _layout(self.kept):
            raise UserError(
                f"checkpoint '{path}' belongs to another training method: it keeps "
                f"{_layout(kept)}, and this one keeps {_layout(self.kept)}. "
                "Delete it to train from the start, or use the method it was trained with."
            )
        self.kept = kept
        self.network.load_state_dict(model)
        average = under("average.", tensors)
        by_name = dict(zip(self.names, self.parameters, strict=True))
        owners = {p: o for o in self.optimizers for g in o.param_groups for p in g["params"]}
        for i, name in enumerate(self.names):
            self.average[i].copy_(average[name])
        for key, tensor in tensors.items():
            moment, _, name = key.partition(".")
            if moment in ("model", "average", "method"):
                continue
            parameter = by_name[name]
            owners[parameter].state[parameter][moment] = _moment(tensor, parameter)
        self.step = document["step"]

    def _moments(self, parameter: Tensor) -> dict[str, Tensor]:
        """What the optimizers keep of a parameter, by name."""
        found = (o.state[parameter] for o in self.optimizers if parameter in o.state)
        return next(found, {})


def _moment(tensor: Tensor, parameter: Tensor) -> Tensor:
    """What an optimizer keeps of a parameter, laid out like it, and where it is.

    Counts of steps, too: the optimizers that keep them take all parameters at once.
    """
    if tensor.shape == parameter.shape:
        return torch.empty_like(parameter).copy_(tensor)
    return tensor.to(parameter.device)


def _arrays(state: State) -> dict[str, np.ndarray]:
    """What batches keep, as a checkpoint can hold it.

    Raises:
        UserError: If something of it is no number and no array of numbers.
    """
    arrays = {name: np.asarray(value) for name, value in state.items()}
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise UserError(
                f"the training method keeps '{name}' of type {array.dtype}. "
                "What it keeps must be arrays of numbers or booleans."
            )
    return arrays


def _layout(state: State) -> str:
    """Names, types and shapes, such as "loss float64 (3,)"."""
    found = (f"{name} {array.dtype} {array.shape}" for name, array in sorted(state.items()))
    return ", ".join(found) or "nothing"
