"""A kind of network that is no row, and a space of it: two streams whose sum a block reads."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, final

from search_spaces import (
    SPACES,
    AbstractSpace,
    Choice,
    Option,
    Options,
    Resolution,
    SearchSpace,
    Shape,
    Signature,
    declaration,
)
from search_spaces.networks import NETWORKS, AbstractNetwork, SlotRule

PICK = {"stride": 2, "kernel_size": 3, "expand_ratio": 2, "num_heads": 1}


@final
@NETWORKS.register
@dataclass(frozen=True, kw_only=True)
class Streams(AbstractNetwork):
    """The right stream may be left out; the head reads the sum's block and the left one."""

    resolution: Resolution
    channels: int
    num_classes: int
    widths: tuple[int, ...] = (8, 16)

    def arch_choices(self) -> tuple[Choice, ...]:
        right = Choice("right.operator", ("mbconv", "window"), (("right.exists", (1,)),))
        return Choice("width", self.widths), Choice("right.exists", (0, 1)), right

    def policy_choices(self, precisions: tuple, sparsities: tuple) -> tuple[Choice, ...]:
        return Choice("all.precision", precisions), Choice("all.sparsity", sparsities)

    def slot_rules(self) -> tuple[SlotRule, ...]:
        shared = ("width", "all.precision", "all.sparsity")
        return (
            SlotRule("stem", shared, ()),
            SlotRule("left", shared, (), ("stem",)),
            SlotRule("right", (*shared, "right.exists"), ("right.operator",), ("stem",)),
            SlotRule("middle", shared, (), ("left", "right", "stem"), "sum"),
            SlotRule("head", shared, (), ("middle", "left"), "concatenation"),
        )

    def reads(self, operator: str) -> tuple[str, ...]:
        return ()

    def signature(self, slot: str, options: Mapping[str, Option]) -> Signature | None:
        if slot == "right" and not options["right.exists"]:
            return None
        width, (rows, columns) = int(options["width"]), (side // 2 for side in self.sides)
        size = rows, columns
        ends = {
            "stem": Shape((2 * rows, 2 * columns), size, self.channels, width),
            "head": Shape(size, (1, 1), 2 * width, self.num_classes),
        }
        operator = str(options.get(f"{slot}.operator", slot if slot in ends else "basic"))
        rule, shape = declaration(operator), ends.get(slot, Shape(size, size, width, width))
        pick = rule.normalise(Options({d: {**rule.defaults, **PICK}[d] for d in rule.dims}), shape)
        sparsity = float(options.get("all.sparsity", 0))
        kept = {name: group.kept(sparsity) for name, group in rule.groups(pick, shape).items()}
        precision = str(options.get("all.precision", "fp32"))
        return Signature(operator, shape, pick, Options(kept), precision)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Streams":
        known = {field.name: document[field.name] for field in fields(cls)}
        return cls(**known | {"widths": tuple(document["widths"])})


@final
@SPACES.register
class StreamsSpace(AbstractSpace):
    """Both streams, or the left one."""

    def build(self, **sizes: int) -> SearchSpace:
        return SearchSpace.of_network("streams", Streams(**sizes))
