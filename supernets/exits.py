"""Early exits beside a network: latent vectors that look at its maps between stages, and answer.

The network is the feature branch and stays what it is. A few latent vectors are the classification
branch: after a stage they read that stage's map by cross-attention, mix their channels, and a
linear layer answers from their mean. A map thus need not be separable by a linear layer itself, and
an exit takes nothing from what comes after it.

Source: Han et al., Dynamic Perceiver for Efficient Visual Recognition (2023), the two branches and
the exits. Departures: features do not look back at latents, or the network would be another one
than was searched and measured; the last exit is therefore the network's own head, without latents;
attention has one head and there is no self-attention of latents, because each kernel is a cost that
every image pays; a map is pooled to about `LEAST_SIDE` positions a side before it is read; the
number of latents stays; exits learn from the network's answers, half of their loss, beside labels;
nothing of the branch is elastic.

Shapes: B batch, C channels, H W space, T positions of a pooled map, L latents, D their width, K
classes, E exits before the network's own answer.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor, nn

from search_spaces import Sides, Slot, check_ranges, signature_cost
from supernets._modules import NORM_EPS, initialise
from supernets.network import PlainNetwork, module_name

LEAST_SIDE = 4
"""Positions of a side that pooling leaves, where the side can be divided so."""

MOST = 4096


class Map(NamedTuple):
    """A map that exits look at: what a slot makes.

    Attributes:
        slot: Its name.
        width: Channels.
        size: Height and width.
    """

    slot: str
    width: int
    size: Sides

    @property
    def pooling(self) -> Sides:
        """Sides of the windows that are averaged: the largest divisors that leave `LEAST_SIDE`."""
        rows, columns = map(_divisor, self.size)
        return rows, columns

    @property
    def positions(self) -> int:
        """Of the pooled map."""
        (rows, columns), (high, wide) = self.pooling, self.size
        return (high // rows) * (wide // columns)


@final
@dataclass(frozen=True, kw_only=True)
class Latents:
    """Sizes of the classification branch.

    Attributes:
        number: Latent vectors.
        width: Of each.
        expand_ratio: Hidden channels of their MLP, in widths.
    """

    number: int = 4
    width: int = 64
    expand_ratio: int = 2

    def __post_init__(self) -> None:
        ranges = dict.fromkeys(("number", "width", "expand_ratio"), (1, MOST))
        check_ranges(self, "the latents", **ranges)

    def macs(self, maps: Sequence[Map], num_classes: int) -> list[int]:
        """Multiply-adds of the branch up to each exit and with it; those of the last are of all.

        Args:
            maps: That it looks at.
            num_classes: Outputs of an exit.
        """
        total, found = 0, []
        number, width = self.number, self.width
        for place, of_map in enumerate(maps):
            attended = 2 * number * of_map.positions * of_map.width
            matrices = 2 if place else 1  # the first queries are weights
            read = attended + matrices * number * of_map.width * width
            mixed = 2 * self.expand_ratio * number * width * width
            total += read + mixed + width * num_classes
            found.append(total)
        return found


def maps_between_stages(network: PlainNetwork, shape: Sequence[int]) -> tuple[Map, ...]:
    """The last map of every size but the smallest, in the order in which they are made.

    Args:
        network: In evaluation mode.
        shape: Of one image: channels, height and width.
    """
    made: list[Map] = []

    def keep(slot: str, x: Tensor) -> None:
        if x.ndim == 4 and x.shape[2:].numel() > 1:
            made.append(Map(slot, x.shape[1], (x.shape[2], x.shape[3])))

    with torch.no_grad(), _watched(network, [slot.name for slot in network.arch], keep):
        network(torch.zeros(1, *shape))
    shrinking = made[:1]
    for after in made[1:]:
        before = math.prod(shrinking[-1].size)
        if math.prod(after.size) == before:
            shrinking[-1] = after
        elif math.prod(after.size) < before:
            shrinking.append(after)
    return tuple(shrinking[:-1])


def macs_of_slot(slots: Sequence[Slot], name: str) -> int:
    """Multiply-adds of a slot of a network and of all that it is made of."""
    needed, total = {name}, 0
    for place in reversed(range(len(slots))):
        slot = slots[place]
        if slot.name not in needed:
            continue
        total += signature_cost(slot.signature).macs
        feeding = (slots[place - 1].name,) if place else ()
        needed.update(feeding if slot.inputs is None else slot.inputs)
    return total


def macs_of_exits(
    slots: Sequence[Slot], maps: Sequence[Map], latents: Latents, num_classes: int
) -> list[int]:
    """Multiply-adds of an image that leaves at each exit, the network's own answer last.

    Args:
        slots: Of the network.
        maps: That the exits look at.
        latents: Sizes of the branch.
        num_classes: Outputs of each exit.
    """
    branch = latents.macs(maps, num_classes)
    trunk = [macs_of_slot(slots, of_map.slot) for of_map in maps]
    own = [network + exits for network, exits in zip(trunk, branch, strict=True)]
    return [*own, macs_of_slot(slots, slots[-1].name) + branch[-1]]


class Tapped(nn.Module):
    """A network that also gives maps.

    Args:
        network: Of slots.
        maps: Which.
    """

    def __init__(self, network: PlainNetwork, maps: Sequence[Map]) -> None:
        super().__init__()
        self.network = network
        self._slots = [of_map.slot for of_map in maps]

    def forward(self, x_BCHW: Tensor) -> tuple[Tensor, ...]:
        """The maps, (B, C, H, W) each, and then the logits, (B, K)."""
        made: dict[str, Tensor] = {}
        with _watched(self.network, self._slots, made.__setitem__):
            logits_BK = self.network(x_BCHW)
        return (*(made[slot] for slot in self._slots), logits_BK)


class Stage(nn.Module):
    """What the latents do after a stage: read its map, then mix their channels.

    With one head the matrices of queries and keys are one, and so are those of values and of what
    follows: positions are their own keys and values.

    Args:
        of_map: That they read.
        latents: Sizes.
        is_first: Whether nothing was read before, so that what they ask is weights.
    """

    def __init__(self, of_map: Map, latents: Latents, *, is_first: bool) -> None:
        super().__init__()
        width, hidden = latents.width, latents.width * latents.expand_ratio
        self._flat = (-1, of_map.width, of_map.positions)
        self._scale = of_map.width**-0.5
        is_pooled = of_map.pooling != (1, 1)
        self.pool = nn.AvgPool2d(of_map.pooling) if is_pooled else nn.Identity()
        self.map_norm = nn.LayerNorm(of_map.width, NORM_EPS)
        self.is_first = is_first
        if is_first:
            self.query = nn.Parameter(torch.zeros(latents.number, of_map.width))
        else:
            self.ask_norm = nn.LayerNorm(width, NORM_EPS)
            self.ask = nn.Linear(width, of_map.width, bias=False)
        self.project = nn.Linear(of_map.width, width, bias=False)
        self.norm = nn.LayerNorm(width, NORM_EPS)
        self.expand = nn.Linear(width, hidden)
        self.act = nn.GELU()
        self.contract = nn.Linear(hidden, width)

    def forward(self, z_BLD: Tensor, x_BCHW: Tensor) -> Tensor:
        """The latents after that, (B, L, D); the first ones that come in are (L, D)."""
        tokens_BTC = self.map_norm(self.pool(x_BCHW).reshape(self._flat).transpose(1, 2))
        queries_BLC = self.query if self.is_first else self.ask(self.ask_norm(z_BLD))
        scores_BLT = (queries_BLC * self._scale) @ tokens_BTC.transpose(1, 2)
        z_BLD = z_BLD + self.project(scores_BLT.softmax(-1) @ tokens_BTC)
        mixed_BLD: Tensor = z_BLD + self.contract(self.act(self.expand(self.norm(z_BLD))))
        return mixed_BLD


class Exits(nn.Module):
    """The classification branch, with fresh weights.

    Args:
        maps: That it looks at, one per exit.
        num_classes: Outputs of each exit.
        latents: Sizes.
        seed: Of the weights.
    """

    def __init__(
        self, maps: Sequence[Map], num_classes: int, latents: Latents, *, seed: int
    ) -> None:
        super().__init__()
        width = latents.width
        self.sizes, self.num_classes = latents, num_classes
        self.latents = nn.Parameter(torch.zeros(latents.number, width))
        self.stages = nn.ModuleList(
            Stage(of_map, latents, is_first=not place) for place, of_map in enumerate(maps)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width, NORM_EPS) for _ in maps)
        self.heads = nn.ModuleList(nn.Linear(width, num_classes) for _ in maps)
        generator = torch.Generator().manual_seed(seed)
        initialise(self, generator)
        for name, parameter in self.named_parameters():
            if name.endswith(("latents", "query")):  # alike, they would ask and stay alike
                nn.init.normal_(parameter, generator=generator)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Logits of every exit, (B, K) each, from the maps, (B, C, H, W) each."""
        z_BLD, answers = self.latents, list[Tensor]()
        for x_BCHW, stage, norm, head in zip(
            maps, self.stages, self.norms, self.heads, strict=True
        ):
            z_BLD = stage(z_BLD, x_BCHW)
            answers.append(head(norm(z_BLD.mean(1))))
        return answers


