"""Networks of columns: copies of a pyramid of maps, each of which also reads the one before.

    level l of column t = F(level l-1 of column t, level l+1 of column t-1)
                          + gain * level l of column t-1

    stem - level1 - down - level2 - down - level3           column 1
      |      |       up ----'  |      up ----'  |
      `--- level1 - down - level2 - down - level3 - head    column 2

F adds up what comes from below, through a downsampling, and from above, through an upsampling, and
puts it through blocks. What a column adds to the one before can be computed from its own maps and
from higher levels of the one before, from the highest level on; so where no gain is 0, the maps of
a column follow from those of the next one. All columns share what is decided, but no weights.

Slots are called "stem", "column2.level1.block1", "column2.level2.down", "column2.level1.up",
"column2.level1.gain", "column2.level1.out" and "head".

Source: Cai et al., Reversible Column Networks (2023). Departures: what is kept for the backward
pass is not recomputed from the next column; gains are not kept away from 0; the first column has no
second input in place of maps of zeros; one level's blocks are of one kind, which is decided; the
last column alone is trained on labels; downsamplings, upsamplings and the head are those of our
other networks.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache, cached_property, lru_cache, partial
from typing import Any, NamedTuple, final

from search_spaces._choice import Choice, Option, integer
from search_spaces._dimensions import check_options
from search_spaces._errors import UserError
from search_spaces._precision import FULL_PRECISION
from search_spaces._resolution import Pyramid, pyramid
from search_spaces._sides import Resolution
from search_spaces._slot import Shape, Signature
from search_spaces.networks._base import NETWORKS, AbstractNetwork, Inputs, SlotRule
from search_spaces.networks._filled import filled
from search_spaces.networks._operations import check_operation, operator_of

STEM, HEAD, POOLED = "stem", "head", "pooled"
DOWN, UP, GAIN, OUT, BLOCK = "down", "up", "gain", "out", "block"
FILLED: Mapping[str, str] = {
    DOWN: "downsample",
    UP: "upsample-nearest",
    GAIN: "gain",
    OUT: "identity",
}
"""What fills a level's slots besides blocks."""


class Place(NamedTuple):
    """What a slot's name says.

    Attributes:
        column: From 1.
        level: From 1, which has the largest map.
        part: "down", "up", "gain", "out" or "block".
        block: Number of the block, from 1; 0 for what is none.
    """

    column: int
    level: int
    part: str
    block: int = 0

    @property
    def slot(self) -> str:
        """The name."""
        return f"column{self.column}.level{self.level}.{self.part}{self.block or ''}"

    @staticmethod
    @cache
    def of(slot: str) -> "Place":
        """The inverse of `slot`."""
        column, level, part = slot.split(".")
        numbers = int(column.removeprefix("column")), int(level.removeprefix("level"))
        if part.startswith(BLOCK):
            return Place(*numbers, BLOCK, int(part.removeprefix(BLOCK)))
        return Place(*numbers, part)


