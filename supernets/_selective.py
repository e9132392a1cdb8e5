"""Selective scans: what state space blocks of several papers have in common.

Source: Gu and Dao, Mamba: Linear-Time Sequence Modeling with Selective State Spaces (2023),
algorithm 2; Liu et al., VMamba: Visual State Space Model (2024), for what stands around it.

Tokens may be left out: Zhan et al., Exploring Token Pruning in Vision State Space Models (2024).
The state decays at their places as it would have, so it is what it is where they have no input;
their outputs say which matter least. Departures: they are left out of a scan, not of what follows,
so maps stay whole, and a token that is left out keeps what it skips by; its output is that which it
would have alone, since states are what is to be saved, by its absolute value instead of what is
above 0; each sequence leaves out its own.

Shapes: B batch, H W space, L tokens, M of them that are scanned, S sequences, D channels, N states
of a channel, R rank.
"""

import math
from collections.abc import Sequence
from typing import Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces import Option, Signature
from search_spaces._scans import EXPANSION, num_scanned
from search_spaces._sides import Sides
from supernets._elastic import AbstractElastic, Axes, Index
from supernets._heads import stacked
from supernets._scan import Recurrence
from supernets.criteria._base import GroupWeights

LEAST_STEP, MOST_STEP = 0.001, 0.1
"""Between these the steps of fresh weights lie, evenly on a logarithmic scale."""

Order = Literal["rows", "columns", "rows reversed", "columns reversed"]
"""In which positions of a map are scanned."""

ORDERS: tuple[Order, ...] = ("rows", "columns", "rows reversed", "columns reversed")


