"""Networks that were brought, of several sizes, and ways from each into its neighbours in size.

The networks, called anchors, are "a1", "a2" and so on, the smallest first. A stitch is a layer that
makes of a map of one the map that a part of another one reads. One choice, `path`, says which way
data takes: through one anchor; through the first parts of one, a stitch, and the last parts of its
neighbour; or, where stitches lead both ways, into a neighbour and back, in place of some parts.
All slots there could be stand in a row, so that every path is a part of it: what a stitch leads
into stands behind what it leaves. A path leaves out the others.

Sources: Pan et al., Stitchable Neural Networks (2023), section 3; Pan et al., Stitched ViTs are
Flexible Vision Backbones (2024), two-way stitching. Departures and how stitches begin:
`compress/bring/stitch.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar, final

from search_spaces._choice import Choice, Option
from search_spaces._precision import FULL_PRECISION
from search_spaces._sides import Resolution
from search_spaces._slot import Signature
from search_spaces.networks._base import NETWORKS, AbstractNetwork, SlotRule
from search_spaces.networks.traced import Part, Traced
from search_spaces.traced._fragment import Fragment

PATH = "path"
"""Name of the choice."""

MOST_RETURNS = 256
"""Paths into a neighbour and back; of more, as many at equal distances in their order."""


def anchor_name(number: int) -> str:
    """Of an anchor, counted from 0: "a1"."""
    return f"a{number + 1}"


@dataclass(frozen=True)
class Stitch:
    """A layer from an anchor to its neighbour in size.

    Attributes:
        anchor: Number of the one that it leaves, from 0.
        before: Number of the last part there.
        after: Number of the first part behind it.
        part: The layer; groups have the names that they have in the whole network.
        into: Number of the anchor that it leads into.
    """

    anchor: int
    before: int
    after: int
    part: Part
    into: int


@final
@NETWORKS.register
@dataclass(frozen=True, kw_only=True)
class Stitched(AbstractNetwork):
    """Anchors and stitches.

    Attributes:
        resolution: Height and width of the images in pixels, as they are written.
        channels: Channels of the images.
        num_classes: Outputs.
        anchors: The smallest first. Their depths stay as they are.
        stitches: Between neighbours, of pairs of parts of which none crosses another one where
            there are ways back.
    """

    is_brought: ClassVar[bool] = True

    resolution: Resolution
    channels: int
    num_classes: int
    anchors: tuple[Traced, ...]
    stitches: tuple[Stitch, ...]

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """What fills every slot there could be, each behind all that leads into it on some path."""
        left: list[Part] = []
        for number, own in enumerate(self._own_parts):
            left += [*own, *(stitch.part for stitch in self.stitches if stitch.anchor == number)]
        found: dict[str, Part] = {}
        while left:
            ready = (n for n, part in enumerate(left) if self._before[part.name] <= found.keys())
            part = left.pop(next(ready, 0))
            found[part.name] = part
        return tuple(found.values())

    @cached_property
    def paths(self) -> dict[str, tuple[str, ...]]:
        """The slots of every path; first the largest anchor, which is the network as it is."""
        names = [[part.name for part in own] for own in self._own_parts]
        found = {anchor_name(number): tuple(own) for number, own in enumerate(names)}
        found = dict(reversed(found.items()))
        for stitch in self.stitches:
            first, last = names[stitch.anchor], names[stitch.into]
            name = f"{first[stitch.before]}-{last[stitch.after]}"
            slots = (*first[: stitch.before + 1], stitch.part.name, *last[stitch.after :])
            found[name] = slots
        returns = list(self._returns())
        for out, back in returns[:: -(-len(returns) // MOST_RETURNS) or 1]:
            own, other = names[out.anchor], names[out.into]
            between = other[out.after : back.before + 1]
            name = f"{own[out.before]}-{between[0]}+{between[-1]}-{own[back.after]}"
            slots = (*own[: out.before + 1], out.part.name, *between)
            found[name] = (*slots, back.part.name, *own[back.after :])
        return found

    def _returns(self) -> Iterator[tuple[Stitch, Stitch]]:
        """Pairs of stitches into a neighbour and back, in place of a part at least."""
        for out in self.stitches:
            for back in self.stitches:
                is_way_back = (back.anchor, back.into) == (out.into, out.anchor)
                replaces = back.before >= out.after and back.after > out.before + 1
                if is_way_back and replaces:
                    yield out, back

    @cached_property
    def _own_parts(self) -> tuple[tuple[Part, ...], ...]:
        """Of every anchor its parts, as they are called in the whole network."""
        return tuple(
            tuple(part_of(number, part) for part in anchor.parts)
            for number, anchor in enumerate(self.anchors)
        )

    @cached_property
    def _before(self) -> dict[str, set[str]]:
        """By name of a part, the names of those that lead into it on some path."""
        found: dict[str, set[str]] = {}
        for own in self._own_parts:
            found |= {own[0].name: set()}
            found |= {part.name: {before.name} for before, part in pairwise(own)}
        for stitch in self.stitches:
            found[stitch.part.name] = {self._own_parts[stitch.anchor][stitch.before].name}
            found[self._own_parts[stitch.into][stitch.after].name].add(stitch.part.name)
        return found

    def arch_choices(self) -> tuple[Choice, ...]:
        """The path."""
        return (Choice(PATH, tuple(self.paths)),)

    def policy_choices(
        self, precisions: tuple[str, ...], sparsities: tuple[float, ...]
    ) -> tuple[Choice, ...]:
        """Those of every anchor; a stitch is in the format of the part that reads it."""
        users: dict[str, list[Part]] = {}
        for part in self.parts:
            for name in self._choosers(part):
                users.setdefault(name, []).append(part)
        own = [part for part in self.parts if part.name not in self._readers]
        return (
            *(Choice(f"{n}.sparsity", sparsities, self._active_if(of)) for n, of in users.items()),
            *(Choice(f"{p.name}.precision", precisions, self._active_if([p])) for p in own),
        )

    def slot_rules(self) -> tuple[SlotRule, ...]:
        """A slot per part of an anchor, and per stitch."""
        return tuple(
            SlotRule(
                part.name,
                (
                    PATH,
                    *(f"{name}.sparsity" for name in self._choosers(part)),
                    self._precision(part.name),
                ),
                (),
            )
            for part in self.parts
        )

    def reads(self, operator: str) -> tuple[str, ...]:
        """None: fragments are given."""
        return ()

    def signature(self, slot: str, options: Mapping[str, Option]) -> Signature | None:
        """The slot's fragment, with what remains of its groups; None if the path leaves it out."""
        if slot not in self._on_path[str(options[PATH])]:
            return None
        part, precision = self._by_name[slot], options.get(self._precision(slot), FULL_PRECISION)
        sparsities = (options.get(f"{name}.sparsity", 0.0) for name in self._choosers(part))
        key = (slot, precision, *sparsities)
        if key not in self._filled:  # whatever the path, of which there may be hundreds
            self._filled[key] = part.signature(self._chosen, options, str(precision))
        return self._filled[key]

    def shared_groups(self) -> dict[tuple[str, str], str]:
        """By slot and its own name of a group, the network's."""
        return {
            (part.name, own): name
            for part in self.parts
            for own, name in zip(Fragment.of_text(part.fragment).groups, part.groups, strict=True)
        }

    def to_json(self) -> dict[str, Any]:
        """Everything `from_json` needs."""
        return {
            "resolution": self.resolution,
            "channels": self.channels,
            "num_classes": self.num_classes,
            "anchors": [anchor.to_json() for anchor in self.anchors],
            "stitches": [asdict(stitch) for stitch in self.stitches],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Stitched":
        """The inverse of `to_json`."""
        sizes = {name: document[name] for name in ("resolution", "channels", "num_classes")}
        stitches = tuple(
            Stitch(
                int(row["anchor"]),
                int(row["before"]),
                int(row["after"]),
                Part(row["part"]["name"], row["part"]["fragment"], tuple(row["part"]["groups"])),
                int(row.get("into", int(row["anchor"]) + 1)),  # files of before have none
            )
            for row in document["stitches"]
        )
        anchors = tuple(map(Traced.from_json, document["anchors"]))
        return cls(anchors=anchors, stitches=stitches, **sizes)

    @cached_property
    def _on_path(self) -> dict[str, frozenset[str]]:
        """The slots of every path."""
        return {name: frozenset(slots) for name, slots in self.paths.items()}

    @cached_property
    def _filled(self) -> dict[tuple[Option, ...], Signature]:
        """Signatures that were asked for, by slot, precision and sparsities."""
        return {}

    @cached_property
    def _by_name(self) -> dict[str, Part]:
        return {part.name: part for part in self.parts}

    @cached_property
    def _readers(self) -> dict[str, str]:
        """Of every stitch, the part that reads it."""
        return {
            stitch.part.name: self._own_parts[stitch.into][stitch.after].name
            for stitch in self.stitches
        }

    @cached_property
    def _chosen(self) -> dict[str, str]:
        """By group, the choice that decides about it, without ".sparsity"."""
        return {
            f"{anchor_name(number)}.{group}": f"{anchor_name(number)}.{choice}"
            for number, anchor in enumerate(self.anchors)
            for group, choice in anchor.choices
        }

    def _precision(self, slot: str) -> str:
        return f"{self._readers.get(slot, slot)}.precision"

    def _choosers(self, part: Part) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._chosen[group] for group in part.groups))

    def _active_if(self, parts: Sequence[Part]) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """When a choice matters that decides about these parts alone."""
        names = {part.name for part in parts}
        active = tuple(path for path, slots in self.paths.items() if names & set(slots))
        return () if len(active) == len(self.paths) else ((PATH, active),)


def part_of(number: int, part: Part) -> Part:
    """A part of an anchor, as it is called in the whole network."""
    own = anchor_name(number)
    groups = tuple(f"{own}.{group}" for group in part.groups)
    return Part(f"{own}.{part.name}", part.fragment, groups)
