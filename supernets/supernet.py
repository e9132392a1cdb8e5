"""The weight-sharing network.

The architecture is an argument of `forward`, never a state of the network: it is the tuple of slots
that `SearchSpace.slots(candidate)` resolves, which also carries how much sparsity leaves of each
slot. `extract` cuts the same slices out as a plain network.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import torch
from torch import Tensor, nn

from search_spaces import FULL_PRECISION, Option, Options, SearchSpace, Signature, Slot, is_mixer
from search_spaces.norms._base import NORM
from supernets._elastic import AbstractElastic, run
from supernets._modules import initialise, seeded
from supernets.criteria._base import CRITERIA, DEFAULT_CRITERION
from supernets.mixers._mlp import MLP
from supernets.network import (
    PlainNetwork,
    elastic_class,
    module_name,
    plain_class,
    walk,
)


class ElasticSlot(nn.Module):
    """All operators of one slot; its mixers share one channel MLP.

    Args:
        largest: By `weights_name`.
    """

    def __init__(self, largest: dict[str, Signature]) -> None:
        super().__init__()
        self.operators = nn.ModuleDict()
        for name, signature in largest.items():
            self.operators[name] = elastic_class(signature.operator)(signature)
        mixers = [s for s in largest.values() if is_mixer(s.operator)]
        self.mlp = MLP(reduce(elementwise_largest, mixers)) if mixers else None

    def weights(self, signature: Signature) -> dict[str, Tensor]:
        """State of the plain module of this signature, as slices of the shared weights."""
        operator = self.operators[weights_name(signature)]
        assert isinstance(operator, AbstractElastic)
        own = operator.weights(signature)
        if not is_mixer(signature.operator):
            return own
        assert self.mlp is not None
        state = {f"mixer.{name}": tensor for name, tensor in own.items()}
        mlp = self.mlp.weights(signature)
        return state | {f"mlp.{name}": tensor for name, tensor in mlp.items()}

    def restricted_state(self, largest: dict[str, Signature]) -> dict[str, Tensor]:
        """State of the slot whose largest signatures are these; they are not pruned."""
        families = {f"operators.{name}": s for name, s in largest.items()}
        if mixers := [s for s in largest.values() if is_mixer(s.operator)]:
            families["mlp"] = reduce(elementwise_largest, mixers)
        state: dict[str, Tensor] = {}
        for place, signature in families.items():
            family = self.get_submodule(place)
            assert isinstance(family, AbstractElastic)
            own = family.restricted_state(signature)
            state |= {f"{place}.{name}": tensor for name, tensor in own.items()}
        return state

    def forward(self, x_BCHW: Tensor, signature: Signature) -> Tensor:
        """What the plain module of this signature computes with the shared weights."""
        plain = plain_class(signature.operator)
        return run(plain, signature, self.weights(signature), x_BCHW, training=self.training)


class Supernet(nn.Module):
    """Shared weights for every candidate of a space.

    Args:
        space: Its tables say which slots and operators there are and how large each can be.
        seed: Of the fresh weights.
    """

    def __init__(self, space: SearchSpace, *, seed: int = 0) -> None:
        super().__init__()
        self.space = space
        largest = largest_signatures(space)
        with seeded(seed):
            slots = {module_name(name): ElasticSlot(by) for name, by in largest.items()}
        self.slots = nn.ModuleDict(slots)
        initialise(self, torch.Generator().manual_seed(seed))

    def forward(self, x_BCHW: Tensor, arch: Sequence[Slot]) -> Tensor:
        """Logits of one member, (B, classes).

        In evaluation mode batch norm uses the shared running statistics, which training leaves
        alone: extract and recalibrate before judging a member.
        """
        return walk(arch, x_BCHW, lambda slot, x: self._slot(slot.name)(x, slot.signature))

    def features(self, x_BCHW: Tensor, arch: Sequence[Slot]) -> dict[str, Tensor]:
        """What every slot of one member gives, by its name and in their order; last the logits."""
        found: dict[str, Tensor] = {}

        def fill(slot: Slot, x_BCHW: Tensor) -> Tensor:
            found[slot.name] = self._slot(slot.name)(x_BCHW, slot.signature)
            return found[slot.name]

        walk(arch, x_BCHW, fill)
        return found

    def extract(self, arch: Sequence[Slot]) -> PlainNetwork:
        """A plain network with copies of the member's weights, in evaluation mode."""
        network = PlainNetwork(arch)
        state = {
            f"{module_name(slot.name)}.{name}": tensor.detach()
            for slot in arch
            for name, tensor in self._slot(slot.name).weights(slot.signature).items()
        }
        missing, unexpected = network.load_state_dict(state, strict=False)
        assert not unexpected, unexpected
        assert all(name.endswith("num_batches_tracked") for name in missing), missing
        return network.eval()

    def restricted(self, space: SearchSpace) -> "Supernet":
        """The supernet of a part of the space, in which members are what they are in this one.

        Args:
            space: This one's with fewer options; it has members that are not pruned.
        """
        found = Supernet(space)
        for name, largest in largest_signatures(space).items():
            state = self._slot(name).restricted_state(largest)
            found._slot(name).load_state_dict(state, strict=False)
        return found.train(self.training)

    def rank(self, criterion: str = DEFAULT_CRITERION) -> None:
        """Orders prunable channels and heads by the importance of their weights as they are.

        Raises:
            UserError: If there is no such criterion.
        """
        ranking = CRITERIA.get(criterion)()
        for module in self.modules():
            if isinstance(module, AbstractElastic):
                module.rank(ranking)

    def _slot(self, name: str) -> ElasticSlot:
        slot = self.slots[module_name(name)]
        assert isinstance(slot, ElasticSlot)
        return slot


def weights_name(signature: Signature) -> str:
    """Which of a slot's weights a signature uses: its operator's, with its norm unless that is the
    default, at this map if that matters."""
    parts = [signature.operator]
    if NORM in signature.pick:
        parts.append(signature.pick.text(NORM))
    if elastic_class(signature.operator).is_sized:
        parts.append(str(signature.shape.size))
    return "_".join(parts)


def largest_signatures(space: SearchSpace) -> dict[str, dict[str, Signature]]:
    """For every slot and all of its weights, the smallest signature that contains all others."""
    assert space.tables is not None
    largest: dict[str, dict[str, Signature]] = {}
    for slot in space.tables.slots:
        by_name = largest.setdefault(slot.name, {})
        for number in sorted(set(slot.ids.tolist()) - {0}):
            signature = space.tables.signatures[number]
            assert signature is not None
            name = weights_name(signature)
            known = by_name.get(name, signature)
            by_name[name] = elementwise_largest(known, signature)
    return largest


def elementwise_largest(a: Signature, b: Signature) -> Signature:
    """The signature whose widths, options and groups are the larger of the two; the rest is a's."""
    shape = replace(
        a.shape,
        in_width=max(a.shape.in_width, b.shape.in_width),
        width=max(a.shape.width, b.shape.width),
    )
    pick = Options({name: _larger(a.pick, b.pick, name) for name in {**a.pick, **b.pick}})
    kept = Options({name: _larger(a.kept, b.kept, name) for name in {**a.kept, **b.kept}})
    return replace(a, shape=shape, pick=pick, kept=kept, precision=FULL_PRECISION)


def _larger(a: Options, b: Options, name: str) -> Option:
    """The larger number; of words the first: they do not decide about the shapes of weights."""
    found = [options[name] for options in (a, b) if name in options]
    return found[0] if isinstance(found[0], str) else max(map(_number, found))


def _number(option: Option) -> int | float:
    assert not isinstance(option, str)
    return option
