"""Larger networks that compute what a trained one does.

    grown(network, arch)

A smaller member's weights are slices of a larger one's, and roles of axes say which
(`supernets/_elastic.py`). Growing fills what is around the slices and knows nothing of operators:

- *Wider*: further members of a group are copies of those in front of them. Where a weight reads
  them, along an axis behind its first one, the copies of a member share what was read of it.
- *Larger kernels* have zeros around what was there.
- *Deeper*: a new block is what every block is before training, the identity, because the last layer
  before its shortcut's sum is 0.

Whether a slot still computes what it did is seen by computing it, with a map of noise; one that
does not is refused. A layer norm, for one, keeps its mean only where all channels are copied
equally often, and channels that see their neighbours in an order, as those of `eca`, see others.

Sources: Cai et al., Efficient Architecture Search by Network Transformation (2018), section 4, for
operations that keep a network's function; Chen et al., Net2Net: Accelerating Learning via Knowledge
Transfer (2016), for the operations. Departures: copies are of neighbouring channels in their order,
so that whole heads and groups are copied, and not of random ones; the parts of what copies share
are drawn and not equal, because gradients of equal copies are equal, so no noise is needed;
identities are residual branches that are 0 instead of identity kernels behind which batch norm is
cancelled; the larger network is named, or chosen by a score (`supernets/expansion.py`), and not by
a controller that learns by reinforcement.

Shapes: B batch, C channels, H W space, N members of the larger group.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from search_spaces import FULL_RANK, Option, Signature, Slot, UserError
from search_spaces.traced.operator import FRAGMENT
from supernets._elastic import KERNEL, AbstractElastic, Index
from supernets._modules import initialise, seeded
from supernets.network import PlainNetwork, module_name
from supernets.supernet import elementwise_largest, families, prefixes

TOLERANCE = 1e-4
"""Of what a slot computes, in its largest value: rounding is a hundredth of it."""

LEAST_PART, IMAGES = 0.5, 2
"""Before they are divided by their sum, parts that copies share are between this and 1 more; and
images that a slot is tried with."""


def grown(network: PlainNetwork, arch: Sequence[Slot], *, seed: int = 0) -> PlainNetwork:
    """A larger network that computes what a network does.

    Args:
        network: In evaluation mode; stays as it is. What its statistics are decides nothing: they
            are copied like weights.
        arch: Of the larger network: the same slots and maybe more, each at least as large.
        seed: Of new blocks and of the parts that copies share.

    Returns:
        The larger network, in evaluation mode.

    Raises:
        UserError: If a slot is not there, not larger, or does not compute the same.
    """
    before = {slot.name: slot for slot in network.arch}
    if missing := sorted(before.keys() - {slot.name for slot in arch}):
        raise UserError(
            f"slot '{missing[0]}' is not in the larger network. A network grows where it keeps all "
            "of its blocks. Name one with at least as many."
        )
    generator = torch.Generator().manual_seed(seed)
    with seeded(seed):
        found = PlainNetwork(arch)
    initialise(found, generator)
    found.eval()
    for slot in arch:
        module = found.get_submodule(module_name(slot.name))
        old = before.get(slot.name)
        if old is None:
            _refuse_change(slot, None, nn.Identity(), module)
        else:
            small = network.get_submodule(module_name(slot.name))
            _grow(slot, old.signature, small, module, generator)
    return found


def _grow(
    slot: Slot, before: Signature, small: nn.Module, large: nn.Module, generator: torch.Generator
) -> None:
    """Gives a new module what makes it compute what the smaller one does."""
    after = slot.signature
    if _sized(before) == _sized(after):
        large.load_state_dict(small.state_dict())
        return
    _refuse_other_kind(slot, before)
    state = _widened(slot, before, small.state_dict(), generator)
    shapes = {name: tensor.shape for name, tensor in large.state_dict().items()}
    assert all(tensor.shape == shapes.get(name) for name, tensor in state.items()), slot.name
    large.load_state_dict(state, strict=False)
    _refuse_change(slot, before, small, large)


def _widened(
    slot: Slot, before: Signature, state: Mapping[str, Tensor], generator: torch.Generator
) -> dict[str, Tensor]:
    """What a larger module has of a smaller one's state, by name: of what is new, nothing."""
    found: dict[str, Tensor] = {}
    for place, family in _families(elementwise_largest([before, slot.signature])).items():
        old, new = family.sizes(before), family.sizes(slot.signature)
        sources: dict[str, Tensor | None] = {}
        for role in new:
            if role.startswith(KERNEL):
                sources[role] = _centred(old[role], new[role])
            else:
                sources[role] = _sources(old[role], new[role])
            if sources[role] is None:
                raise UserError(
                    f"slot '{slot.name}' has less of what its operator '{before.operator}' calls "
                    f"'{role}' in the larger network ({_changes(before, slot.signature)}). Name a "
                    "network that is nowhere smaller."
                )
        for name, roles in family.roles.items():
            tensor = state.get(f"{place}{name}")
            if tensor is not None:
                taken = [None if role is None else sources[role] for role in roles]
                found[f"{place}{name}"] = _copied(tensor, taken, generator)
    return found


def _families(signature: Signature) -> dict[str, AbstractElastic]:
    """The elastic modules of a slot, by what precedes their tensors' names in the plain module."""
    found = (family(signature) for family in families(signature).values())
    return dict(zip(prefixes(signature), found, strict=True))


