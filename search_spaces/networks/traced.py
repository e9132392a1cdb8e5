"""A network that a user brought, whose choices are what is left of it and how.

Its graph is cut into fragments, one per slot, where a single tensor goes from one to the next. A
prunable group that several fragments share, such as the channels of a residual stream, is one
choice.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar, final

from search_spaces._choice import Choice, Option, Options
from search_spaces._precision import FULL_PRECISION
from search_spaces._sides import Resolution, Sides
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

    def signature(
        self, chosen: Mapping[str, str], options: Mapping[str, Option], precision: str
    ) -> Signature:
        """The fragment with what remains of its groups.

        Args:
            chosen: By group of the network the choice that decides about it, without ".sparsity".
            options: Of these choices; what is missing leaves all.
            precision: Of its numbers.
        """
        fragment = Fragment.of_text(self.fragment)
        kept: dict[str, int] = {}
        for (own, group), name in zip(fragment.prunable.items(), self.groups, strict=True):
            sparsity = options.get(f"{chosen[name]}.sparsity", 0.0)
            assert isinstance(sparsity, int | float)
            kept[own] = group.kept(sparsity)
        return Signature(
            FRAGMENT,
            shape_of(fragment, kept),
            Options({FRAGMENT: self.fragment}),
            Options(kept),
            precision,
        )


@dataclass(frozen=True)
class Stage:
    """Equal blocks that follow each other, of which the last may be left out.

    Attributes:
        name: Of the module that has them, such as "layer1".
        blocks: Names of the parts of each.
        depths: How many there may be, from all of them on.
    """

    name: str
    blocks: tuple[tuple[str, ...], ...]
    depths: tuple[int, ...]

    @property
    def choice(self) -> str:
        """Name of the choice of how many blocks there are."""
        return f"{self.name}.depth"


@final
@NETWORKS.register
@dataclass(frozen=True, kw_only=True)
class Traced(AbstractNetwork):
    """Fragments in a row.

    Attributes:
        resolution: Height and width of the images in pixels, as they are written.
        channels: Channels of the images.
        num_classes: Outputs.
        parts: In the order in which data flows.
        choices: For every group of the network the choice that decides about it, without
            ".sparsity"; several may have the same.
        stages: Blocks that may be left out.
    """

    is_brought: ClassVar[bool] = True

    resolution: Resolution
    channels: int
    num_classes: int
    parts: tuple[Part, ...]
    choices: tuple[tuple[str, str], ...]
    stages: tuple[Stage, ...] = ()

    def arch_choices(self) -> tuple[Choice, ...]:
        """How many of equal blocks there are; all else is given."""
        return tuple(Choice(stage.choice, stage.depths) for stage in self.stages)

    def policy_choices(
        self, precisions: tuple[str, ...], sparsities: tuple[float, ...]
    ) -> tuple[Choice, ...]:
        """One sparsity per group or several that go together, one precision per slot."""
        users: dict[str, list[Part]] = {name: [] for _, name in self.choices}
        for part in self.parts:
            for name in self._choosers(part):
                users[name].append(part)
        return (
            *(Choice(f"{n}.sparsity", sparsities, self._active_if(of)) for n, of in users.items()),
            *(
                Choice(f"{part.name}.precision", precisions, self._active_if([part]))
                for part in self.parts
            ),
        )

    def slot_rules(self) -> tuple[SlotRule, ...]:
        """A slot per fragment."""
        return tuple(SlotRule(part.name, self._deciders(part), ()) for part in self.parts)

    def reads(self, operator: str) -> tuple[str, ...]:
        """None: fragments are given."""
        return ()

    def signature(self, slot: str, options: Mapping[str, Option]) -> Signature | None:
        """The slot's fragment, with what remains of its groups; None if a depth leaves it out."""
        part = self._by_name[slot]
        if any(options[name] not in deep_enough for name, deep_enough in self._exists_if(part)):
            return None
        precision = str(options.get(f"{slot}.precision", FULL_PRECISION))
        return part.signature(dict(self.choices), options, precision)

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
        stages = [asdict(stage) for stage in self.stages]
        choices = dict(self.choices)
        return {**sizes, "fragments": texts, "parts": parts, "choices": choices, "stages": stages}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Traced":
        """The inverse of `to_json`."""
        texts = document["fragments"]
        parts = tuple(
            Part(row["name"], texts[row["fragment"]], tuple(row["groups"]))
            for row in document["parts"]
        )
        stages = tuple(
            Stage(row["name"], tuple(map(tuple, row["blocks"])), tuple(row["depths"]))
            for row in document.get("stages", ())  # runs of before have none
        )
        sizes = {name: document[name] for name in ("resolution", "channels", "num_classes")}
        choices = tuple(document["choices"].items())
        return cls(parts=parts, choices=choices, stages=stages, **sizes)

    @cached_property
    def _by_name(self) -> dict[str, Part]:
        return {part.name: part for part in self.parts}

    @cached_property
    def _places(self) -> dict[str, tuple[Stage, int]]:
        """Of every part that may be left out, its stage and the number of its block."""
        return {
            part: (stage, number)
            for stage in self.stages
            for number, block in enumerate(stage.blocks, start=1)
            for part in block
            if number > min(stage.depths)
        }

    def _exists_if(self, part: Part) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """The choice of depth that may leave a part out, with the depths that do not."""
        if part.name not in self._places:
            return ()
        stage, number = self._places[part.name]
        return ((stage.choice, tuple(depth for depth in stage.depths if depth >= number)),)

    def _active_if(self, parts: Sequence[Part]) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """When a choice matters that decides about these parts alone."""
        conditions = {self._exists_if(part) for part in parts}
        return conditions.pop() if len(conditions) == 1 else ()

    def _choosers(self, part: Part) -> tuple[str, ...]:
        chosen = dict(self.choices)
        return tuple(dict.fromkeys(chosen[group] for group in part.groups))

    def _deciders(self, part: Part) -> tuple[str, ...]:
        depths = (name for name, _ in self._exists_if(part))
        sparsities = (f"{name}.sparsity" for name in self._choosers(part))
        return (*depths, *sparsities, f"{part.name}.precision")


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
