"""Slicing shared weights: the only place that does it.

An elastic module holds one *plain* module at its largest size. A smaller member of the family is
the same plain module whose tensors are slices of the large one's. Which axis of which tensor
follows which role ("width", "hidden", "kernel", ...) is a table; how much of a role is used follows
from the signature, and a tensor of which nothing is used is not part of the member. Running a
member (`forward`) and cutting it out (`extract`) read the same slices, and both run the plain
module's own `forward`, so they cannot disagree.

Axes are sliced as prefixes (Cai et al., Once-for-All, 2020), kernels (roles that start with
"kernel") around their centre. Pruned
groups are not prefixes: the channels of the highest importance are kept, in their order.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from copy import deepcopy
from functools import cached_property, lru_cache
from typing import ClassVar, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from search_spaces import Signature
from supernets.criteria._base import AbstractCriterion, GroupWeights

Index = int | Tensor
"""The first so many, or exactly these (1-D, ascending)."""

Axes = Mapping[str, tuple[str | None, ...]]
"""Role of every axis of every tensor of a plain module's state; None is an axis never sliced.

The name of a module stands for its tensors that have so many axes.
"""

KERNEL = "kernel"

_What = TypeVar("_What")


def inside(place: str, of_names: Mapping[str, _What]) -> dict[str, _What]:
    """What is said of the names of a module, of the same one that is a part called `place`."""
    return {f"{place}.{name}": what for name, what in of_names.items()}


class AbstractElasticPart(nn.Module, ABC):
    """A part of plain modules that says the roles of its own axes, whatever it is a part of."""

    axes: ClassVar[Axes]
    """Of its parameters, by their names in it."""


class AbstractElastic(nn.Module, ABC):
    """A family of plain modules that share weights.

    Attributes:
        full: The plain module at the largest size; its parameters are the shared weights.
    """

    plain: ClassVar[type[nn.Module]]
    """Built from a signature alone: `plain(signature)`."""

    is_sized: ClassVar[bool] = False
    """Whether the weights belong to a map's sides: maps of other sizes have their own."""

    axes: ClassVar[Axes]
    """Roles of the axes of `plain`'s parameters and buffers; a missing tensor is not shared."""

    without_gradient: ClassVar[Mapping[str, tuple[int, int]]] = {}
    """Biases of which a part never gets a gradient, such as keys' (softmax ignores what all keys
    share): by state name which part, from 0, of how many equal ones."""

    def __init__(self, largest: Signature) -> None:
        super().__init__()
        self.full = self.plain(largest)
        for group in self.prunable:
            scores = torch.zeros(largest.kept.number(group))
            self.register_buffer(f"importance_{group}", scores)

    prunable: ClassVar[tuple[str, ...]] = ()
    """Groups of the declaration whose members this module holds."""

    @abstractmethod
    def sizes(self, signature: Signature) -> dict[str, Index]:
        """How much of each role the signature uses."""

    @abstractmethod
    def group_weights(self) -> dict[str, GroupWeights]:
        """The weights, as they are, by which the members of every prunable group are ranked.

        Only selected and put side by side: `group_gradients` selects likewise.
        """

    @torch.no_grad()
    def group_gradients(self, gradients: Mapping[nn.Parameter, Tensor]) -> dict[str, GroupWeights]:
        """The gradients of `group_weights`.

        Args:
            gradients: Of shared weights; those that are not there are 0.
        """
        twin = deepcopy(self)
        for own, copy in zip(self.full.parameters(), twin.full.parameters(), strict=True):
            copy.copy_(gradients.get(own, torch.zeros(())))
        return twin.group_weights()

    def weights(self, signature: Signature) -> dict[str, Tensor]:
        """The slices that make up the plain module of this signature, by state name."""
        sizes = self.sizes(signature)
        tensors = dict(self.full.named_parameters()) | dict(self.full.named_buffers())
        return {
            name: cut(tensors[name], roles, sizes)
            for name, roles in self.roles.items()
            if all(role is None or not _is_nothing(sizes[role]) for role in roles)
        }

    @cached_property
    def roles(self) -> Axes:
        """Those of every tensor that is shared, by state name."""
        axes = dict(self.axes)
        for place, module in self.full.named_modules():
            if isinstance(module, AbstractElasticPart):
                axes |= {f"{place}.{name}": roles for name, roles in module.axes.items()}
        found = {}
        for name, tensor in [*self.full.named_parameters(), *self.full.named_buffers()]:
            of_module = axes.get(name.rpartition(".")[0])
            fits = of_module is not None and len(of_module) == tensor.ndim
            roles = axes.get(name, of_module if fits else None)
            if roles is not None:
                found[name] = roles
        return found

    def restricted_state(self, largest: Signature) -> dict[str, Tensor]:
        """State of the family whose largest member is this one, which is not pruned."""
        state = {f"full.{name}": tensor for name, tensor in self.weights(largest).items()}
        for group in self.prunable:
            name = f"importance_{group}"
            state[name] = self.get_buffer(name)[: largest.kept.number(group)]
        return state

    def kept(self, group: str, size: int, signature: Signature) -> Index:
        """Which of the first `size` members of a group remain in this signature."""
        num_kept = signature.kept.number(group)
        if num_kept == size:
            return size
        scores = self.get_buffer(f"importance_{group}")[:size]
        best = torch.argsort(scores, descending=True, stable=True)[:num_kept]
        return best.sort().values

    def order(self, group: str, importance: Tensor) -> None:
        """Records the importance of members: from now on the least important go first."""
        self.get_buffer(f"importance_{group}").copy_(importance)

    def rank(self, criterion: AbstractCriterion) -> None:
        """Orders the members of every prunable group by their weights as they are."""
        for group, weights in self.group_weights().items():
            self.order(group, criterion.importance(weights))


