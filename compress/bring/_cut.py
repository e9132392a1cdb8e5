"""From operations to a network of fragments.

A cut is where a single tensor goes on. Between two cuts is what cannot be taken apart: a layer, or
a residual block. A fragment begins with a layer and takes what follows until the next one.
"""

from collections.abc import Iterable, Mapping, Sequence

from compress.bring._axes import Atom, final, groups_in, is_batch, leaves, size
from compress.bring._depth import stages_of
from compress.bring._names import shared_path, unique
from compress.bring._read import Operation, Reading, Value
from search_spaces import written_sides
from search_spaces.networks.traced import Part, Traced
from search_spaces.traced._axes import Axis, groups_of, renamed
from search_spaces.traced._fragment import IMAGES, LAYERS, Fragment, Node

MOST_CHOICES = 4
"""Groups of one fragment that are decided about one by one; others go together."""

MULTIPLES = ((32, 8), (16, 4), (0, 1))
"""From which size on a group's is a multiple of what."""


def network_of(
    reading: Reading, images: Value, output: Value
) -> tuple[Traced, dict[tuple[str, str, str], str]]:
    """The network of what was read, and by slot, node and weight its key in the user's state."""
    operations = _used(reading.operations, output)
    pieces = _fragments(_pieces(_delayed(operations), output))
    names = _group_names(reading)
    parts: list[Part] = []
    weights: dict[tuple[str, str, str], str] = {}
    before = images
    for operations in pieces:
        slot = unique(_name(operations), {part.name for part in parts})
        fragment, groups, keys = _fragment(operations, before, names)
        parts.append(Part(slot, fragment.text, groups))
        weights |= {(slot, node, weight): key for (node, weight), key in keys.items()}
        before = Value(operations[-1].axes, operations[-1])
    network = Traced(
        resolution=written_sides((size(images.axes[2]), size(images.axes[3]))),
        channels=size(images.axes[1]),
        num_classes=size(output.axes[1]),
        parts=tuple(parts),
        choices=_choices(parts),
        stages=stages_of(parts),
    )
    return network, weights


def _used(operations: Sequence[Operation], output: Value) -> list[Operation]:
    """Those on which the output depends."""
    assert output.node is not None
    wanted = {id(output.node)}
    found = []
    for operation in reversed(operations):
        if id(operation) in wanted:
            found.append(operation)
            wanted |= {id(value.node) for value in operation.inputs}
    return found[::-1]


def _delayed(operations: Sequence[Operation]) -> list[Operation]:
    """In an order in which what depends on no image stands right before its first reader."""
    constant: set[int] = set()
    done: set[int] = set()
    ordered: list[Operation] = []

    def place(operation: Operation) -> None:
        if id(operation) in done:
            return
        done.add(id(operation))
        for value in operation.inputs:
            if value.node is not None and id(value.node) in constant:
                place(value.node)
        ordered.append(operation)

    for operation in operations:
        if all(v.node is not None and id(v.node) in constant for v in operation.inputs):
            constant.add(id(operation))
        else:
            place(operation)
    return ordered


def _pieces(operations: Sequence[Operation], output: Value) -> list[list[Operation]]:
    """What is between cuts."""
    last_use = {id(v.node): i for i, op in enumerate(operations) for v in op.inputs}
    last_use[id(output.node)] = len(operations)
    reads_images = max(
        (i for i, op in enumerate(operations) if any(v.node is None for v in op.inputs)), default=0
    )
    pieces: list[list[Operation]] = [[]]
    live: set[int] = set()
    for i, operation in enumerate(operations):
        pieces[-1].append(operation)
        live.add(id(operation))
        live = {made for made in live if last_use[made] > i}
        is_cut = live == {id(operation)} and i >= reads_images and is_batch_first(operation)
        if is_cut and i + 1 < len(operations):
            pieces.append([])
    return pieces


def is_batch_first(operation: Operation) -> bool:
    """Whether the first axis of what an operation gives is the images, and they alone."""
    return len(leaves(operation.axes[0])) == 1 and is_batch(operation.axes[0])


