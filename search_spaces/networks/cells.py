"""Networks of cells: a normal and a reduction cell are decided once, and stand in many places.

    stem - cell ... cell - reduction - cell ... cell - reduction - cell ... cell - head

Every operation of a cell is a slot, "stage2.cell1.node3.left" or "stage2.reduction.node1.right",
whose choice, "normal.node3.left.operation", all cells of its type share; weights they do not. What
feeds what is a choice, too: see `_wirings.py`.

    topology      nodes add up                          a cell hands on
    nasnet        two operations of different states    nodes that no other one reads
    darts         two operations of different states    all nodes
    nasbench201   an operation of every state before,   the last node
                  or of some

Sources: Zoph et al., Learning Transferable Architectures for Scalable Image Recognition (2018),
section 3; Liu et al., DARTS: Differentiable Architecture Search (2019), section
2.1; Dong and Yang, NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search
(2020), section 2. Departures: operations keep their map, and in front of a reduction cell stand
downsamplings of what it reads, the first of which the cell behind it reads, too, in place of the
larger map; a cell hands on its nodes through a 1x1 convolution each, whose maps are added, where
the papers put nodes side by side and have one convolution of all in each cell that reads them;
nodes add up, and are never put side by side as NASNet's may be; a node reads two different states;
kernels of one operator share their centres; NAS-Bench-201's "none" is an edge that is not there,
and networks that would be nothing but zeros do not exist. NASNet's controller is `recurrent`
(`nas/controllers/recurrent.py`), its ScheduledDropPath `drop_path` (`supernets/dropping.py`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache, cached_property, lru_cache, partial
from typing import Any, final

from search_spaces._choice import Choice, Option, integer
from search_spaces._dimensions import check_options
from search_spaces._errors import UserError, did_you_mean
from search_spaces._precision import FULL_PRECISION
from search_spaces._resolution import Pyramid, pyramid
from search_spaces._sides import Resolution, Sides
from search_spaces._slot import Shape, Signature
from search_spaces.networks._base import NETWORKS, AbstractNetwork, SlotRule
from search_spaces.networks._filled import filled
from search_spaces.networks._operations import check_operation, operator_of
from search_spaces.networks._wirings import BEFORE, PREVIOUS, AbstractWiring, Edges, Pairs, Part

STEM, HEAD, REDUCTION, NORMAL = "stem", "head", "reduction", "normal"
POOLED, DOWNSAMPLE, RESIDUAL_DOWNSAMPLE = "pooled", "downsample", "downsample-residual"
DEPTH = ("depth",)
FILLED: Mapping[str, tuple[str, Mapping[str, Option]]] = {
    "node": ("identity", {}),
    "out": ("conv", {"kernel_size": 1}),
}
"""What fills nodes, and what hands them on."""

TOPOLOGIES = ("nasnet", "darts", "nasbench201")


@final
@NETWORKS.register
@dataclass(frozen=True, kw_only=True)
class Cells(AbstractNetwork):
    """A family of networks of cells.

    Attributes:
        resolution: Height and width of the images in pixels, as they are written.
        channels: Channels of the images.
        num_classes: Outputs of the head.
        topology: How a cell is connected: one of `TOPOLOGIES`.
        nodes: Of a cell.
        operations: What may stand on an edge: operators with their options, such as "sepconv-5".
        widths: Channels of the first stage's cells; they double from stage to stage.
        depths: Numbers of normal cells of each stage.
        stem_stride: By how much the stem divides the image; 0 for the resolution's own.
    """

    resolution: Resolution
    channels: int
    num_classes: int
    topology: str
    nodes: int
    operations: tuple[str, ...]
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    stem_stride: int = 0

    def __post_init__(self) -> None:
        check_options("width", self.widths)
        check_options("depth", self.depths)
        if self.topology not in TOPOLOGIES:
            raise UserError(
                f"a network of cells has topology '{self.topology}'. "
                f"{did_you_mean(self.topology, TOPOLOGIES)}"
            )
        if not 1 <= self.nodes <= self.wiring.most_nodes:
            raise UserError(
                f"a cell of topology '{self.topology}' has {self.nodes} nodes. It can have 1 to "
                f"{self.wiring.most_nodes}. Give as many."
            )
        if not self.operations:
            raise UserError("a network of cells offers no operation. Offer one or more.")
        for operation in self.operations:
            check_operation(operation)

    @cached_property
    def wiring(self) -> AbstractWiring:
        """How nodes are connected."""
        if self.topology == "nasbench201":
            return Edges(self.nodes)
        return Pairs(self.nodes, hands_on_all=self.topology == "darts")

    @cached_property
    def maps(self) -> Pyramid:
        """The sizes of the stages' maps."""
        return pyramid(self.resolution, self.stem_stride)

    @cached_property
    def cell_types(self) -> tuple[str, ...]:
        """ "normal", and "reduction" where cells stand between stages."""
        has_reductions = self.wiring.reads_two and len(self.maps.sizes) > 1
        return (NORMAL, REDUCTION) if has_reductions else (NORMAL,)

    def arch_choices(self) -> tuple[Choice, ...]:
        """Width and depth, if there are several; then of each type of cell wires and operations."""
        sizes = {"width": self.widths, "depth": self.depths}
        choices = [Choice(name, options) for name, options in sizes.items() if len(options) > 1]
        wires = self.wiring.wires
        for cell in self.cell_types:
            choices += [Choice(f"{cell}.{name}", options) for name, options in wires.items()]
            for edge in (part for part in self.wiring.parts if part.kind == "edge"):
                name = f"{cell}.{edge.name}.operation"
                choices.append(Choice(name, self.operations, self._exists_if(cell, edge)))
        return tuple(choices)

    def policy_choices(
        self, precisions: tuple[str, ...], sparsities: tuple[float, ...]
    ) -> tuple[Choice, ...]:
        """One precision per stage, and one sparsity if an operation can be pruned."""
        choices = []
        for stage in self._stages:
            choices.append(Choice(f"stage{stage}.precision", precisions))
            if self._can_be_pruned:
                choices.append(Choice(f"stage{stage}.sparsity", sparsities))
        return tuple(choices)

    def slot_rules(self) -> tuple[SlotRule, ...]:
        """The stem, then by stage what reduces the map and the cells, then the head."""
        rules = [SlotRule(STEM, self._some("width", "stage1.precision"), (), ("",))]
        for stage in self._stages:
            shared = self._some("width", f"stage{stage}.precision")
            for slot in self._reducing(stage):
                rules.append(SlotRule(slot, shared, (), partial(self._inputs, slot), "sum", DEPTH))
            for cell in self._cells(stage):
                rules += self._cell_rules(cell)
        read = partial(self._inputs, HEAD)
        return (*rules, SlotRule(HEAD, shared, (), read, "sum", DEPTH))

    def reads(self, operator: str) -> tuple[str, ...]:
        """None: operations say their kernels."""
        return ()

    def signature(self, slot: str, options: Mapping[str, Option]) -> Signature | None:
        """What fills the slot, or None if the depth or the cell's wires leave it out."""
        if slot in (STEM, HEAD):
            return self._end_signature(slot, options)
        stage, cell, name = _place(slot)
        width, size = self._width(stage, options), self.maps.sizes[stage - 1]
        precision = str(options.get(f"stage{stage}.precision", FULL_PRECISION))
        part = self.wiring.by_name.get(name)
        if part is None:
            in_width = self._width(stage - 1, options)
            shape = Shape(self.maps.sizes[stage - 2], size, in_width, width)
            operator = DOWNSAMPLE if self.wiring.reads_two else RESIDUAL_DOWNSAMPLE
            return filled(operator, shape, {}, precision=precision)
        if _number(cell) > self._depth(options):
            return None
        if part.shaped_by and not self.wiring.inputs(name, self._wires(_type(cell), options)):
            return None
        sparsity = options.get(f"stage{stage}.sparsity", 0.0)
        assert not isinstance(sparsity, str)
        operation = str(options.get(f"{_type(cell)}.{name}.operation", part.kind))
        return _part_signature(operation, width, sparsity, precision, size)

    def to_json(self) -> dict[str, Any]:
        """Everything `from_json` needs."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Cells":
        """The inverse of `to_json`."""
        known = {field.name: document[field.name] for field in fields(cls)}
        several = {name: tuple(known[name]) for name in ("operations", "widths", "depths")}
        return cls(**known | several)

    @property
    def _stages(self) -> range:
        return range(1, len(self.maps.sizes) + 1)

    @cached_property
    def _can_be_pruned(self) -> bool:
        """Whether an operation has something that sparsity may remove."""
        size = self.maps.sizes[0]
        signatures = (_part_signature(o, self.widths[0], 0.0, "", size) for o in self.operations)
        return any(signature.kept for signature in signatures)

    def _exists_if(self, cell: str, edge: Part) -> tuple[tuple[str, tuple[Option, ...]], ...]:
        """When an edge's operation matters."""
        conditions = []
        for wire in edge.shaped_by:
            offered = self.wiring.wires[wire]
            having = tuple(o for o in offered if self.wiring.inputs(edge.name, {wire: o}))
            conditions.append((f"{cell}.{wire}", having))
        return tuple(conditions)

    def _reducing(self, stage: int) -> tuple[str, ...]:
        """The slots that halve the map in front of a stage."""
        if stage == 1:
            return ()
        if not self.wiring.reads_two:
            return (f"stage{stage}.{DOWNSAMPLE}",)
        return tuple(f"stage{stage}.{REDUCTION}.{state}" for state in (PREVIOUS, BEFORE))

    def _cells(self, stage: int) -> tuple[str, ...]:
        """All cells that a stage may have."""
        reduction = (REDUCTION,) if stage > 1 and self.wiring.reads_two else ()
        normal = (f"cell{number}" for number in range(1, max(self.depths) + 1))
        return tuple(f"stage{stage}.{cell}" for cell in (*reduction, *normal))

    def _cell_rules(self, prefix: str) -> Iterator[SlotRule]:
        """Of one cell."""
        stage, cell, _ = _place(prefix)
        kind, is_optional = _type(cell), _number(cell) > min(self.depths)
        for part in self.wiring.parts:
            names = ["width", *(DEPTH if is_optional else ())]
            names += [f"{kind}.{wire}" for wire in part.shaped_by]
            names += [f"{kind}.{part.name}.operation"] if part.kind == "edge" else []
            names.append(f"stage{stage}.precision")
            prunes = self._can_be_pruned and part.kind == "edge"
            names += [f"stage{stage}.sparsity"] if prunes else []
            slot = f"{prefix}.{part.name}"
            routes = tuple(f"{kind}.{wire}" for wire in part.routed_by)
            reads = partial(self._inputs, slot)
            yield SlotRule(slot, self._some(*names), (), reads, "sum", routes)

    def _some(self, *names: str) -> tuple[str, ...]:
        """Names of choices, without width and depth where there is one of them."""
        single = {"width": len(self.widths) == 1, "depth": len(self.depths) == 1}
        return tuple(name for name in names if not single.get(name, False))

    def _inputs(self, slot: str, options: Mapping[str, Option]) -> tuple[str, ...]:
        """The slots that feed a slot."""
        depth = self._depth(options)
        if slot == HEAD:
            return (self._behind(self._stages[-1], depth),)
        stage, cell, name = _place(slot)
        if name not in self.wiring.by_name:
            return (self._behind(stage - 1, depth - (name == BEFORE)),)
        found = self.wiring.inputs(name, self._wires(_type(cell), options))
        back = {PREVIOUS: 1, BEFORE: 2} if _type(cell) == NORMAL else {}
        return tuple(
            self._behind(stage, _number(cell) - back[state])
            if state in back
            else f"stage{stage}.{cell}.{state}"
            for state in found
        )

    def _behind(self, stage: int, number: int) -> str:
        """The slot whose map there is behind so many cells of a stage.

        Args:
            stage: Its number.
            number: Of normal cells; -1 for what the first one reads as if it were a cell before.
        """
        if number > 0:
            return f"stage{stage}.cell{number}.{self.wiring.end}"
        if stage == 1:
            return STEM
        if not self.wiring.reads_two:
            return f"stage{stage}.{DOWNSAMPLE}"
        return f"stage{stage}.{REDUCTION}.{self.wiring.end if number == 0 else PREVIOUS}"

    def _wires(self, kind: str, options: Mapping[str, Option]) -> dict[str, str]:
        wires = self.wiring.wires
        return {name: str(options.get(f"{kind}.{name}", wires[name][0])) for name in wires}

    def _width(self, stage: int, options: Mapping[str, Option]) -> int:
        return integer(options.get("width", self.widths[0])) * 2 ** (stage - 1)

    def _depth(self, options: Mapping[str, Option]) -> int:
        return integer(options.get("depth", max(self.depths)))

    def _end_signature(self, slot: str, options: Mapping[str, Option]) -> Signature:
        """Of the stem or the head."""
        stage = 1 if slot == STEM else self._stages[-1]
        width, size = self._width(stage, options), self.maps.sizes[stage - 1]
        precision = str(options.get(f"stage{stage}.precision", FULL_PRECISION))
        if slot == STEM:
            shape = Shape(self.sides, size, self.channels, width)
            return filled(STEM, shape, {"stride": self.maps.stem_stride}, precision=precision)
        return filled(POOLED, Shape(size, (1, 1), width, self.num_classes), {}, precision=precision)


@lru_cache(maxsize=1 << 16)
def _part_signature(
    operation: str, width: int, sparsity: float, precision: str, size: Sides
) -> Signature:
    """Of a slot of a cell; what is no edge has its kind for an operation."""
    name, options = FILLED.get(operation) or operator_of(operation)
    shape = Shape(size, size, width, width)
    return filled(name, shape, options, sparsity=sparsity, precision=precision)


@cache
def _place(slot: str) -> tuple[int, str, str]:
    """Number of the stage, the cell, and the part of it: of "stage2.cell1.node3.left"."""
    stage, _, rest = slot.partition(".")
    cell, _, name = rest.partition(".")
    return int(stage.removeprefix("stage")), cell, name


def _type(cell: str) -> str:
    return REDUCTION if cell == REDUCTION else NORMAL


def _number(cell: str) -> int:
    """Of a normal cell in its stage, from 1; 0 of a reduction."""
    return 0 if cell == REDUCTION else int(cell.removeprefix("cell"))
