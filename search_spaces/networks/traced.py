"""A network that a user brought: one architecture, whose choices are what is left of it and how.

Its graph is cut into fragments, one per slot, where a single tensor goes from one to the next. A
prunable group that several fragments share, such as the channels of a residual stream, is one
choice.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

from search_spaces._choice import Choice, Option, Options
from search_spaces._precision import FULL_PRECISION
from search_spaces._sides import Sides
from search_spaces._slot import Shape, Signature
from search_spaces.networks._base import NETWORKS, AbstractNetwork, SlotRule
from search_spaces.traced._axes import BATCH, Axis, length
from search_spaces.traced._fragment import Fragment
from search_spaces.traced.operator import FRAGMENT


@dataclass(frozen=True)
class Part:
    """A slot's fragment.

    Attributes:
        name: Of the slot: the module that it is, such as "layer1.0".
        fragment: Its text.
        groups: For the fragment's groups, in their order, the names that they have in the network.
    """

    name: str
    fragment: str
    groups: tuple[str, ...]


@final
@NETWORKS.register
@dataclass(frozen=True, kw_only=True)
class Traced(AbstractNetwork):
    """Fragments in a row.

    Attributes:
        resolution: Side of the images, pixels.
        channels: Channels of the images.
        num_classes: Outputs.
        parts: In the order in which data flows.
        choices: For every group of the network the choice that decides about it, without
            ".sparsity"; several may have the same.
    """

    resolution: int
    channels: int
    num_classes: int
    parts: tuple[Part, ...]
    choices: tuple[tuple[str, str], ...]

    def arch_choices(self) -> tuple[Choice, ...]:
        """None: the architecture is given."""
        return ()

    def policy_choices(
        self, precisions: tuple[str, ...], sparsities: tuple[float, ...]
    ) -> tuple[Choice, ...]:
        """One sparsity per group or several that go together, one precision per slot."""
        found = [Choice(f"{name}.sparsity", sparsities) for name in self._choosers]
        return (*found, *(Choice(f"{part.name}.precision", precisions) for part in self.parts))

    def slot_rules(self) -> tuple[SlotRule, ...]:
        """A slot per fragment."""
        return tuple(
            SlotRule(part.name, (*self._deciders(part), f"{part.name}.precision"), ())
            for part in self.parts
        )

    def reads(self, operator: str) -> tuple[str, ...]:
        """None: fragments are given."""
        return ()

    def signature(self, slot: str, options: Mapping[str, Option]) -> Signature:
        """The slot's fragment, with what remains of its groups."""
        part = self._by_name[slot]
        fragment = Fragment.of_text(part.fragment)
        chosen = dict(self.choices)
        kept: dict[str, int] = {}
        for (own, group), name in zip(fragment.prunable.items(), part.groups, strict=True):
            sparsity = options.get(f"{chosen[name]}.sparsity", 0.0)
            assert isinstance(sparsity, int | float)
            kept[own] = group.kept(sparsity)
        return Signature(
            FRAGMENT,
            shape_of(fragment, kept),
            Options({FRAGMENT: part.fragment}),
            Options(kept),
            str(options.get(f"{slot}.precision", FULL_PRECISION)),
        )

    def shared_groups(self) -> dict[tuple[str, str], str]:
        """By slot and its own name of a group, the network's."""
        return {
            (part.name, own): name
            for part in self.parts
            for own, name in zip(Fragment.of_text(part.fragment).groups, part.groups, strict=True)
        }

    def to_json(self) -> dict[str, Any]:
        """Everything `from_json` needs."""
        texts = list(dict.fromkeys(part.fragment for part in self.parts))
        parts = [
            {"name": p.name, "fragment": texts.index(p.fragment), "groups": p.groups}
            for p in self.parts
        ]
        sizes = {name: getattr(self, name) for name in ("resolution", "channels", "num_classes")}
        return {**sizes, "fragments": texts, "parts": parts, "choices": dict(self.choices)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Traced":
        """The inverse of `to_json`."""
        texts = document["fragments"]
        parts = tuple(
            Part(row["name"], texts[row["fragment"]], tuple(row["groups"]))
            for row in document["parts"]
        )
        sizes = {name: document[name] for name in ("resolution", "channels", "num_classes")}
        return cls(parts=parts, choices=tuple(document["choices"].items()), **sizes)

    @cached_property
    def _by_name(self) -> dict[str, Part]:
        return {part.name: part for part in self.parts}

    @cached_property
    def _choosers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for _, name in self.choices))

    def _deciders(self, part: Part) -> tuple[str, ...]:
        chosen = dict(self.choices)
        names = dict.fromkeys(chosen[group] for group in part.groups)
        return tuple(f"{name}.sparsity" for name in names)


def shape_of(fragment: Fragment, kept: Mapping[str, int]) -> Shape:
    """Where a fragment sits; a sequence of tokens counts as a map of one column."""
    in_size, in_width = _map(fragment.axes, kept)
    size, width = _map(fragment.output.axes, kept)
    return Shape(in_size, size, in_width, width)


def _map(axes: tuple[Axis, ...], kept: Mapping[str, int]) -> tuple[Sides, int]:
    """Height, width and channels of what a tensor holds per image."""
    _, *lengths = (length(axis, {BATCH: 1, **kept}) for axis in axes)
    if len(lengths) == 3:
        channels, height, width = lengths
        return (height, width), channels
    *positions, channels = lengths
    return (math.prod(positions), 1), channels
