"""Several trained networks become one family: the networks, and mixtures of neighbours in size.

Where two networks have maps of one size, a way leads from the smaller into the larger one, or also
back: a layer without activation, 1x1 on maps, that begins as the least-squares solution which makes
of the one's map, for some images, the other's. What is learnt with the family is all of it, or an
update of low rank beside the solution, which is then frozen.

Sources: Pan et al., Stitchable Neural Networks (2023), sections 3.2 to 3.4: from small to large,
between neighbours in size, at the nearest places; stitches begin by least squares. Pan et al.,
Stitched ViTs are Flexible Vision Backbones (2024): both ways, into a neighbour and back, updates of
low rank; its sampling by multiply-adds is `supernets/methods/cost_bins.py`. Departures: places are
paired by their share of the way through all maps of one size; stitches may lose the channels that
the networks on both sides lose; what samples a path in each step is the training method, and the
largest network teaches nothing unless finalists are trained; updates are not scaled, and biases
are learnt beside them.

Shapes: B batch, C channels, H W space, T tokens, N positions.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from compress.bring._stitch_layer import channels_axis, first_weights, stitch_layer
from compress.bring.bring import Brought, largest_slots, network_as_brought, space_of
from search_spaces import UserError
from search_spaces.networks.stitched import Stitch, Stitched, anchor_name
from search_spaces.networks.traced import Traced
from search_spaces.traced._axes import length
from search_spaces.traced._fragment import Fragment
from supernets.network import module_name

NAME = "stitched"
MOST_POSITIONS = 20_000
"""Of maps, from which a stitch follows: tens per unknown of an output."""


def stitched(
    anchors: Sequence[Brought],
    images: Sequence[Tensor],
    *,
    is_two_way: bool = False,
    update_rank: int = 0,
) -> Brought:
    """A family of networks, which is brought like one.

    Args:
        anchors: At least two, in any order; the depth of each stays.
        images: Normalised ones, (B, C, H, W) each, by which stitches begin.
        is_two_way: Whether ways lead from larger networks into smaller ones, too, and back.
        update_rank: Of what is learnt beside stitches that stay as they begin; 0 if all of a
            stitch is learnt.

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
    for first, second, before, imitated in _ways(networks, is_two_way=is_two_way):
        name = f"stitch{len(stitches) + 1}"
        ends = (first, networks[first].parts[before]), (second, networks[second].parts[imitated])
        part = stitch_layer(name, *ends, update_rank=update_rank)
        rng = torch.Generator().manual_seed(len(stitches))
        weights |= first_weights(part, maps[first][before], maps[second][imitated], rng)
        stitches.append(Stitch(first, before, imitated + 1, part, second))
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


def _ways(networks: Sequence[Traced], *, is_two_way: bool) -> list[tuple[int, int, int, int]]:
    """Of every stitch the numbers of two networks, a part of the first, and one it imitates."""
    found: list[tuple[int, int, int, int]] = []
    for number, (small, large) in enumerate(pairwise(networks)):
        pairs = positions(small, large)
        if is_two_way:
            pairs = uncrossed(pairs)
        found += [(number, number + 1, ours, theirs) for ours, theirs in pairs]
        if is_two_way:
            found += [(number + 1, number, theirs, ours) for ours, theirs in pairs]
    return found


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


def uncrossed(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those of sorted pairs that no earlier one crosses: who goes there and back goes forward."""
    found: list[tuple[int, int]] = []
    for ours, theirs in pairs:
        if all(other <= theirs for own, other in found if own < ours):
            found.append((ours, theirs))
    return found


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
            others = [
                axis for place, axis in enumerate(axes) if place not in (0, channels_axis(axes))
            ]
            size = (len(axes), *(length(axis, dict(fragment.groups)) for axis in others))
            found.setdefault(size, []).append(number)
    return found


def _near(place: int, ours: Sequence[int], theirs: Sequence[int]) -> int:
    """The place among theirs at the same share of the way as one among ours."""
    return max(0, round((place + 1) * len(theirs) / len(ours)) - 1)


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