class Exiting(nn.Module):
    """A network with early exits, all of which answer.

    Args:
        trunk: Gives maps and logits.
        exits: Looks at the maps.
    """

    def __init__(self, trunk: nn.Module, exits: Exits) -> None:
        super().__init__()
        self.trunk, self.exits = trunk, exits

    def forward(self, x_BCHW: Tensor) -> tuple[Tensor, ...]:
        """Logits of the exits in their order, the network's own last; (B, K) each."""
        *maps, logits_BK = self.trunk(x_BCHW)
        return (*self.exits(maps), logits_BK)


@contextmanager
def _watched(
    network: PlainNetwork, slots: Sequence[str], keep: Callable[[str, Tensor], None]
) -> Iterator[None]:
    """In this context what slots make is given to `keep`, with their names."""

    def hook(slot: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda module, read, made: keep(slot, made)

    hooks = [
        network.get_submodule(module_name(slot)).register_forward_hook(hook(slot)) for slot in slots
    ]
    try:
        yield
    finally:
        for each in hooks:
            each.remove()


def _divisor(side: int) -> int:
    """The largest divisor of a side that leaves at least `LEAST_SIDE` of it; 1 if there is none."""
    return max(d for d in range(1, max(1, side // LEAST_SIDE) + 1) if side % d == 0)