def _fragments(pieces: Iterable[list[Operation]]) -> list[list[Operation]]:
    """Pieces that go together: a layer or block, and what follows it."""
    found: list[list[Operation]] = []
    for piece in pieces:
        has_layer = any(operation.op in LAYERS for operation in piece)
        if not found or (has_layer and any(each.op in LAYERS for each in found[-1])):
            found.append(list(piece))
        else:
            found[-1] += piece
    return found


def _group_names(reading: Reading) -> dict[Atom, str]:
    """Of every leaf that a layer makes and nothing fixed, named by that layer."""
    names: dict[Atom, str] = {}
    for atoms, operation in reading.made:
        free = [atom for atom in groups_in(atoms) if atom not in names]
        for atom in free:
            name = operation.path or operation.op
            names[atom] = unique(name, set(names.values()))
    return names


def _fragment(
    operations: Sequence[Operation], before: Value, names: Mapping[Atom, str]
) -> tuple[Fragment, tuple[str, ...], dict[tuple[str, str], str]]:
    """A fragment, the network's names of its groups, and keys of its weights."""
    known = dict(names)
    called: dict[int, str] = {id(before.node): IMAGES}
    for i, operation in enumerate(operations):
        called[id(operation)] = f"{operation.op}{i}"
    axes = tuple(final(axis, known) for axis in before.axes)
    nodes = [
        Node(
            called[id(op)],
            op.op,
            tuple(called[id(value.node)] for value in op.inputs),
            tuple(final(axis, known) for axis in op.axes),
            {name: tuple(final(a, known) for a in shape) for name, shape in op.shapes.items()},
            op.settings,
        )
        for op in operations
    ]
    found = _in_order([axes, *(each for node in nodes for each in _all_axes(node))])
    own = {name: f"g{i}" for i, name in enumerate(found)}
    sizes = {atom_name: atom.size for atom, atom_name in names.items()}
    fragment = Fragment(
        tuple(_renamed(node, own) for node in nodes),
        tuple(renamed(axis, own) for axis in axes),
        {own[name]: sizes[name] for name in found},
        {own[name]: _multiple(sizes[name]) for name in found},
    )
    keys = {
        (called[id(op)], weight): key for op in operations for weight, key in op.weights.items()
    }
    return fragment, tuple(found), keys


def _all_axes(node: Node) -> list[tuple[Axis, ...]]:
    return [node.axes, *node.weights.values()]


def _in_order(tensors: Iterable[tuple[Axis, ...]]) -> list[str]:
    """Names of groups in the order in which they are met."""
    found: dict[str, None] = {}
    for axes in tensors:
        for axis in axes:
            found |= dict.fromkeys(sorted(groups_of(axis)))
    return list(found)


def _renamed(node: Node, names: Mapping[str, str]) -> Node:
    def of(axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
        return tuple(renamed(axis, names) for axis in axes)

    weights = {name: of(axes) for name, axes in node.weights.items()}
    return Node(node.name, node.op, node.inputs, of(node.axes), weights, node.settings)


def _multiple(members: int) -> int:
    return next(multiple for least, multiple in MULTIPLES if members >= least)


def _choices(parts: Sequence[Part]) -> tuple[tuple[str, str], ...]:
    """Which choice decides about every group.

    Those of one fragment alone go together where there are many: tables of what a slot can be
    would have as many rows as combinations.
    """
    users: dict[str, set[str]] = {}
    for part in parts:
        for group in part.groups:
            users.setdefault(group, set()).add(part.name)
    chosen: dict[str, str] = {}
    for part in parts:
        is_crowded = len(part.groups) > MOST_CHOICES
        for group in part.groups:
            goes_along = is_crowded and users[group] == {part.name}
            chosen.setdefault(group, part.name if goes_along else group)
    return tuple(chosen.items())


def _name(operations: Sequence[Operation]) -> str:
    """Of the module that has all layers of a fragment, or the first of them."""
    paths = [op.path for op in operations if op.op in LAYERS and op.path]
    paths = paths or [op.path for op in operations if op.path] or [operations[0].op]
    return shared_path(paths)