def _sources(before: Index, after: Index) -> Tensor | None:
    """Of which member of the smaller group each one of the larger group is a copy: (N,).

    Further members, which lie behind some of the smaller group, are copies of the last ones of
    these, in their order. None if a member of the smaller group is missing.

    Args:
        before: Members of the smaller group, as the largest module has them.
        after: Those of the larger group.
    """
    places = {member: place for place, member in enumerate(_members(before))}
    members = _members(after)
    if not places.keys() <= set(members):
        return None
    found: list[int] = []
    run = gap = 0
    for place, member in enumerate(members):
        if member in places:
            run, gap = (1 if gap else run + 1), 0
            found.append(places[member])
            continue
        if not gap:
            gap = next((i for i, m in enumerate(members[place:]) if m in places), 0)
            gap = gap or len(members) - place
            period = min(run, gap)
        found.append(found[-period] if period else 0)
    return torch.tensor(found, dtype=torch.long)


def _centred(before: Index, after: Index) -> Tensor | None:
    """Which tap of the smaller kernel is at each place of the larger one, -1 for none: (N,).

    None if there are fewer.
    """
    assert isinstance(before, int)
    assert isinstance(after, int)
    around = (after - before) // 2
    if before and around < 0:
        return None
    taps = torch.arange(after) - max(0, around)
    return torch.where(taps < before, taps, -1).clamp_min(-1)


def _members(index: Index) -> list[int]:
    return list(range(index)) if isinstance(index, int) else [int(i) for i in index.tolist()]


def _copied(tensor: Tensor, sources: Sequence[Tensor | None], generator: torch.Generator) -> Tensor:
    """A larger tensor with what there is at each axis' sources; copies that are read share it."""
    for axis, source_N in enumerate(sources):
        if source_N is None:
            continue
        tensor = tensor.index_select(axis, source_N.clamp_min(0))
        shares_N = (source_N >= 0).to(tensor.dtype)
        if axis and not (source_N < 0).any():
            shares_N = _shares(source_N, generator).to(tensor.dtype)
        if (shares_N != 1).any():
            tensor = tensor * shares_N.reshape(-1, *[1] * (tensor.ndim - axis - 1))
    return tensor


def _shares(source_N: Tensor, generator: torch.Generator) -> Tensor:
    """Parts of 1 for the copies of every member; exactly 1 for one that has no other: (N,)."""
    drawn_N = LEAST_PART + torch.rand(len(source_N), generator=generator, dtype=torch.float64)
    sums = torch.zeros(len(source_N), dtype=torch.float64).index_add_(0, source_N, drawn_N)
    return drawn_N / sums[source_N]


def _sized(signature: Signature) -> tuple[object, ...]:
    """All that decides about a plain module's weights."""
    return signature.operator, signature.shape, signature.pick, signature.kept, signature.rank


def _refuse_other_kind(slot: Slot, before: Signature) -> None:
    """See that a slot can grow: that both have the same weights, but for their number."""
    after, what = slot.signature, f"slot '{slot.name}'"
    if FRAGMENT in (before.operator, after.operator) or {before.rank, after.rank} != {FULL_RANK}:
        raise UserError(
            f"{what} is a part of a network that was brought, or has layers of low rank. Blocks of "
            "a search space of full rank can grow."
        )
    one, other = ((x.shape.in_size, x.shape.size, *families(x)) for x in (before, after))
    if before.operator != after.operator or one != other:
        raise UserError(
            f"{what} is {_kind(before)}, and {_kind(after)} in the larger network. A block grows "
            "where its operator, norm, channel part and map stay. Name a network that keeps them."
        )


@torch.no_grad()
def _refuse_change(
    slot: Slot, before: Signature | None, small: nn.Module, large: nn.Module
) -> None:
    """See that a slot computes the same, of a map of noise.

    Args:
        slot: Of the larger network.
        before: What filled it; None for a new one, which must change nothing.
        small: What it was.
        large: What it is, in evaluation mode.
    """
    shape = slot.signature.shape
    old = shape if before is None else before.shape
    inputs, outputs = _sources(old.in_width, shape.in_width), _sources(old.width, shape.width)
    if inputs is None or outputs is None:
        raise UserError(
            f"slot '{slot.name}' is narrower in the larger network: {old.in_width} to {old.width} "
            f"channels, {shape.in_width} to {shape.width} there. Name one that is nowhere smaller."
        )
    noise = torch.Generator().manual_seed(0)
    x_BCHW = torch.randn(IMAGES, old.in_width, *old.in_size, generator=noise)
    wanted = small(x_BCHW).index_select(1, outputs)
    answer = large(x_BCHW.index_select(1, inputs))
    error = _difference(answer, wanted)
    if not error <= TOLERANCE:
        changes = "a new block" if before is None else _changes(before, slot.signature)
        raise UserError(
            f"slot '{slot.name}' with operator '{slot.signature.operator}' does not compute what "
            f"it did ({changes}): it differs by {error:.2g} of the largest value, and "
            f"{TOLERANCE:g} is allowed. What grows is depth, hidden channels, heads and kernels of "
            "convolutions, and width where no operator needs its channels counted or in an order; "
            "most can double it."
        )


def _difference(one: Tensor, other: Tensor) -> float:
    """In the largest value of the other; infinite between different shapes."""
    if one.shape != other.shape:
        return math.inf
    return float((one - other).abs().max() / other.abs().max().clamp_min(1e-12))


def _kind(signature: Signature) -> str:
    rows, columns = signature.shape.size
    return f"'{' + '.join(families(signature))}' on a map of {rows}x{columns}"


def _changes(before: Signature, after: Signature) -> str:
    """What differs, for people."""
    pairs: list[tuple[str, Option | None, Option | None]] = [
        ("width", before.shape.width, after.shape.width)
    ]
    for old, new in ((before.pick, after.pick), (before.kept, after.kept)):
        pairs += [(name, old.get(name), new.get(name)) for name in {**old, **new}]
    return ", ".join(f"{name} {old} to {new}" for name, old, new in pairs if old != new)