class AbstractUnpruned(AbstractElastic):
    """A family of which nothing can be pruned."""

    def group_weights(self) -> dict[str, GroupWeights]:
        """None."""
        return {}


def _is_nothing(index: Index) -> bool:
    return isinstance(index, int) and index == 0


def cut(tensor: Tensor, roles: tuple[str | None, ...], sizes: Mapping[str, Index]) -> Tensor:
    """What `sizes` leaves of a tensor's axes; a view where all are prefixes."""
    for axis, role in enumerate(roles):
        if role is None:
            continue
        index = sizes[role]
        if isinstance(index, Tensor):
            tensor = tensor.index_select(axis, index)
        elif index != tensor.shape[axis]:
            start = (tensor.shape[axis] - index) // 2 if role.startswith(KERNEL) else 0
            tensor = tensor.narrow(axis, start, index)
    return tensor


def run(
    plain: type[nn.Module],
    signature: Signature,
    state: dict[str, Tensor],
    x: Tensor,
    *,
    training: bool,
) -> Tensor:
    """The output of `plain(signature)` with these tensors in place of its own."""
    skeleton = _skeleton(plain, signature, x.device)  # type: ignore[arg-type]  # it is hashable
    skeleton.train(training)
    output = functional_call(skeleton, state, (x,))
    assert isinstance(output, Tensor)
    return output


@lru_cache(maxsize=8192)
def _skeleton(plain: type[nn.Module], signature: Signature, device: torch.device) -> nn.Module:
    """A module without memory of its own that runs on borrowed tensors.

    Batch norm's running statistics are left alone in training: every extracted network gets its own
    by recalibration. Tables that follow from the signature alone are on the device.
    """
    with torch.device("meta"):
        module = plain(signature)
    for child in module.modules():
        for name, buffer in child.named_buffers(recurse=False):
            if not buffer.is_meta:
                child.register_buffer(name, buffer.to(device), persistent=False)
        if isinstance(child, nn.BatchNorm2d):
            child.momentum = 0.0
            child.num_batches_tracked = None
    return module
