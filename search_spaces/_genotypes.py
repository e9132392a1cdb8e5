"""Cells as their papers write them, as options of our choices and back.

    NAS-Bench-201   |nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|
    DARTS           {"normal": [["sep_conv_3x3", 0], ["skip_connect", 1], ...], "reduce": [...]}

In the first, nodes follow each other behind "+", and an edge is an operation and the state that it
comes from. In the second, two operations with their states make a node; state 0 is the cell before
the previous one, 1 the previous one, 2 the first node. What DARTS's programs write as a Python
tuple is written as JSON; "normal_concat" and "reduce_concat", the nodes that are handed on, may be
left out, and are not written: all are in space "darts", in "cells" those that no other one reads.

Sources: Dong and Yang, NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture
Search (2020), its published strings; Liu et al., DARTS: Differentiable Architecture Search (2019),
its published genotypes. Departures: of a string of NAS-Bench-201 edges that nobody reads, or that
carry nothing, become "none"; a node of DARTS reads two different states.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from search_spaces._choice import Option
from search_spaces._errors import UserError, did_you_mean
from search_spaces.networks._wirings import AND, BEFORE, LEFT, PREVIOUS, RIGHT, graph_word, live

NONE = "none"
OF_NASBENCH201: Mapping[str, str] = {
    "skip_connect": "identity",
    "nor_conv_1x1": "conv-1",
    "nor_conv_3x3": "conv-3",
    "avg_pool_3x3": "avgpool",
}
OF_DARTS: Mapping[str, str] = {
    "skip_connect": "identity",
    "sep_conv_3x3": "sepconv-3",
    "sep_conv_5x5": "sepconv-5",
    "sep_conv_7x7": "sepconv-7",
    "dil_conv_3x3": "dilconv-3",
    "dil_conv_5x5": "dilconv-5",
    "avg_pool_3x3": "avgpool",
    "max_pool_3x3": "maxpool",
    "conv_7x1_1x7": "stripconv-7",
}
"""Our operation by theirs."""

EDGE = re.compile(r"([a-z0-9_]+)~(\d)")
CELLS: Mapping[str, str] = {"normal": "normal", "reduction": "reduce"}
"""DARTS's word for a type of cell, by ours."""

SHOWN = 160
"""Characters of a cell in a message; one of NAS-Bench-201 has up to 95."""

OF_LEFT = f".{LEFT}.operation"


def from_nasbench201(text: str) -> dict[str, Option]:
    """Options of a cell that NAS-Bench-201 describes.

    Raises:
        UserError: If it is no such text, or no way leads through the cell.
    """
    cell = f"cell '{text:.{SHOWN}}'"
    operations: dict[tuple[int, int], str] = {}
    nodes = text.strip().split("+")
    for node, edges in enumerate(nodes, start=1):
        found = [EDGE.fullmatch(edge) for edge in edges.strip("|").split("|")]
        states = [int(edge[2]) if edge else -1 for edge in found]
        if states != list(range(node)):
            right = "|".join(f"OPERATION~{state}" for state in range(node))
            raise UserError(
                f"{cell} has the node '{edges:.40}'. Node {node} is an operation of "
                f"every state before it: |{right}|. Write it so."
            )
        operations |= {(i, node): edge[1] for i, edge in enumerate(found) if edge}
    known = {**OF_NASBENCH201, NONE: NONE}
    for operation in operations.values():
        _check_known(cell, operation, known)
    last = len(nodes)
    graph = live(tuple(e for e, name in operations.items() if name != NONE), last)
    if not graph:
        raise UserError(
            f"{cell} hands nothing on: no way without '{NONE}' leads from state 0 to "
            f"state {last}. Give it one."
        )
    options: dict[str, Option] = {"normal.edges": graph_word(graph)}
    for i, j in graph:
        options[f"normal.node{j}.from{i}.operation"] = OF_NASBENCH201[operations[i, j]]
    return options


def to_nasbench201(arch: Mapping[str, Option]) -> str:
    """The inverse of `from_nasbench201`, but for edges that did not matter.

    Raises:
        UserError: If an architecture has no such cell.
    """
    theirs = {ours: name for name, ours in OF_NASBENCH201.items()}
    edges = str(_option(arch, "normal.edges")).split(AND)
    nodes = []
    for j in range(1, 1 + max(int(edge[1]) for edge in edges)):
        into = []
        for i in range(j):
            operation = NONE
            if f"{i}{j}" in edges:
                ours = str(_option(arch, f"normal.node{j}.from{i}.operation"))
                _check_known("the cell", ours, theirs)
                operation = theirs[ours]
            into.append(f"{operation}~{i}")
        nodes.append(f"|{'|'.join(into)}|")
    return "+".join(nodes)


