"""From a network in PyTorch to operations whose axes are known.

`torch.export` gives the graph: what a call of the network's own code does, with the number of
images left open. Every operation of it becomes a node; rules (`rules/`) say what it does to
axes. One that has no rule is carried out as it is, and nothing that it touches is pruned.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx

from compress.bring._axes import BATCH_SIZE, Atoms, fix, fresh, is_batch
from compress.bring._scores import own_path
from compress.bring._trace import tensors_of
from search_spaces import UserError
from search_spaces.traced._fragment import CONSTANT, TENSOR


@dataclass(eq=False)
class Value:
    """A tensor in the network.

    Attributes:
        axes: Of it.
        node: The operation that makes it; None of what the network is given.
        key: Of a parameter or buffer, its name in the network's state.
    """

    axes: tuple[Atoms, ...]
    node: "Operation | None" = None
    key: str = ""


@dataclass(eq=False)
class Operation:
    """An operation that was read.

    Attributes:
        op: As in `search_spaces/traced/`.
        inputs: Tensors that it reads, in order.
        axes: Of what it gives.
        weights: By the names that its module has for them, keys of the network's state.
        shapes: Axes of the weights.
        settings: Whatever else decides what it does.
        path: Of the module whose code asked for it, such as "layer1.0.conv1".
    """

    op: str
    inputs: tuple[Value, ...]
    axes: tuple[Atoms, ...]
    weights: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, tuple[Atoms, ...]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    path: str = ""


@dataclass
class Reading:
    """What was read so far.

    Attributes:
        operations: In the order in which they are carried out.
        state: Parameters and buffers.
        made: Atoms that a layer's outputs are, with the layer: only these can be groups.
        left_alone: Operations that no rule knows, and where they are.
    """

    operations: list[Operation] = field(default_factory=list)
    state: dict[str, Tensor] = field(default_factory=dict)
    made: list[tuple[Atoms, Operation]] = field(default_factory=list)
    left_alone: list[tuple[str, str]] = field(default_factory=list)
    _env: dict[fx.Node, Any] = field(default_factory=dict)
    _known: dict[fx.Node, Any] = field(default_factory=dict)

    def emit(
        self,
        node: fx.Node,
        op: str,
        inputs: Sequence[Value],
        axes: Sequence[Atoms],
        *,
        weights: dict[str, Value] | None = None,
        **settings: Any,
    ) -> Value:
        """A new operation's output."""
        given = weights or {}
        operation = Operation(
            op,
            tuple(inputs),
            tuple(axes),
            {name: value.key for name, value in given.items()},
            {name: value.axes for name, value in given.items()},
            settings,
            path_of(node),
        )
        self.operations.append(operation)
        return Value(tuple(axes), operation)

    @property
    def last_of_batch(self) -> Value:
        """The last tensor whose first axis is the images of the batch."""
        operation = next(
            each for each in reversed(self.operations) if each.axes and is_batch(each.axes[0])
        )
        return Value(operation.axes, operation)

    def is_known(self, node: fx.Node) -> bool:
        """Carries an operation out now, if it reads nothing but buffers, constants and sizes.

        Masks and positions are made so, image by image the same.
        """
        if isinstance(node.meta.get("val"), torch.SymInt):
            self._known[node] = int(node.meta["val"].node.hint)
            return False
        if not isinstance(node.meta.get("val"), Tensor | list | tuple) or not (
            callable(node.target) and self._known.keys() >= set(node.all_input_nodes)
        ):
            return False
        given, keywords = fx.map_arg((node.args, node.kwargs), self._known.__getitem__)
        self._known[node] = node.target(*given, **keywords)
        return True

    def value(self, argument: Any) -> Any:
        """What stands for an argument of an operation: tensors as `Value`, numbers as numbers."""
        if isinstance(argument, fx.Node):
            if argument not in self._env:
                self._env[argument] = self._constant(argument)
            return self._env[argument]
        if isinstance(argument, list | tuple):
            return [self.value(each) for each in argument]
        if isinstance(argument, dict):
            return {name: self.value(each) for name, each in argument.items()}
        return argument

    def _constant(self, node: fx.Node) -> Value:
        """What is known of a node, as a tensor of the network's state; the same for every image."""
        found = self._known[node].detach()
        for axis, length in enumerate(node.meta["val"].shape):
            if not isinstance(length, torch.SymInt):
                continue
            one = found.narrow(axis, 0, 1)
            if not found.equal(one.expand_as(found)):
                raise UserError(
                    f"the network cannot be traced: what '{node.target}' makes in "
                    f"'{path_of(node)}' differs from image to image, without looking at them. "
                    "Bring a network that treats all images alike."
                )
            found = one
        key = f"{path_of(node)}.{node.name}".removeprefix(".")
        self.state[key] = found.clone()
        return Value(tuple(fresh(n) for n in found.shape), key=key)

    def tensor(self, value: Value) -> Value:
        """A tensor that an operation can read: a parameter becomes an operation that gives it."""
        if value.node is None and value.key:
            operation = Operation(
                TENSOR,
                (),
                value.axes,
                {"value" if self.state[value.key].requires_grad else CONSTANT: value.key},
                path=own_path(value.key.rpartition(".")[0]),
            )
            operation.shapes = dict.fromkeys(operation.weights, value.axes)
            if not self.state[value.key].is_floating_point():
                operation.settings["dtype"] = str(self.state[value.key].dtype)[len("torch.") :]
            self.operations.append(operation)
            value.node = operation
        return value


