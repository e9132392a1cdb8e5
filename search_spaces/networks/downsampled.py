"""A row of blocks in which it is decided where maps are halved, and with which weights.

    stem - conv - block - conv - block - ... - head

Of every pair the convolution may halve the map, and makes the width that the residual block behind
it keeps. `downsampling` names those that halve it, by their numbers in the row: "3-5". Widths and
weights do not follow: a convolution has the same ones with either stride. What one configuration
needs of them may be wrong for another one, so there may be several sets of all weights, and
`weight_set` says whose a network has: "w1". Slots of a set are slots of their own, "w1.stem", so
that nothing behind the space knows of sets.

Source: Javan et al., Balanced Mixture of SuperNets for Learning the CNN Pooling Architecture
(2023): positions of downsampling in a ResNet, and several models that share the configurations
among them. Departures: a convolution in front of every residual block, whose stride changes, in
place of a stride in the block; the stem and the head belong to a set, too. What trains the sets is
`supernets/methods/mixture.py`.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, final

from search_spaces._choice import Choice, Option
from search_spaces._dimensions import check_options
from search_spaces._errors import UserError
from search_spaces._precision import FULL_PRECISION
from search_spaces._resolution import Pyramid, halved, pyramid
from search_spaces._sides import Resolution, Sides
from search_spaces._slot import Shape, Signature
from search_spaces.networks._base import NETWORKS, AbstractNetwork, SlotRule
from search_spaces.networks._filled import filled

DOWNSAMPLING, WEIGHT_SET = "downsampling", "weight_set"
"""Names of the choices."""

STEM, HEAD, POOLED = "stem", "head", "pooled"
CONV, BLOCK = "conv", "block"
FILLED: Mapping[str, tuple[str, Mapping[str, Option]]] = {
    CONV: ("conv", {"kernel_size": 3}),
    BLOCK: ("basic", {}),
}
"""What fills a pair."""


@final
@NETWORKS.register
@dataclass(frozen=True, kw_only=True)
class Downsampled(AbstractNetwork):
    """A family of networks that differ in where they halve their maps.

    Attributes:
        resolution: Height and width of the images in pixels, as they are written.
        channels: Channels of the images.
        num_classes: Outputs of the head.
        widths: Channels of each stage, which is so many pairs of one width.
        depth: Pairs of a stage.
        halvings: How often the map is halved behind the stem.
        num_sets: Sets of weights; there is a choice if there are several.
        stem_stride: By how much the stem divides the image; 0 for the resolution's own.
    """

    resolution: Resolution
    channels: int
    num_classes: int
    widths: tuple[int, ...]
    depth: int
    halvings: int
    num_sets: int = 1
    stem_stride: int = 0

    def __post_init__(self) -> None:
        check_options("width", self.widths)
        pairs = len(self.widths) * self.depth
        if not 0 < self.halvings <= pairs or self.num_sets < 1:
            raise UserError(
                f"a network of {pairs} pairs halves its map {self.halvings} times and has "
                f"{self.num_sets} sets of weights. It can halve it 1 to {pairs} times, and has one "
                "set or more. Give as many."
            )

    @cached_property
    def maps(self) -> Pyramid:
        """Of which the stem's stride and the size behind it are these networks'."""
        return pyramid(self.resolution, self.stem_stride)

    @cached_property
    def sets(self) -> tuple[str, ...]:
        """Their names; "" of a single one."""
        return tuple(f"w{n}" for n in range(1, self.num_sets + 1)) if self.num_sets > 1 else ("",)

    def arch_choices(self) -> tuple[Choice, ...]:
        """The set of weights, if there are several, and where maps are halved."""
        numbers = range(1, len(self.widths) * self.depth + 1)
        places = itertools.combinations(map(str, numbers), self.halvings)
        own = Choice(DOWNSAMPLING, tuple(map("-".join, places)))
        return (Choice(WEIGHT_SET, self.sets), own) if self.num_sets > 1 else (own,)

    def policy_choices(
        self, precisions: tuple[str, ...], sparsities: tuple[float, ...]
    ) -> tuple[Choice, ...]:
        """One precision and one sparsity per stage."""
        choices: list[Choice] = []
        for stage in self._stages:
            choices.append(Choice(f"stage{stage}.precision", precisions))
            choices.append(Choice(f"stage{stage}.sparsity", sparsities))
        return tuple(choices)

    def slot_rules(self) -> tuple[SlotRule, ...]:
        """Of every set the stem, the pairs and the head, in a row."""
        return tuple(rule for name in self.sets for rule in self._rules_of(name))

    def reads(self, operator: str) -> tuple[str, ...]:
        """None: operators are given."""
        return ()

    def signature(self, slot: str, options: Mapping[str, Option]) -> Signature | None:
        """What fills the slot; None if it belongs to another set of weights."""
        own, name = self._set_and_name(slot)
        if own and options[WEIGHT_SET] != own:
            return None
        if name == STEM:
            shape = Shape(self.sides, self.maps.sizes[0], self.channels, self.widths[0])
            return filled(
                STEM, shape, {"stride": self.maps.stem_stride}, precision=_precision(1, options)
            )
        halving = tuple(map(int, str(options[DOWNSAMPLING]).split("-")))
        if name == HEAD:
            size = self._size(halving, len(self.widths) * self.depth)
            shape = Shape(size, (1, 1), self.widths[-1], self.num_classes)
            return filled(POOLED, shape, {}, precision=_precision(len(self.widths), options))
        stage, kind, number = _place(name)
        return self._of_pair(stage, kind, number, halving, options)

    def to_json(self) -> dict[str, Any]:
        """Everything `from_json` needs."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Downsampled":
        """The inverse of `to_json`."""
        known = {field.name: document[field.name] for field in fields(cls)}
        return cls(**known | {"widths": tuple(known["widths"])})

    @property
    def _stages(self) -> range:
        return range(1, len(self.widths) + 1)

    def _rules_of(self, own: str) -> Iterator[SlotRule]:
        """Of one set of weights."""
        prefix = f"{own}." if own else ""
        shared = (WEIGHT_SET,) if own else ()
        yield SlotRule(f"{prefix}{STEM}", (*shared, "stage1.precision"), ())
        for stage in self._stages:
            read = (*shared, DOWNSAMPLING, f"stage{stage}.precision")
            for number in range(1, self.depth + 1):
                yield SlotRule(f"{prefix}stage{stage}.{CONV}{number}", read, ())
                sparse = (*read, f"stage{stage}.sparsity")
                yield SlotRule(f"{prefix}stage{stage}.{BLOCK}{number}", sparse, ())
        yield SlotRule(f"{prefix}{HEAD}", read, ())

    def _set_and_name(self, slot: str) -> tuple[str, str]:
        """To which set a slot belongs, "" if there is one, and what it is called there."""
        if self.num_sets == 1:
            return "", slot
        own, _, name = slot.partition(".")
        return own, name

    def _of_pair(
        self,
        stage: int,
        kind: str,
        number: int,
        halving: tuple[int, ...],
        options: Mapping[str, Option],
    ) -> Signature:
        """What fills a slot of a pair.

        Args:
            stage: Its number, from 1.
            kind: `CONV` or `BLOCK`.
            number: Of the pair in its stage, from 1.
            halving: Numbers in the row of the pairs that halve the map.
            options: Of the policy.
        """
        in_row, width = (stage - 1) * self.depth + number, self.widths[stage - 1]
        is_conv = kind == CONV
        before = self.widths[max(0, stage - 2)] if is_conv and number == 1 else width
        in_size = self._size(halving, in_row - is_conv)
        shape = Shape(in_size, self._size(halving, in_row), before, width)
        sparsity = 0.0 if is_conv else options.get(f"stage{stage}.sparsity", 0.0)
        assert isinstance(sparsity, int | float)
        operator, given = FILLED[kind]
        precision = _precision(stage, options)
        return filled(operator, shape, given, sparsity=sparsity, precision=precision)

    def _size(self, halving: tuple[int, ...], number: int) -> Sides:
        """Of the map behind so many pairs of the row."""
        times = sum(place <= number for place in halving)
        height, width = self.maps.sizes[0]
        return halved(height, times=times), halved(width, times=times)


def _place(name: str) -> tuple[int, str, int]:
    """Stage, kind and number of a slot of a pair: of "stage2.block1" 2, "block" and 1."""
    stage, _, place = name.partition(".")
    kind = CONV if place.startswith(CONV) else BLOCK
    return int(stage.removeprefix("stage")), kind, int(place.removeprefix(kind))


def _precision(stage: int, options: Mapping[str, Option]) -> str:
    return str(options.get(f"stage{stage}.precision", FULL_PRECISION))