@final
class SelectiveScan(nn.Module):
    """h[t] = exp(step[t] A) h[t - 1] + step[t] B[t] x[t], of which C[t] h[t] + skip x[t] is given.

    Steps, B and C are linear in the token.

    Args:
        tokens: L.
        sequences: S; each has parameters of its own.
        channels: D.
        states: N.
        rank: R: channels between a token and its steps.
        share: Of the tokens that give the state an input; at the others it decays.
    """

    def __init__(
        self,
        tokens: int,
        sequences: int,
        channels: int,
        states: int,
        rank: int,
        *,
        share: Option = 1,
    ) -> None:
        super().__init__()
        self.tokens, self.sequences, self.channels = tokens, sequences, channels
        self.states, self.rank, self.scanned = states, rank, num_scanned(tokens, share)
        names = [str(place) for place in range(sequences)]
        self.select = nn.ModuleDict(
            {name: nn.Linear(channels, rank + 2 * states, bias=False) for name in names}
        )
        self.step = nn.ModuleDict({name: nn.Linear(rank, channels, bias=False) for name in names})
        logs = torch.empty(sequences, channels).uniform_(math.log(LEAST_STEP), math.log(MOST_STEP))
        self.step_bias = nn.Parameter(logs.exp().expm1().log())  # the inverse of softplus
        decays_N = torch.arange(1.0, states + 1).log()
        self.decay_log = nn.Parameter(decays_N.repeat(sequences, channels, 1))
        self.skip = nn.Parameter(torch.ones(sequences, channels))
        self.recurrence = Recurrence(self.scanned, sequences * channels, states, states)

    def forward(self, sequences: Sequence[Tensor]) -> Tensor:
        """(B, L, S, D).

        Args:
            sequences: S of (B, L, D).
        """
        parts = [self.rank, self.states, self.states]
        selected = [
            layer(x_BLD).split(parts, -1)
            for layer, x_BLD in zip(self.select.values(), sequences, strict=True)
        ]
        steps = [layer(selected[place][0]) for place, layer in enumerate(self.step.values())]
        step_BLSD = F.softplus(self._beside(steps, self.channels) + self.step_bias)
        x_BLSD = self._beside(sequences, self.channels)
        inputs_BLSN = self._beside([part[1] for part in selected], self.states)
        outputs_BLSN = self._beside([part[2] for part in selected], self.states)
        if self.scanned == self.tokens:
            read_BLSD = self._read(step_BLSD, step_BLSD * x_BLSD, inputs_BLSN, outputs_BLSN)
            return read_BLSD + x_BLSD * self.skip
        kept_BMS = self._most_important(x_BLSD, step_BLSD, inputs_BLSN, outputs_BLSN)
        # What is left out has no input, but the state decays there: steps add up.
        each = [step_BLSD.cumsum(1), step_BLSD * x_BLSD, inputs_BLSN, outputs_BLSN]
        sizes = [self.channels, self.channels, self.states, self.states]
        # NOTE: repeated by an addition, because the size of a Tile is not known in a file.
        kept = kept_BMS.unsqueeze(-1) + kept_BMS.new_zeros(sum(sizes))
        taken = torch.cat(each, -1).gather(1, kept).split(sizes, -1)
        until_BMSD, input_BMSD, inputs_BMSN, outputs_BMSN = taken
        step_BMSD = self._between(until_BMSD)
        read_BMSD = self._read(step_BMSD, input_BMSD, inputs_BMSN, outputs_BMSN)
        own_BLSD = x_BLSD * self.skip
        places, _ = kept.split([self.channels, sum(sizes[1:])], -1)
        return own_BLSD.scatter_add(1, places, read_BMSD)

    def _read(
        self, step_BMSD: Tensor, input_BMSD: Tensor, inputs_BMSN: Tensor, outputs_BMSN: Tensor
    ) -> Tensor:
        """What M tokens read of the states after them, (B, M, S, D).

        Args:
            step_BMSD: How long the state has decayed since the token before.
            input_BMSD: The token times its own step.
            inputs_BMSN: B of the definition.
            outputs_BMSN: C of it.
        """
        log_BMSDN = step_BMSD.unsqueeze(-1) * -self.decay_log.exp()
        u_BMSDN = input_BMSD.unsqueeze(-1) * inputs_BMSN.unsqueeze(-2)
        flat = -1, self.scanned, self.sequences * self.channels, self.states
        states = self.recurrence(log_BMSDN.reshape(*flat), u_BMSDN.reshape(*flat))
        states_BMSDN = states.reshape(*flat[:2], self.sequences, self.channels, self.states)
        return (states_BMSDN @ outputs_BMSN.unsqueeze(-1)).squeeze(-1)

    def _between(self, until_BMSD: Tensor) -> Tensor:
        """What is added from each of M to the next: the inverse of a sum over all before."""
        if self.scanned == 1:
            return until_BMSD
        others = self.scanned - 1
        first_B1SD, later_BMSD = until_BMSD.split([1, others], 1)
        earlier_BMSD, _ = until_BMSD.split([others, 1], 1)
        return torch.cat([first_B1SD, later_BMSD - earlier_BMSD], 1)

    def _most_important(
        self, x_BLSD: Tensor, step_BLSD: Tensor, inputs_BLSN: Tensor, outputs_BLSN: Tensor
    ) -> Tensor:
        """Places of the tokens whose own outputs are the largest, in their order: (B, M, S)."""
        matched_BLS1 = (inputs_BLSN * outputs_BLSN).sum(-1, keepdim=True)
        own_BLSD = x_BLSD * (step_BLSD * matched_BLS1 + self.skip)
        places_BMS = own_BLSD.abs().mean(-1).topk(self.scanned, 1).indices
        return places_BMS.topk(self.scanned, 1, largest=False).values

    def _beside(self, parts: Sequence[Tensor], channels: int) -> Tensor:
        """One of each sequence, (B, L, channels), as (B, L, S, channels): a node less per part."""
        together = torch.cat(list(parts), -1)
        return together.reshape(-1, self.tokens, self.sequences, channels)


def scan_axes(name: str, most_sequences: int, role: str = "") -> Axes:
    """Roles of the axes of a `SelectiveScan` called `name`.

    Args:
        name: In the plain module.
        most_sequences: Of any member.
        role: What the names of its roles begin with, where there are several scans.
    """
    sequences, inner, states = f"{role}sequences", f"{role}inner", f"{role}states"
    found: dict[str, tuple[str | None, ...]] = {
        f"{name}.step_bias": (sequences, inner),
        f"{name}.decay_log": (sequences, inner, states),
        f"{name}.skip": (sequences, inner),
    }
    for place in range(most_sequences):
        found[f"{name}.select.{place}.weight"] = (f"{role}selected{place}", inner)
        found[f"{name}.step.{place}.weight"] = (f"{role}stepped{place}", f"{role}rank")
    return found


