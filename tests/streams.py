"""A network that is no row: two streams, a sum of three slots, and two side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from search_spaces import (
    AbstractNetwork,
    Choice,
    Option,
    Options,
    Shape,
    Signature,
    SlotRule,
    declaration,
)


@final
@dataclass(frozen=True, kw_only=True)
class Streams(AbstractNetwork):
    """Two streams behind the stem, one of which may be left out, whose sum is halved; a wide block
    reads it, and the head both side by side.
    """

    resolution: int = 16
    channels: int = 1
    num_classes: int = 10
    widths: tuple[int, ...] = (8, 16)

    def arch_choices(self) -> tuple[Choice, ...]:
        has_right = (("right.exists", (1,)),)
        return (
            Choice("width", self.widths),
            Choice("right.exists", (0, 1)),
            Choice("right.operator", ("mbconv", "window"), has_right),
        )

    def policy_choices(
        self, precisions: tuple[str, ...], sparsities: tuple[float, ...]
    ) -> tuple[Choice, ...]:
        return Choice("all.precision", precisions), Choice("all.sparsity", sparsities)

    def slot_rules(self) -> tuple[SlotRule, ...]:
        shared = ("width", "all.precision")
        pruned = (*shared, "all.sparsity")
        return (
            SlotRule("stem", shared, ()),
            SlotRule("left", pruned, (), ("stem",)),
            SlotRule("right", (*pruned, "right.exists"), ("right.operator",), ("stem",)),
            SlotRule("middle", shared, (), ("left", "right", "stem")),
            SlotRule("wide", pruned, ()),
            SlotRule("head", shared, (), ("middle", "wide"), "concatenation"),
        )

    def reads(self, operator: str) -> tuple[str, ...]:
        return ()

    def signature(self, slot: str, options: Mapping[str, Option]) -> Signature | None:
        width = int(options["width"])
        if slot == "right" and not options["right.exists"]:
            return None
        operator, shape = {
            "stem": ("stem", Shape(16, 8, self.channels, width)),
            "left": ("basic", Shape(8, 8, width, width)),
            "right": (str(options.get("right.operator")), Shape(8, 8, width, width)),
            "middle": ("downsample", Shape(8, 4, width, width)),
            "wide": ("basic", Shape(4, 4, width, width)),
            "head": ("head", Shape(4, 1, 2 * width, self.num_classes)),
        }[slot]
        rule = declaration(operator)
        known = {"stride": 2, "kernel_size": 3, "expand_ratio": 2, "num_heads": 1, "eca": 0}
        pick = rule.normalise(Options({dim: known[dim] for dim in rule.dims}), shape)
        sparsity = float(options.get("all.sparsity", 0.0))
        kept = {name: group.kept(sparsity) for name, group in rule.groups(pick, shape).items()}
        precision = str(options.get("all.precision", "fp32"))
        return Signature(operator, shape, pick, Options(kept), precision)

    def to_json(self) -> dict[str, Any]:
        return {"widths": self.widths}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Streams":
        return cls(widths=tuple(document["widths"]))
