"""How the nodes of a cell are connected: what is decided, which slots there are, what feeds each.

A cell's slots are its edges, an operation each; its nodes, each the sum of some edges; and, where
several nodes are handed on, a convolution of each of these, and their sum. Names are those in the
cell: "node2.left", "node2", "node2.out", "out".
"""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, NamedTuple, final

BEFORE, PREVIOUS, OUT = "before", "previous", "out"
LEFT, RIGHT = "left", "right"
AND = "+"
"""Between the words of an option."""

Wires = Mapping[str, str]
"""The options taken of what a wiring decides, by their names in the cell."""

Kind = Literal["edge", "node", "out"]


class Part(NamedTuple):
    """A slot of a cell.

    Attributes:
        name: In the cell.
        kind: An edge has an operation, a node adds up, "out" is what a node is handed on by.
        shaped_by: What the wiring decides that says whether it exists and how many it reads.
        routed_by: The same that says only which ones it reads.
    """

    name: str
    kind: Kind
    shaped_by: tuple[str, ...] = ()
    routed_by: tuple[str, ...] = ()


class AbstractWiring(ABC):
    """Of one cell; subclasses are frozen dataclasses."""

    most_nodes: ClassVar[int]
    """More would make too many wirings."""

    reads_two: ClassVar[bool]
    """Whether a cell reads the cell before the previous one, too."""

    nodes: int
    """Besides what it reads."""

    @property
    @abstractmethod
    def wires(self) -> Mapping[str, tuple[str, ...]]:
        """What is decided about it, by its name in the cell."""

    @property
    @abstractmethod
    def parts(self) -> tuple[Part, ...]:
        """Its slots, each after those that feed it; the last one is what it hands on."""

    @abstractmethod
    def inputs(self, part: str, wires: Wires) -> tuple[str, ...]:
        """The parts, or "previous" and "before", that feed a part; none if it does not exist."""

    @cached_property
    def by_name(self) -> dict[str, Part]:
        """The parts."""
        return {part.name: part for part in self.parts}

    @property
    def end(self) -> str:
        """The part that a cell hands on."""
        return self.parts[-1].name


@final
@dataclass(frozen=True)
class Pairs(AbstractWiring):
    """Every node adds up two edges, from two different earlier states that are decided.

    Attributes:
        nodes: How many.
        hands_on_all: Whether all nodes are handed on, or those that no other one reads.
    """

    most_nodes: ClassVar[int] = 5
    reads_two: ClassVar[bool] = True

    nodes: int
    hands_on_all: bool

    @cached_property
    def wires(self) -> dict[str, tuple[str, ...]]:
        """Of every node but the first, which has no choice, the pair that it reads."""
        found = {}
        for node in range(2, self.nodes + 1):
            earlier = (BEFORE, PREVIOUS, *(f"node{other}" for other in range(1, node)))
            pairs = itertools.combinations(earlier, 2)
            found[f"node{node}.inputs"] = tuple(AND.join(pair) for pair in pairs)
        return found

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """Two edges and a node each, then what is handed on."""
        found: list[Part] = []
        for node in range(1, self.nodes + 1):
            wire = f"node{node}.inputs"
            routed_by = (wire,) if wire in self.wires else ()
            found += [Part(f"node{node}.{s}", "edge", routed_by=routed_by) for s in (LEFT, RIGHT)]
            found.append(Part(f"node{node}", "node"))
        for node in range(1, self.nodes + 1):
            found.append(Part(f"node{node}.{OUT}", "out", self._read_by(node)))
        return (*found, Part(OUT, "node", self._read_by(0)))

    def inputs(self, part: str, wires: Wires) -> tuple[str, ...]:
        """Of an edge the one or the other of its node's pair."""
        node, _, side = part.partition(".")
        if OUT in (node, side):
            every = (f"node{number}" for number in range(1, self.nodes + 1))
            read = {state for pair in wires.values() for state in pair.split(AND)}
            handed_on = [one for one in every if self.hands_on_all or one not in read]
            if side == OUT:
                return (node,) if node in handed_on else ()
            return tuple(f"{one}.{OUT}" for one in handed_on)
        if not side:
            return f"{node}.{LEFT}", f"{node}.{RIGHT}"
        pair = wires.get(f"{node}.inputs", AND.join((BEFORE, PREVIOUS))).split(AND)
        return (pair[side == RIGHT],)

    def _read_by(self, node: int) -> tuple[str, ...]:
        """What decides about who reads a node and those behind it, if it matters."""
        later = (f"node{other}.inputs" for other in range(node + 1, self.nodes + 1))
        return () if self.hands_on_all else tuple(wire for wire in later if wire in self.wires)


@final
@dataclass(frozen=True)
class Edges(AbstractWiring):
    """Between any two states there may be an edge, from the earlier one; a node adds up its edges.

    State 0 is the previous cell, states 1, 2, ... are the nodes; the last one is handed on. Of all
    graphs there are those in which every edge is on a way from the first to the last state: what
    another edge computes would be read by nobody, or be made of nothing.
    """

    most_nodes: ClassVar[int] = 3
    reads_two: ClassVar[bool] = False

    nodes: int

    @cached_property
    def wires(self) -> dict[str, tuple[str, ...]]:
        """The edges that there are, as "01+12": from 0 to 1, from 1 to 2. The most come first."""
        every = [(i, j) for j in range(1, self.nodes + 1) for i in range(j)]
        graphs = {
            live(tuple(some), self.nodes)
            for number in range(1, len(every) + 1)
            for some in itertools.combinations(every, number)
        }
        words = (graph_word(graph) for graph in graphs if graph)
        return {"edges": tuple(sorted(words, key=lambda word: (-len(word), word)))}

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The edges into a node, then the node."""
        found: list[Part] = []
        for node in range(1, self.nodes + 1):
            edges = (f"node{node}.from{state}" for state in range(node))
            found += [Part(edge, "edge", ("edges",)) for edge in edges]
            found.append(Part(f"node{node}", "node", ("edges",)))
        return tuple(found)

    def inputs(self, part: str, wires: Wires) -> tuple[str, ...]:
        """Of an edge the state that it comes from."""
        graph = graph_of(wires["edges"])
        node, _, start = part.partition(".from")
        number = int(node.removeprefix("node"))
        if start:
            state = f"node{start}" if int(start) else PREVIOUS
            return (state,) if (int(start), number) in graph else ()
        return tuple(f"{node}.from{i}" for i, j in graph if j == number)


Graph = tuple[tuple[int, int], ...]
"""Edges from a state to a later one, by the later one first."""


def live(graph: Graph, last: int) -> Graph:
    """The edges of a graph that are on a way from state 0 to the last one."""
    made, read = {0}, {last}
    for i, j in sorted(graph, key=lambda edge: edge[::-1]):
        made |= {j} if i in made else set()
    for i, j in sorted(graph, reverse=True):
        read |= {i} if j in read else set()
    found = (edge for edge in graph if edge[0] in made and edge[1] in read)
    return tuple(sorted(found, key=lambda edge: edge[::-1]))


def graph_word(graph: Graph) -> str:
    """As an option says it."""
    return AND.join(f"{i}{j}" for i, j in graph)


def graph_of(word: str) -> Graph:
    """The inverse of `graph_word`."""
    return tuple((int(edge[0]), int(edge[1])) for edge in word.split(AND))