def path_of(node: fx.Node) -> str:
    """Of the innermost module whose code asked for an operation."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = own_path(str(stack[-1][0])) if stack else ""
    return "" if path.startswith("_") else path


def shape_of(node: fx.Node) -> tuple[int, ...]:
    """Of the tensor that a node gives; `BATCH_SIZE` for the number of images."""
    return tuple(map(number_of, node.meta["val"].shape))


def number_of(length: Any) -> int:
    """A size, with `BATCH_SIZE` for the number of images."""
    if isinstance(length, torch.SymInt):
        expression = length.node.expr
        return int(expression.subs({symbol: BATCH_SIZE for symbol in expression.free_symbols}))
    return int(length)


def read(
    program: torch.export.ExportedProgram, apply_rule: "Callable[[Reading, fx.Node], Any]"
) -> tuple[Reading, Value, Value]:
    """All operations of a network.

    Args:
        program: What a call of it does, with the number of images left open or `BATCH_SIZE`.
        apply_rule: Says what an operation gives.

    Returns:
        What was read, the images, and the outputs.

    Raises:
        UserError: If it is no classifier of one input and one output.
    """
    own = tensors_of(program)
    reading = Reading()
    given: list[Value] = []
    outputs: list[Any] = []
    for node in program.graph.nodes:
        if node.op == "placeholder":
            axes = tuple(fresh(n, is_fixed=True) for n in shape_of(node))
            if node.name in own:
                key, tensor = own[node.name]
                reading.state[key] = tensor
                axes = tuple(fresh(n) for n in tensor.shape)
                reading._env[node] = Value(axes, key=key)
                if node.name not in program.graph_signature.inputs_to_parameters:
                    reading._known[node] = tensor
            else:
                given.append(Value(axes))
                reading._env[node] = given[-1]
        elif node.op == "output":
            outputs = list(node.args[0])
        elif reading.is_known(node):
            continue
        elif node.target is operator.getitem:
            reading._env[node] = reading._env[node.args[0]][node.args[1]]
        elif not isinstance(node.meta.get("val"), Tensor | list | tuple):
            made = node.meta.get("val")
            reading._env[node] = None if made is None else number_of(made)
        else:
            _refuse_complex(node)
            reading._env[node] = apply_rule(reading, node)
            if is_in_place(node):
                reading._env[node.args[0]] = reading._env[node]
    return reading, *_ends(reading, given, outputs)


def _ends(reading: Reading, given: list[Value], outputs: list[Any]) -> tuple[Value, Value]:
    """The images and the scores."""
    if len(given) != 1 or len(outputs) != 1:
        raise UserError(
            f"the network has {len(given)} inputs and {len(outputs)} outputs. "
            "Bring one that takes a batch of images and gives a tensor of scores."
        )
    result = reading.tensor(reading.value(outputs[0]))
    if len(result.axes) != 2:
        raise UserError(
            f"the network's output has {len(result.axes)} axes, not 2. "
            "Bring a classifier: one row of scores per image."
        )
    for axis in result.axes:
        fix(axis)
    return given[0], result


def _refuse_complex(node: fx.Node) -> None:
    value = node.meta["val"]
    if isinstance(value, Tensor) and value.is_complex():
        where = f" in '{path_of(node)}'" if path_of(node) else ""
        raise UserError(
            f"the network computes with complex numbers{where} ('{node.target}'), which formats "
            "and runtimes lack. Bring a network of real numbers."
        )


def is_in_place(node: fx.Node) -> bool:
    """Whether an operation changes its first argument, which has its value from then on."""
    name = str(node.target).split(".")[-2] if "." in str(node.target) else ""
    return name.endswith("_") and not name.startswith("__")