@final
@NETWORKS.register
@dataclass(frozen=True, kw_only=True)
class Columns(AbstractNetwork):
    """A family of networks of columns.

    Attributes:
        resolution: Height and width of the images in pixels, as they are written.
        channels: Channels of the images.
        num_classes: Outputs of the head.
        columns: Numbers of columns.
        widths: Channels of the first level; they double from level to level.
        depths: Numbers of blocks of a level in each column.
        operations: Kinds of blocks, one of which each level has: operators with their options, such
            as "convnext-7:expand_ratio=3".
        head_dim: Channels of an attention head.
    """

    resolution: Resolution
    channels: int
    num_classes: int
    columns: tuple[int, ...]
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    operations: tuple[str, ...]
    head_dim: int = 16

    def __post_init__(self) -> None:
        known = {"columns": self.columns, "width": self.widths, "depth": self.depths}
        for name, options in {**known, "head_dim": (self.head_dim,)}.items():
            check_options(name, options)
        if not self.operations:
            raise UserError("a network of columns offers no operation. Offer one or more.")
        for operation in self.operations:
            check_operation(operation)

    @cached_property
    def maps(self) -> Pyramid:
        """The sizes of the levels' maps."""
        return pyramid(self.resolution)

    def arch_choices(self) -> tuple[Choice, ...]:
        """Columns, width and depth, if there are several; then the blocks of every level."""
        sizes = {"columns": self.columns, "width": self.widths, "depth": self.depths}
        choices = [Choice(name, options) for name, options in sizes.items() if len(options) > 1]
        kinds = (Choice(f"level{n}.block.operation", self.operations) for n in self._levels)
        return (*choices, *kinds)

    def policy_choices(
        self, precisions: tuple[str, ...], sparsities: tuple[float, ...]
    ) -> tuple[Choice, ...]:
        """One precision per level, and one sparsity if a block can be pruned."""
        choices = []
        for level in self._levels:
            choices.append(Choice(f"level{level}.precision", precisions))
            if self._can_be_pruned:
                choices.append(Choice(f"level{level}.sparsity", sparsities))
        return tuple(choices)

    def slot_rules(self) -> tuple[SlotRule, ...]:
        """The stem, then column by column every level, then the head."""
        rules = [SlotRule(STEM, self._some("width", "level1.precision"), ())]
        for column in range(1, max(self.columns) + 1):
            for level in self._levels:
                rules += self._level_rules(column, level)
        shared = self._some("width", f"level{self._levels[-1]}.precision")
        read = partial(self._inputs, HEAD)
        return (*rules, SlotRule(HEAD, shared, (), read, "sum", self._some("columns")))

    def reads(self, operator: str) -> tuple[str, ...]:
        """None: blocks say their options."""
        return ()

    def signature(self, slot: str, options: Mapping[str, Option]) -> Signature | None:
        """What fills the slot, or None if the number of columns or the depth leaves it out."""
        if slot in (STEM, HEAD):
            return self._end_signature(slot, options)
        place = Place.of(slot)
        is_deep_enough = place.block <= self._taken("depth", options)
        if place.column > self._taken("columns", options) or not is_deep_enough:
            return None
        width, size = self._width(place.level, options), self.maps.sizes[place.level - 1]
        precision = str(options.get(f"level{place.level}.precision", FULL_PRECISION))
        if place.part == BLOCK:
            sparsity = options.get(f"level{place.level}.sparsity", 0.0)
            assert not isinstance(sparsity, str)
            operation = str(options[f"level{place.level}.block.operation"])
            shape = Shape(size, size, width, width, (place.block - 1) % 2, self.head_dim)
            return _block_signature(operation, shape, sparsity, precision)
        below = place.level + {DOWN: -1, UP: 1}.get(place.part, 0)
        in_width, in_size = self._width(below, options), self.maps.sizes[below - 1]
        shape = Shape(in_size, size, in_width, width)
        return filled(FILLED[place.part], shape, {}, precision=precision)

    def to_json(self) -> dict[str, Any]:
        """Everything `from_json` needs."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Columns":
        """The inverse of `to_json`."""
        known = {field.name: document[field.name] for field in fields(cls)}
        several = ("columns", "widths", "depths", "operations")
        return cls(**known | {name: tuple(known[name]) for name in several})

    @property
    def _levels(self) -> range:
        return range(1, len(self.maps.sizes) + 1)

    @cached_property
    def _can_be_pruned(self) -> bool:
        """Whether a block has something that sparsity may remove."""
        shape = Shape.square(8, 8, self.widths[0], self.widths[0], 0, self.head_dim)
        return any(_block_signature(name, shape, 0.0, "").kept for name in self.operations)

    def _level_rules(self, column: int, level: int) -> Iterator[SlotRule]:
        """Of one level of one column, in the order in which data flows."""
        top = self._levels[-1]
        optional: tuple[str, ...] = ("columns",) if column > min(self.columns) else ()
        shared = self._some(*optional, "width", f"level{level}.precision")
        policies = (f"level{level}.sparsity",) if self._can_be_pruned else ()
        parts = [(DOWN, level > 1), (UP, column > 1 and level < top)]
        for part in (part for part, is_there in parts if is_there):
            slot = Place(column, level, part).slot
            yield SlotRule(slot, shared, (), self._fed(slot))
        for block in range(1, max(self.depths) + 1):
            depth = self._some("depth") if block > min(self.depths) else ()
            slot = Place(column, level, BLOCK, block).slot
            read = (*shared, *depth, f"level{level}.block.operation", *policies)
            yield SlotRule(slot, read, (), self._fed(slot) if block == 1 else None)
        if column > 1:
            for part in (GAIN, OUT):
                slot = Place(column, level, part).slot
                yield SlotRule(slot, shared, (), self._fed(slot))

    def _fed(self, slot: str) -> Inputs | None:
        """What names the inputs of a slot; the first column is a row."""
        return None if Place.of(slot).column == 1 else partial(self._inputs, slot)

    def _inputs(self, slot: str, options: Mapping[str, Option]) -> tuple[str, ...]:
        """The slots that feed a slot; for a block that is left out stands the one before."""
        if slot == HEAD:
            return (self._end(self._taken("columns", options), self._levels[-1]),)
        column, level, part, _ = Place.of(slot)
        if part == DOWN:
            return (self._end(column, level - 1),)
        if part == UP:
            return (self._end(column - 1, level + 1),)
        if part == GAIN:
            return (self._end(column - 1, level),)
        if part == OUT:
            return self._last_block(column, level), Place(column, level, GAIN).slot
        below = STEM if level == 1 else Place(column, level, DOWN).slot
        above = () if level == self._levels[-1] else (Place(column, level, UP).slot,)
        return (below, *above)

    def _end(self, column: int, level: int) -> str:
        """The slot that gives a level's map."""
        return self._last_block(1, level) if column == 1 else Place(column, level, OUT).slot

    def _last_block(self, column: int, level: int) -> str:
        return Place(column, level, BLOCK, max(self.depths)).slot

    def _some(self, *names: str) -> tuple[str, ...]:
        """Names of choices, without those that have a single option."""
        known = {"columns": self.columns, "width": self.widths, "depth": self.depths}
        return tuple(name for name in names if len(known.get(name, (0, 1))) > 1)

    def _taken(self, name: str, options: Mapping[str, Option]) -> int:
        """Of columns or depth what is taken, the most where nothing is said."""
        most = max({"columns": self.columns, "depth": self.depths}[name])
        return integer(options.get(name, most))

    def _width(self, level: int, options: Mapping[str, Option]) -> int:
        return integer(options.get("width", self.widths[0])) * 2 ** (level - 1)

    def _end_signature(self, slot: str, options: Mapping[str, Option]) -> Signature:
        """Of the stem or the head."""
        level = 1 if slot == STEM else self._levels[-1]
        width, size = self._width(level, options), self.maps.sizes[level - 1]
        precision = str(options.get(f"level{level}.precision", FULL_PRECISION))
        if slot == STEM:
            shape = Shape(self.sides, size, self.channels, width)
            return filled(STEM, shape, {"stride": self.maps.stem_stride}, precision=precision)
        return filled(POOLED, Shape(size, (1, 1), width, self.num_classes), {}, precision=precision)


@lru_cache(maxsize=1 << 16)
def _block_signature(operation: str, shape: Shape, sparsity: float, precision: str) -> Signature:
    name, options = operator_of(operation)
    return filled(name, shape, options, sparsity=sparsity, precision=precision)
