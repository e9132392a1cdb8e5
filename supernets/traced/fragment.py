"""A fragment of a traced network, plain and with shared weights."""

import json
from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.traced._axes import Axis, axis_to_json, groups_of, length, positions
from search_spaces.traced._fragment import (
    BATCH_NORM,
    CONV,
    IMAGES,
    UPDATE,
    Fragment,
    Node,
    rank_in,
)
from search_spaces.traced.operator import fragment_of, sizes_of
from supernets._elastic import AbstractElastic, Axes, Index
from supernets.criteria._base import GroupWeights
from supernets.traced._factors import FIRST, SECOND, TwoLayers, factors
from supernets.traced._layers import module_of


class PlainFragment(nn.Module):
    """A module per node; weights have the names "<node>.<weight>"."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        self.fragment = fragment_of(signature)
        self.sizes = sizes_of(signature)
        for node in self.fragment.nodes:
            self.add_module(node.name, module_of(node, self.sizes, signature.rank))

    def last_layer(self, node: Node) -> str:
        """Name of the module that gives what a node gives."""
        is_two = isinstance(self.get_submodule(node.name), TwoLayers)
        return f"{node.name}.{SECOND}" if is_two else node.name

    def forward(self, x: Tensor) -> Tensor:
        """What the last node gives."""
        found = {IMAGES: x}
        for node in self.fragment.nodes:
            inputs = (found[name] for name in node.inputs)
            found[node.name] = self.get_submodule(node.name)(*inputs)
        return found[self.fragment.output.name]


@final
class ElasticFragment(AbstractElastic):
    """Every prunable group may lose members."""

    plain: ClassVar[type[nn.Module]] = PlainFragment

    @property
    def prunable(self) -> tuple[str, ...]:  # type: ignore[override]
        """The groups of the fragment."""
        return tuple(self.fragment.groups)

    @cached_property
    def axes(self) -> Axes:  # type: ignore[override]
        """The role of an axis is what it is made of."""
        return {
            f"{node.name}.{weight}": tuple(map(_role, axes))
            for node in self.fragment.nodes
            for weight, axes in node.weights.items()
        }

    @property
    def fragment(self) -> Fragment:
        """What is shared."""
        return self._plain.fragment

    @property
    def groups(self) -> dict[str, int]:
        """Members of every group that the shared weights have."""
        return self._plain.sizes

    @property
    def _plain(self) -> PlainFragment:
        full = self.full
        assert isinstance(full, PlainFragment)
        return full

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Of every axis what remains: all of it, or these members."""
        groups = self.groups
        kept: dict[str, np.ndarray] = {}
        for name, size in groups.items():
            index = self.kept(name, size, signature)
            if isinstance(index, Tensor):
                kept[name] = index.cpu().numpy()
        if not kept:
            return {role: length(axis, groups) for role, axis in self._by_role.items()}
        device = next(self.full.parameters()).device
        return {role: _index(axis, groups, kept, device) for role, axis in self._by_role.items()}

    def group_weights(self) -> dict[str, GroupWeights]:
        """The rows that make each member, and the columns that read it.

        Layers with updates have no say: what they read and make is made and read by others, too.
        """
        return {group: self._weights_of(group) for group in self.groups}

    @cached_property
    def _by_role(self) -> dict[str, Axis]:
        weights = (axes for node in self.fragment.nodes for axes in node.weights.values())
        return {role: axis for axes in weights for axis in axes if (role := _role(axis))}

    def _weights_of(self, group: str) -> GroupWeights:
        made, read, scales = [], [], []
        for node in self.fragment.nodes:
            if "weight" not in node.weights or UPDATE in node.settings:
                continue
            weight = self.full.get_parameter(f"{node.name}.weight")
            axes = node.weights["weight"]
            if node.op == BATCH_NORM:
                scales += self._members(weight, axes, 0, group)
            elif len(axes) > 1:
                made += self._members(weight, axes, 0, group)
                read += self._members(weight, axes, 1, group)
        size = self.groups[group]
        nothing = next(self.full.parameters()).new_zeros(size, 0)
        return GroupWeights(
            made_by=torch.cat(made, 1) if made else nothing,
            read_by=torch.cat(read, 1) if read else nothing,
            scale=torch.cat(scales, 1) if scales else None,
            num_members=size,
        )

    def _members(
        self, weight: Tensor, axes: tuple[Axis, ...], axis: int, group: str
    ) -> list[Tensor]:
        """What of a weight belongs to each member of a group: (members, values), or nothing."""
        place_MN = self._places.get((axes[axis], group))
        if place_MN is None:
            return []
        places = place_MN.flatten().to(weight.device)
        rows = weight.index_select(axis, places).movedim(axis, 0)
        return [rows.reshape(len(place_MN), -1)]

    @cached_property
    def _places(self) -> dict[tuple[Axis, str], Tensor]:
        """Where the members of a group are on an axis of a weight, (members, of each)."""
        groups = self.groups
        pairs = {(axis, group) for axis in self._by_role.values() for group in groups_of(axis)}
        return {
            (axis, group): torch.from_numpy(
                np.stack(
                    [positions(axis, groups, {group: np.array([i])}) for i in range(groups[group])]
                )
            )
            for axis, group in pairs
        }


def factored_state(signature: Signature, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """State of the plain fragment of a signature, of that of full rank."""
    found, sizes = dict(state), sizes_of(signature)
    for node in fragment_of(signature).nodes:
        inner = rank_in(node, sizes, signature.rank)
        if inner is None:
            continue
        first, second = factors(found.pop(f"{node.name}.weight"), inner)
        found |= {f"{node.name}.{FIRST}.weight": first, f"{node.name}.{SECOND}.weight": second}
        if "bias" in node.weights:
            found[f"{node.name}.{SECOND}.bias"] = found.pop(f"{node.name}.bias")
    return found


def foldable(fragment: Fragment) -> list[tuple[Node, Node]]:
    """Convolutions with the batch norms that alone read them."""
    by_name = {node.name: node for node in fragment.nodes}
    readers: dict[str, list[Node]] = {}
    for node in fragment.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    return [
        (by_name[node.inputs[0]], node)
        for node in fragment.nodes
        if node.op == BATCH_NORM
        and node.inputs[0] in by_name
        and by_name[node.inputs[0]].op == CONV
        and len(readers[node.inputs[0]]) == 1
    ]


def _role(axis: Axis) -> str | None:
    """None for an axis of which nothing may go."""
    return json.dumps(axis_to_json(axis)) if groups_of(axis) else None


def _index(
    axis: Axis, groups: Mapping[str, int], kept: Mapping[str, np.ndarray], device: torch.device
) -> Index:
    if not groups_of(axis) & kept.keys():
        return length(axis, groups)
    return torch.from_numpy(positions(axis, groups, kept)).to(device)
