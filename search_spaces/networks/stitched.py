"""Networks that were brought, of several sizes, and ways from each into the next larger one.

The networks, called anchors, are "a1", "a2" and so on, the smallest first. A stitch is a layer that
makes of a map of one the map that a part of the next one reads. One choice, `path`, says which way
data takes: through one anchor, or through the first parts of one, a stitch, and the last parts of
the next one. All slots there could be stand in a row; a path leaves out the others.

Source: Pan et al., Stitchable Neural Networks (2023), section 3. Departures and how stitches begin:
`compress/bring/stitch.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
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


def anchor_name(number: int) -> str:
    """Of an anchor, counted from 0: "a1"."""
    return f"a{number + 1}"


@dataclass(frozen=True)
class Stitch:
    """A layer from an anchor to the next larger one.

    Attributes:
        anchor: Number of the smaller one, from 0.
        before: Number of its last part on the way.
        after: Number of the first part of the larger one.
        part: The layer; groups have the names that they have in the whole network.
    """

    anchor: int
    before: int
    after: int
    part: Part


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
        stitches: Between neighbours.
    """

    is_brought: ClassVar[bool] = True

    resolution: Resolution
    channels: int
    num_classes: int
    anchors: tuple[Traced, ...]
    stitches: tuple[Stitch, ...]

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """What fills every slot there could be, in a row."""
        found: list[Part] = []
        for number, anchor in enumerate(self.anchors):
            found += [part_of(number, part) for part in anchor.parts]
            found += [stitch.part for stitch in self.stitches if stitch.anchor == number]
        return tuple(found)

    @cached_property
    def paths(self) -> dict[str, tuple[str, ...]]:
        """The slots of every path; first the largest anchor, which is the network as it is."""
        names = [
            [part_of(number, part).name for part in anchor.parts]
            for number, anchor in enumerate(self.anchors)
        ]
        found = {anchor_name(number): tuple(own) for number, own in enumerate(names)}
        found = dict(reversed(found.items()))
        for stitch in self.stitches:
            first, last = names[stitch.anchor], names[stitch.anchor + 1]
            name = f"{first[stitch.before]}-{last[stitch.after]}"
            slots = (*first[: stitch.before + 1], stitch.part.name, *last[stitch.after :])
            found[name] = slots
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
        if slot not in self.paths[str(options[PATH])]:
            return None
        precision = str(options.get(self._precision(slot), FULL_PRECISION))
        return self._by_name[slot].signature(self._chosen, options, precision)

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
            )
            for row in document["stitches"]
        )
        anchors = tuple(map(Traced.from_json, document["anchors"]))
        return cls(anchors=anchors, stitches=stitches, **sizes)

    @cached_property
    def _by_name(self) -> dict[str, Part]:
        return {part.name: part for part in self.parts}

    @cached_property
    def _readers(self) -> dict[str, str]:
        """Of every stitch, the part that reads it."""
        return {
            stitch.part.name: part_of(
                stitch.anchor + 1, self.anchors[stitch.anchor + 1].parts[stitch.after]
            ).name
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
