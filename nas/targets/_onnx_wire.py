"""What an ONNX file has, read without the package onnx and without loading anything.

A device that times files need not have that package, and onnxruntime would follow what a file says:
weights may lie in any other file that it names. So files of others are looked at first: messages of
protocol buffers, field by field, wherever a graph may be (in attributes and functions, too).

NOTE: readers of protocol buffers forgive much, and each differently. What they could understand
otherwise than this one is refused: numbers of fields that do not fit into 32 bits, groups, the
field 0, and any value of `data_location` but 0.
"""

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from search_spaces import CandidateError

MESSAGES: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {
        **{5: "tensor", 6: "graph", 10: "tensor", 11: "graph"},
        **{22: "sparse", 23: "sparse"},
    },
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""Of each message the fields that are messages, by number, as in onnx.proto; others cannot have
tensors or nodes."""

LARGEST_FILE = 2**31
"""Bytes of one file, by its format; weights beyond that lie beside it."""

OP_TYPE, DOMAIN = 4, 7
"""Fields of a node."""

TRAINING = ("model", 20)
EXTERNAL_DATA, DATA_LOCATION = ("tensor", 13), ("tensor", 14)

DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""Whose operators onnxruntime has by itself."""

REACHING = frozenset({"EPContext"})
"""Operators that name further files."""

MOST_FIELDS, DEEPEST = 2_000_000, 64

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_WIDTHS = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a file has.

    Attributes:
        operators: Type of every node, in the order of the file.
        domains: Of the operators.
        has_graph: Whether there is one.
        beyond: Why the file does not stand alone; "" if it does.
    """

    operators: tuple[str, ...]
    domains: frozenset[str]
    has_graph: bool
    beyond: str


def contents_of(file: Path) -> Contents:
    """Reads a file.

    Raises:
        CandidateError: If it is no ONNX file.
    """
    try:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as d:
            return _contents(d)
    except ValueError as error:  # an empty file, too
        raise CandidateError(f"file '{file}' is no ONNX file: {error}.") from error


def check_stands_alone(file: Path) -> None:
    """Refuse a file that names others, or needs operators that onnxruntime does not have itself.

    Raises:
        CandidateError: If it is such a file, or no ONNX file.
    """
    found = contents_of(file)
    if not found.has_graph or not found.operators:
        raise CandidateError(f"file '{file}' is no ONNX file: it has no graph.")
    foreign = sorted(found.domains - DOMAINS)
    reaching = sorted(REACHING.intersection(found.operators))
    why = found.beyond
    if reaching:
        why = f"its operator '{reaching[0]}' names other files"
    if foreign:
        why = f"it has operators of '{foreign[0]:.80}', which onnxruntime does not have itself"
    if why:
        raise CandidateError(f"file '{file}' does not stand alone: {why}.")


def _contents(data: mmap.mmap) -> Contents:
    operators: list[str] = []
    domains: set[str] = set()
    beyond, has_graph = "", False
    waiting = [("model", 0, len(data), 0)]
    num_fields = 0
    while waiting:
        kind, start, end, depth = waiting.pop()
        inner = MESSAGES[kind]
        for field, wire, value, begins, ends in _fields(data, start, end):
            num_fields += 1
            if num_fields > MOST_FIELDS:
                raise ValueError(f"it has over {MOST_FIELDS:,} fields")
            if (kind, field) == TRAINING:
                beyond = beyond or "it has a part for training"
            elif (kind, field) == EXTERNAL_DATA or ((kind, field) == DATA_LOCATION and value):
                beyond = beyond or "it has weights in another file (external data)"
            elif wire != _BYTES:
                continue
            elif field in inner:
                if depth == DEEPEST:
                    raise ValueError(f"its messages are over {DEEPEST} deep")
                has_graph |= inner[field] == "graph"
                waiting.append((inner[field], begins, ends, depth + 1))
            elif kind == "node" and field == OP_TYPE:
                operators.append(data[begins:ends].decode("utf-8", "replace"))
            elif kind == "node" and field == DOMAIN:
                domains.add(data[begins:ends].decode("utf-8", "replace"))
    return Contents(
        operators=tuple(operators),
        domains=frozenset(domains),
        has_graph=has_graph,
        beyond=beyond,
    )


def _fields(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
    """The fields of a message: number, wire type, value, and where its bytes begin and end.

    The value is the number of a varint, and 1 for anything else.

    Raises:
        ValueError: If this is no message.
    """
    while at < end:
        tag, at = _varint(data, at, end, most=5)
        field, wire = tag >> 3, tag & 7
        if not field or tag >= 1 << 32:
            raise ValueError("a field has an impossible number")
        begins, value = at, 1
        if wire == _VARINT:
            value, at = _varint(data, at, end)
        elif wire == _BYTES:
            length, begins = _varint(data, at, end)
            at = begins + length
        elif wire in _WIDTHS:
            at += _WIDTHS[wire]
        else:
            raise ValueError(f"a field is of kind {wire}")
        if at > end:
            raise ValueError("a field is longer than what has it")
        yield field, wire, value, begins, at


def _varint(data: mmap.mmap, at: int, end: int, most: int = 10) -> tuple[int, int]:
    """A number of 7 bits per byte, and where it ends."""
    value = 0
    for place in range(at, min(end, at + most)):
        byte = data[place]
        value |= (byte & 0x7F) << 7 * (place - at)
        if byte < 0x80:
            return value, place + 1
    raise ValueError("a number does not end")