def scan_sizes(
    full: SelectiveScan | None,
    most_sequences: int,
    *,
    sequences: int,
    inner: Index,
    states: int,
    rank: int,
    role: str = "",
) -> dict[str, Index]:
    """How much of each role of `scan_axes` a member uses.

    Args:
        full: The largest one; None if there is none.
        most_sequences: Of any member.
        sequences: Of this one, as its other sizes.
        inner: Which channels.
        states: Of each channel.
        rank: Of its steps.
        role: As in `scan_axes`.
    """
    found: dict[str, Index] = {
        f"{role}sequences": sequences,
        f"{role}inner": inner if sequences else 0,
        f"{role}states": states,
        f"{role}rank": rank,
    }
    selected: Index = 0
    if full is not None:
        parts = (0, rank), (full.rank, states), (full.rank + full.states, states)
        selected = torch.cat([torch.arange(start, start + size) for start, size in parts])
        selected = selected.to(full.skip.device)
    for place in range(most_sequences):
        is_there = place < sequences
        found[f"{role}selected{place}"] = selected if is_there else 0
        found[f"{role}stepped{place}"] = inner if is_there else 0
    return found


def unrolled(x_BHWD: Tensor, size: Sides, channels: int, order: Order) -> Tensor:
    """A map's positions in this order: (B, L, D)."""
    if order.startswith("columns"):
        x_BHWD = x_BHWD.transpose(1, 2)
    x_BLD = x_BHWD.reshape(-1, math.prod(size), channels)
    return x_BLD.flip(1) if order.endswith("reversed") else x_BLD


def rolled(y_BLD: Tensor, size: Sides, channels: int, order: Order) -> Tensor:
    """The inverse of `unrolled`: (B, H, W, D)."""
    if order.endswith("reversed"):
        y_BLD = y_BLD.flip(1)
    if order.startswith("columns"):
        return y_BLD.reshape(-1, *size[::-1], channels).transpose(1, 2)
    return y_BLD.reshape(-1, *size, channels)


@final
class StateSpace(nn.Module):
    """Half of an expansion is scanned, the other half gates what comes of it; then a projection.

    Args:
        width: Channels of the map.
        inner: Channels that are scanned.
        scan: Of maps (B, H, W, inner), with the norm behind it.
    """

    def __init__(self, width: int, inner: int, scan: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.expand = nn.Linear(width, 2 * inner, bias=False)
        self.scan = scan
        self.project = nn.Linear(inner, width, bias=False)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """The shape that came in."""
        scanned_BHWD, gate_BHWD = self.expand(x_BHWC).split([self.inner, self.inner], -1)
        output: Tensor = self.project(self.scan(scanned_BHWD) * F.silu(gate_BHWD))
        return output


def space_axes(name: str) -> Axes:
    """Roles of the axes of a `StateSpace` called `name`, but for its scan."""
    return {
        f"{name}.expand.weight": ("expanded", "width"),
        f"{name}.project.weight": ("width", "inner"),
    }


def space_sizes(
    family: AbstractElastic, full: StateSpace, signature: Signature
) -> dict[str, Index]:
    """How much of the roles "inner" and "expanded" a member uses.

    Args:
        family: Whose prunable group "inner" are the channels that are scanned.
        full: Its largest state space.
        signature: Of the member.
    """
    inner = family.kept("inner", EXPANSION * signature.shape.width, signature)
    device = full.expand.weight.device
    chosen = torch.arange(inner, device=device) if isinstance(inner, int) else inner
    return {"inner": inner, "expanded": stacked(chosen, 2, full.inner)}


def space_weights(full: StateSpace) -> GroupWeights:
    """What the channels that are scanned are ranked by: how they and their gates are made."""
    made_by = torch.cat(full.expand.weight.split(full.inner), dim=1)
    return GroupWeights(made_by, full.project.weight.transpose(0, 1), None, full.inner)
