"""The layer that a stitch is, and the weights that it begins with.

Shapes: N positions, I channels in, O channels out, R rank of an update.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from search_spaces.networks.stitched import part_of
from search_spaces.networks.traced import Part
from search_spaces.traced._axes import Axis, groups_of, length, renamed
from search_spaces.traced._fragment import CONV, DOWN, IMAGES, LINEAR, UP, UPDATE, Fragment, Node
from supernets.traced._updated import first_factor

NODE = "stitch"
INPUT, OUTPUT = "i", "o"
"""What the groups of the two maps are called in a stitch, before their own names."""

Place = tuple[int, Part]
"""Number of an anchor, and a part of it."""


def stitch_layer(name: str, before: Place, imitated: Place, *, update_rank: int) -> Part:
    """A stitch from one part's map to another part's, whose groups keep their names.

    Args:
        name: Of the slot.
        before: What it reads.
        imitated: What gives such a map as it makes.
        update_rank: Of what is learnt beside a frozen weight, unless fewer channels come or go;
            0 if all of it is learnt.
    """
    ends = [
        (number, part, Fragment.of_text(part.fragment), prefix)
        for (number, part), prefix in ((before, INPUT), (imitated, OUTPUT))
    ]
    axes, made_axes = (
        tuple(renamed(axis, _own_names(fragment, prefix)) for axis in fragment.output.axes)
        for _, _, fragment, prefix in ends
    )
    place = channels_axis(axes)
    made = made_axes[place]
    used = set().union(*map(groups_of, (*axes, made)))
    groups: dict[str, int] = {}
    multiples: dict[str, int] = {}
    network_names: list[str] = []
    for number, part, fragment, prefix in ends:
        names = _own_names(fragment, prefix)
        of_network = part_of(number, part).groups
        for own, in_network in zip(fragment.groups, of_network, strict=True):
            if names[own] in used:
                groups[names[own]] = fragment.groups[own]
                multiples[names[own]] = fragment.multiples[own]
                network_names.append(in_network)
    rank = min(update_rank, length(axes[place], groups), length(made, groups))
    fragment = Fragment((_node(axes, made, place, rank),), axes, groups, multiples)
    return Part(name, fragment.text, tuple(network_names))


def first_weights(
    stitch: Part, before_NI: Tensor, after_NO: Tensor, rng: torch.Generator
) -> dict[str, Tensor]:
    """What a stitch begins with, by "<slot>.<node>.<weight>": the solution of least squares.

    Args:
        stitch: Of `stitch_layer`.
        before_NI: What it reads, for some images.
        after_NO: What it is to make of that.
        rng: Draws the factor of an update that reads; the one that makes is 0.
    """
    weight_OI, bias_O = least_squares(before_NI, after_NO)
    node = Fragment.of_text(stitch.fragment).output
    weight = weight_OI[..., None, None] if node.op == CONV else weight_OI
    found = {"weight": weight, "bias": bias_O}
    if rank := node.settings.get(UPDATE, 0):
        outputs, inputs = weight_OI.shape
        found |= {DOWN: first_factor(rank, inputs, rng), UP: torch.zeros(outputs, rank)}
    return {f"{stitch.name}.{NODE}.{name}": tensor for name, tensor in found.items()}


@torch.no_grad()
def least_squares(before_NI: Tensor, after_NO: Tensor) -> tuple[Tensor, Tensor]:
    """Weight, (O, I), and bias, (O,), that make most nearly the second map of the first one.

    The smallest such ones, because channels may be 0 everywhere or follow from others.
    """
    rows = before_NI.double()
    rows = torch.cat((rows, rows.new_ones(len(rows), 1)), 1)
    # NOTE: not `lstsq`, whose driver for such channels was off by a third of a map that it could
    # have made exactly.
    q, r = torch.linalg.qr(rows)
    solution = torch.linalg.pinv(r) @ (q.T @ after_NO.double())
    return solution[:-1].T.float().contiguous(), solution[-1].float()


def channels_axis(axes: tuple[Axis, ...]) -> int:
    """Which axis are channels: of a map the second one, of tokens the last one."""
    return 1 if len(axes) == 4 else 2


def _node(axes: tuple[Axis, ...], made: Axis, place: int, update_rank: int) -> Node:
    """The convolution or linear layer.

    Args:
        axes: Of what it reads.
        made: Of the channels that it makes.
        place: Which of `axes` channels are.
        update_rank: Of what is learnt beside a frozen weight; 0 if all of it is learnt.
    """
    read, is_map = axes[place], len(axes) == 4
    weights: dict[str, tuple[Axis, ...]] = {"weight": (made, read), "bias": (made,)}
    settings: dict[str, Any] = {}
    if is_map:
        weights["weight"] += ((), ())
        settings = {
            "kernel_size": [1, 1],
            "stride": [1, 1],
            "padding": [0, 0],
            "dilation": [1, 1],
            "groups": 1,
        }
    if update_rank:
        weights |= {UP: (made, (update_rank,)), DOWN: ((update_rank,), read)}
        settings[UPDATE] = update_rank
    given = tuple(made if number == place else axis for number, axis in enumerate(axes))
    return Node(NODE, CONV if is_map else LINEAR, (IMAGES,), given, weights, settings)


def _own_names(fragment: Fragment, prefix: str) -> Mapping[str, str]:
    return {group: f"{prefix}{group}" for group in fragment.groups}
