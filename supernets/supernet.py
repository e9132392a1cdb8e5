"""The weight-sharing network.

The architecture is an argument of `forward`, never a state of the network: it is the tuple of slots
that `SearchSpace.slots(candidate)` resolves, which also carries how much sparsity leaves of each
slot. `extract` cuts the same slices out as a plain network.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from search_spaces import (
    DENSE,
    FULL_PRECISION,
    FULL_RANK,
    Option,
    Options,
    SearchSpace,
    Signature,
    Slot,
    is_mixer,
)
from search_spaces._sides import written_sides
from search_spaces.channel_parts._base import DEFAULT_CHANNEL_PART, channel_part_name
from search_spaces.norms._base import NORM
from search_spaces.operators._repeated import num_passes
from supernets._elastic import AbstractElastic, run
from supernets._modules import initialise, seeded
from supernets._ranking import Gradients, importances
from supernets.channel_parts._base import ELASTIC_CHANNEL_PARTS
from supernets.criteria._base import CRITERIA, DEFAULT_CRITERION
from supernets.mixers._between import ElasticBetween
from supernets.network import (
    PlainNetwork,
    elastic_class,
    module_name,
    plain_class,
    walk,
)
from supernets.traced.fragment import factored_state

BETWEEN = "between"
"""Where the weights between passes are, in a slot and in its plain module."""


class ElasticSlot(nn.Module):
    """All operators of one slot, and what its mixers share: channel parts, projections of passes.

    Args:
        largest: By the name of the family of weights, see `largest_of`.
    """

    def __init__(self, largest: Mapping[str, Signature]) -> None:
        super().__init__()
        self.operators = nn.ModuleDict()
        self.channel_parts = nn.ModuleDict()
        for name, signature in largest.items():
            self.set_submodule(name, families(signature)[name](signature))

    def weights(self, signature: Signature) -> dict[str, Tensor]:
        """State of the plain module of this signature, as slices of the shared weights."""
        state = {
            f"{prefix}{name}": tensor
            for prefix, place in zip(prefixes(signature), families(signature), strict=True)
            for name, tensor in self._family(place).weights(signature).items()
        }
        return state if signature.rank == FULL_RANK else factored_state(signature, state)

    def restricted_state(self, largest: Mapping[str, Signature]) -> dict[str, Tensor]:
        """State of the slot whose largest signatures are these; they are not pruned."""
        state: dict[str, Tensor] = {}
        for place, signature in largest.items():
            own = self._family(place).restricted_state(signature)
            state |= {f"{place}.{name}": tensor for name, tensor in own.items()}
        return state

    def forward(self, x_BCHW: Tensor, signature: Signature) -> Tensor:
        """What the plain module of this signature computes with the shared weights.

        In training of full rank: singular values of every step are neither cheap nor smooth.
        """
        if self.training:
            signature = replace(signature, rank=FULL_RANK)
        plain = plain_class(signature.operator)
        return run(plain, signature, self.weights(signature), x_BCHW, training=self.training)

    def _family(self, name: str) -> AbstractElastic:
        family = self.get_submodule(name)
        assert isinstance(family, AbstractElastic)
        return family


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

    def offering(self, space: SearchSpace) -> "Supernet":
        """This supernet with fewer members and the same weights, which both share.

        Args:
            space: This one's with fewer options; all of its members may be pruned.
        """
        found = copy.copy(self)
        found.space = space
        return found

    def rank(
        self,
        criterion: str = DEFAULT_CRITERION,
        *,
        seed: int = 0,
        gradients: Iterable[Gradients] = (),
    ) -> None:
        """Orders prunable channels and heads by the importance of their weights as they are.

        Args:
            criterion: Its name.
            seed: Of criteria that draw.
            gradients: Of batches, as `supernets.gradients` gives them; not looked at by criteria
                that need none.

        Raises:
            UserError: If there is no such criterion.
        """
        users: dict[str, list[tuple[AbstractElastic, str]]] = {}
        for name, module, group in self._groups():
            users.setdefault(name, []).append((module, group))
        ranking = CRITERIA.get(criterion)()
        found = importances(users, ranking, seed=seed, gradients=gradients)
        for name, importance in found.items():
            for module, group in users[name]:
                module.order(group, importance)

    def _groups(self) -> Iterator[tuple[str, AbstractElastic, str]]:
        """What every prunable group is called in the network, who has it, and its name there."""
        assert self.space.network is not None
        assert self.space.tables is not None
        shared = self.space.network.shared_groups()
        for slot in (table.name for table in self.space.tables.slots):
            for place, module in self._slot(slot).named_modules():
                if isinstance(module, AbstractElastic):
                    for group in module.prunable:
                        name = shared.get((slot, group), f"{slot}.{place}.{group}")
                        yield name, module, group

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
        parts.append(str(written_sides(signature.shape.size)))
    return "_".join(parts)


def families(signature: Signature) -> dict[str, type[AbstractElastic]]:
    """The weights that a signature uses: its operator's; of a mixer's slot also its channel part's,
    and those between passes.

    By the name that they have in the slot; files have it, too.
    """
    found = {f"operators.{weights_name(signature)}": elastic_class(signature.operator)}
    if is_mixer(signature.operator):
        name = channel_part_name(signature.pick)
        place = name if name == DEFAULT_CHANNEL_PART else f"channel_parts.{name}"
        found[place] = ELASTIC_CHANNEL_PARTS.get(name)
        if num_passes(signature.pick) > 1:
            found[BETWEEN] = ElasticBetween
    return found


def prefixes(signature: Signature) -> tuple[str, ...]:
    """What precedes the names of each of these weights in the plain module."""
    if not is_mixer(signature.operator):
        return ("",)
    return ("mixer.", "mlp.", f"{BETWEEN}.")[: len(families(signature))]


def largest_of(signatures: Iterable[Signature]) -> dict[str, Signature]:
    """For every family of their weights, the smallest signature that contains all of its users'.

    Operators first, then channel parts.
    """
    by_use: dict[tuple[str, ...], list[Signature]] = {}
    for signature in signatures:  # of which there are thousands, and few uses
        by_use.setdefault(tuple(families(signature)), []).append(signature)
    by_name: dict[str, list[Signature]] = {}
    for use, users in by_use.items():
        for name in use:
            by_name.setdefault(name, []).extend(users)
    names = sorted(by_name, key=lambda name: not name.startswith("operators."))
    return {name: elementwise_largest(by_name[name]) for name in names}


def largest_signatures(space: SearchSpace) -> dict[str, dict[str, Signature]]:
    """`largest_of` all signatures of every slot."""
    assert space.tables is not None
    numbers = {slot.name: sorted(set(slot.ids.tolist()) - {0}) for slot in space.tables.slots}
    return {
        slot: largest_of(s for i in found if (s := space.tables.signatures[i]) is not None)
        for slot, found in numbers.items()
    }


def elementwise_largest(signatures: Sequence[Signature]) -> Signature:
    """The signature whose widths, options and groups are the largest; the rest is the first's."""
    first = signatures[0]
    shape = replace(
        first.shape,
        in_width=max(signature.shape.in_width for signature in signatures),
        width=max(signature.shape.width for signature in signatures),
    )
    return replace(
        first,
        shape=shape,
        pick=_largest(signature.pick for signature in signatures),
        kept=_largest(signature.kept for signature in signatures),
        precision=FULL_PRECISION,
        pattern=DENSE,
        rank=FULL_RANK,
    )


def _largest(several: Iterable[Options]) -> Options:
    """Largest numbers; of words the first.

    Words either do not decide about the shapes of weights, or are a window's sides, which all users
    of the weights that they decide about have.
    """
    found: dict[str, Option] = {}
    for options in dict.fromkeys(several):
        for name, option in options.items():
            known = found.setdefault(name, option)
            if isinstance(option, str) and not isinstance(known, str):
                found[name] = option
            elif not isinstance(known, str):
                found[name] = max(_number(known), _number(option))
    return Options(found)


def _number(option: Option) -> int | float:
    assert not isinstance(option, str)
    return option
