"""Several trained networks become one family: the networks, and mixtures of neighbours in size.

Where two networks have maps of one size, a way leads from the smaller into the larger one: a layer
without activation, 1x1 on maps, that begins as the least-squares solution which makes of the
smaller one's map, for some images, the larger one's. What is learnt with the family is all of it.

Source: Pan et al., Stitchable Neural Networks (2023), sections 3.2 to 3.4: from small to large,
between neighbours in size, at the nearest places; stitches begin by least squares. Departures:
places are paired by their share of the way through all maps of one size; stitches may lose the
channels that the networks on both sides lose; what samples a path in each step is the training
method, and the largest network teaches nothing unless finalists are trained.

Shapes: B batch, C channels, H W space, T tokens, N positions, I channels in, O channels out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from compress.bring.bring import Brought, largest_slots, network_as_brought, space_of
from search_spaces import UserError
from search_spaces.networks.stitched import Stitch, Stitched, anchor_name, part_of
from search_spaces.networks.traced import Part, Traced
from search_spaces.traced._axes import Axis, groups_of, length, renamed
from search_spaces.traced._fragment import CONV, IMAGES, LINEAR, Fragment, Node
from supernets.network import module_name

NAME = "stitched"
MOST_POSITIONS = 20_000
"""Of maps, from which a stitch follows: tens per unknown of an output."""

NODE = "stitch"
INPUT, OUTPUT = "i", "o"
"""What the groups of the two maps are called in a stitch, before their own names."""


def stitched(anchors: Sequence[Brought], images: Sequence[Tensor]) -> Brought:
    """A family of networks, which is brought like one.

    Args:
        anchors: At least two, in any order; the depth of each stays.
        images: Normalised ones, (B, C, H, W) each, by which stitches begin.

    Raises:
        UserError: If they do not fit together.
    """
    ordered = sorted(anchors, key=_macs)
    _refuse_others(ordered)
    networks = [_of_one_depth(anchor) for anchor in ordered]
    weights = {
        f"{anchor_name(number)}_{name}": tensor
        for number, anchor in enumerate(ordered)
        for name, tensor in anchor.weights.items()
    }
    maps = [_maps(anchor, images) for anchor in ordered]
    stitches: list[Stitch] = []
    for number, (small, large) in enumerate(pairwise(networks)):
        for before, imitated in positions(small, large):
            name = f"stitch{len(stitches) + 1}"
            part = _layer(name, number, small.parts[before], large.parts[imitated])
            stitches.append(Stitch(number, before, imitated + 1, part))
            weight_OI, bias_O = least_squares(maps[number][before], maps[number + 1][imitated])
            is_conv = Fragment.of_text(part.fragment).output.op == CONV
            weights[f"{name}.{NODE}.weight"] = weight_OI[..., None, None] if is_conv else weight_OI
            weights[f"{name}.{NODE}.bias"] = bias_O
    if not stitches:
        raise UserError(
            "the models have no maps of one size, so no way leads from one into another. Give "
            "models of one family, such as two widths or depths of it."
        )
    largest = ordered[-1]
    network = Stitched(
        resolution=largest.network.resolution,
        channels=largest.network.channels,
        num_classes=largest.network.num_classes,
        anchors=tuple(networks),
        stitches=tuple(stitches),
    )
    left_alone = dict.fromkeys(each for anchor in ordered for each in anchor.left_alone)
    notes = tuple(f"{anchor.name}: {note}" for anchor in ordered for note in anchor.notes)
    return Brought(NAME, network, weights, tuple(left_alone), largest.input, notes)


def positions(small: Traced, large: Traced) -> list[tuple[int, int]]:
    """Pairs of parts of which the larger network's may be imitated by the smaller one's.

    Both give maps of one size. Of all parts that give such maps, every one has a partner at the
    nearest share of the way; no pair is there twice.
    """
    found: set[tuple[int, int]] = set()
    of_large = _by_size(large)
    for size, ours in _by_size(small).items():
        theirs = of_large.get(size, [])
        if theirs:
            found |= {(ours[_near(b, theirs, ours)], part) for b, part in enumerate(theirs)}
            found |= {(part, theirs[_near(a, ours, theirs)]) for a, part in enumerate(ours)}
    return sorted(found)


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


def _of_one_depth(anchor: Brought) -> Traced:
    """The network, of which all blocks are used."""
    assert isinstance(anchor.network, Traced)
    return replace(anchor.network, stages=())


def _by_size(network: Traced) -> dict[tuple[int, ...], list[int]]:
    """Numbers of the parts that give maps or tokens, by their number of axes and sizes."""
    found: dict[tuple[int, ...], list[int]] = {}
    for number, part in enumerate(network.parts[:-1]):
        fragment = Fragment.of_text(part.fragment)
        axes = fragment.output.axes
        if len(axes) in (3, 4):
            others = [axis for place, axis in enumerate(axes) if place not in (0, _channels(axes))]
            size = (len(axes), *(length(axis, dict(fragment.groups)) for axis in others))
            found.setdefault(size, []).append(number)
    return found


def _near(place: int, ours: Sequence[int], theirs: Sequence[int]) -> int:
    """The place among theirs at the same share of the way as one among ours."""
    return max(0, round((place + 1) * len(theirs) / len(ours)) - 1)


def _channels(axes: tuple[Axis, ...]) -> int:
    """Which axis are channels: of a map the second one, of tokens the last one."""
    return 1 if len(axes) == 4 else 2


def _layer(name: str, number: int, before: Part, imitated: Part) -> Part:
    """A stitch from one part's map to another part's, whose groups keep their names."""
    small, large = (Fragment.of_text(part.fragment) for part in (before, imitated))
    inputs, outputs = _own_names(small, INPUT), _own_names(large, OUTPUT)
    axes = tuple(renamed(axis, inputs) for axis in small.output.axes)
    place = _channels(axes)
    made = renamed(large.output.axes[place], outputs)
    weights: dict[str, tuple[Axis, ...]] = {"weight": (made, axes[place]), "bias": (made,)}
    settings: dict[str, Any] = {}
    if len(axes) == 4:
        weights["weight"] += ((), ())
        settings = {
            "kernel_size": [1, 1],
            "stride": [1, 1],
            "padding": [0, 0],
            "dilation": [1, 1],
            "groups": 1,
        }
    node = Node(
        NODE,
        CONV if len(axes) == 4 else LINEAR,
        (IMAGES,),
        tuple(made if i == place else axis for i, axis in enumerate(axes)),
        weights,
        settings,
    )
    used = set().union(*map(groups_of, (*axes, made)))
    groups: dict[str, int] = {}
    multiples: dict[str, int] = {}
    network_names: list[str] = []
    for part, fragment, names in (
        (part_of(number, before), small, inputs),
        (part_of(number + 1, imitated), large, outputs),
    ):
        for own, in_network in zip(fragment.groups, part.groups, strict=True):
            if names[own] in used:
                groups[names[own]] = fragment.groups[own]
                multiples[names[own]] = fragment.multiples[own]
                network_names.append(in_network)
    text = Fragment((node,), axes, groups, multiples).text
    return Part(name, text, tuple(network_names))


def _own_names(fragment: Fragment, prefix: str) -> Mapping[str, str]:
    return {group: f"{prefix}{group}" for group in fragment.groups}


@torch.no_grad()
def _maps(anchor: Brought, images: Sequence[Tensor]) -> list[Tensor]:
    """Of every part what it gives for the images, at some positions, channels last: (N, C)."""
    network = network_as_brought(largest_slots(space_of(anchor)), anchor.weights)
    found: list[list[Tensor]] = [[] for _ in anchor.network.parts]
    hooks = [
        network.get_submodule(module_name(part.name)).register_forward_hook(partial(_keep, rows))
        for part, rows in zip(anchor.network.parts, found, strict=True)
    ]
    for images_BCHW in images:
        network(images_BCHW)
    for hook in hooks:
        hook.remove()
    return [_some(torch.cat(rows)) for rows in found]


def _keep(rows: list[Tensor], module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
    rows.append(_rows(output))


def _rows(output: Tensor) -> Tensor:
    """Positions of all images one below the other: (N, C)."""
    last = output.permute(0, 2, 3, 1) if output.ndim == 4 else output
    return last.reshape(-1, last.shape[-1])


def _some(rows_NC: Tensor) -> Tensor:
    return rows_NC[:: max(1, len(rows_NC) // MOST_POSITIONS)]


def _macs(anchor: Brought) -> float:
    space = space_of(anchor)
    assert space.costs is not None
    return float(space.costs.of("macs", np.zeros((1, len(space.choices)), int))[0])


def _refuse_others(anchors: Sequence[Brought]) -> None:
    """See that networks read the same images and answer alike.

    Raises:
        UserError: Naming the first one that does not.
    """
    if len(anchors) < 2:
        raise UserError("a family has at least two models. Give another one.")
    first = anchors[0]
    for other in anchors:
        if not isinstance(other.network, Traced):
            raise UserError(
                f"model '{other.name}' is a family already. Give the models that it is made of."
            )
        for name in ("resolution", "channels", "num_classes"):
            one, another = (getattr(anchor.network, name) for anchor in (first, other))
            if one != another:
                raise UserError(
                    f"models '{first.name}' and '{other.name}' differ in {name}: {one} and "
                    f"{another}. Give models for the same images and classes."
                )
        for name in ("mean", "std"):
            one, another = (getattr(anchor.input, name) for anchor in (first, other))
            if one != another:
                raise UserError(
                    f"models '{first.name}' and '{other.name}' differ in the {name} that they take "
                    f"from images: {one or 'none'} and {another or 'none'}. Give models that were "
                    "trained with one normalisation."
                )