def from_darts(document: Mapping[str, Any]) -> dict[str, Option]:
    """Options of both cells of a genotype.

    Raises:
        UserError: If it is none.
    """
    found: dict[str, Option] = {}
    for cell, word in CELLS.items():
        edges = _edges(document, word)
        nodes = len(edges) // 2
        handed_on = document.get(f"{word}_concat", list(range(2, 2 + nodes)))
        if handed_on != list(range(2, 2 + nodes)):
            raise UserError(
                f"genotype: {word}_concat is {handed_on!r:.40}. Cells of topology 'darts' hand on "
                f"all nodes, {list(range(2, 2 + nodes))}. Leave it out, or take another cell."
            )
        for node in range(1, nodes + 1):
            found |= _node(cell, node, sorted(edges[2 * node - 2 : 2 * node], key=lambda e: e[1]))
    return found


def to_darts(arch: Mapping[str, Option]) -> dict[str, Any]:
    """The inverse of `from_darts`, without what a cell hands on.

    Raises:
        UserError: If an architecture has no such cells.
    """
    theirs = {ours: name for name, ours in OF_DARTS.items()}
    document: dict[str, Any] = {}
    for cell, word in CELLS.items():
        nodes = sum(name.startswith(f"{cell}.") and name.endswith(OF_LEFT) for name in arch)
        edges = []
        for node in range(1, nodes + 1):
            pair = AND.join((BEFORE, PREVIOUS))
            if node > 1:
                pair = str(_option(arch, f"{cell}.node{node}.inputs"))
            for side, state in zip((LEFT, RIGHT), pair.split(AND), strict=True):
                ours = str(_option(arch, f"{cell}.node{node}.{side}.operation"))
                _check_known(f"the {cell} cell", ours, theirs)
                edges.append([theirs[ours], _states(node).index(state)])
        if edges:
            document[word] = edges
    if not document:
        raise UserError("the architecture has no choice 'normal.node1.left.operation': no cells.")
    return document


def _states(node: int) -> list[str]:
    """What a node may read, by DARTS's numbers."""
    return [BEFORE, PREVIOUS, *(f"node{other}" for other in range(1, node))]


def _edges(document: Mapping[str, Any], word: str) -> list[tuple[str, int]]:
    """Operations of a cell with their states."""
    rows = document.get(word)
    if (
        isinstance(rows, list)
        and rows
        and not len(rows) % 2
        and all(
            isinstance(row, Sequence)
            and len(row) == 2
            and isinstance(row[0], str)
            and type(row[1]) is int
            for row in rows
        )
    ):
        return [(row[0], row[1]) for row in rows]
    raise UserError(
        f"genotype: '{word}' is {rows!r:.60}. It must be a list of pairs, two for each node: an "
        'operation and the number of the state that it reads, such as ["sep_conv_3x3", 0].'
    )


def _node(cell: str, node: int, edges: Sequence[tuple[str, int]]) -> dict[str, Option]:
    """Options of one node."""
    states = _states(node)
    read = [state for _, state in edges]
    if len(set(read)) < 2 or not all(0 <= state < len(states) for state in read):
        raise UserError(
            f"genotype: node {node + 1} of the {cell} cell reads states {read}. It must read two "
            f"different ones of 0 to {len(states) - 1}. Change one."
        )
    found: dict[str, Option] = {}
    if node > 1:
        found[f"{cell}.node{node}.inputs"] = AND.join(states[state] for state in read)
    for side, (operation, _) in zip((LEFT, RIGHT), edges, strict=True):
        _check_known("genotype", operation, OF_DARTS)
        found[f"{cell}.node{node}.{side}.operation"] = OF_DARTS[operation]
    return found


def _check_known(what: str, operation: str, known: Mapping[str, str]) -> None:
    if operation not in known:
        raise UserError(
            f"{what} has operation '{operation}', which has no name here. "
            f"{did_you_mean(operation, known)}"
        )


def _option(arch: Mapping[str, Option], name: str) -> Option:
    if name not in arch:
        raise UserError(
            f"the architecture has no choice '{name}', so it is no cell of this form. Give another "
            "--format, or a network of such cells."
        )
    return arch[name]
