"""Exported programs (`.pt2`, of `torch.export.save`): read without executing what is in them.

`torch.export.load` unpickles what is no plain tensor, evaluates expressions of sizes, and finds
operations by name in the whole of torch. So it is called only when nothing in the file is pickled
but tensors, sizes are numbers and symbols, and all operations are those of torch on tensors.
"""

import io
import json
import math
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import fx
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export import ExportedProgram

from compress.bring._axes import BATCH_SIZE
from compress.bring._free import axis_of_images, free_sizes
from compress.bring._load import plain_tensors
from search_spaces import UserError

MODEL = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"
SAMPLES = "data/sample_inputs/model.pt"
COMPILED = "data/aotinductor/"

OPERATION = re.compile(r"torch\.ops\.aten\.\w+\.\w+|torch\.sym_\w+|_operator\.\w+")
SIZE = re.compile(
    r"(?:Symbol\('[su]\d{1,9}'(?:, (?:positive|nonnegative|integer)=True)*\)|Integer|Add|Mul|Max"
    r"|Min|Mod|FloorDiv|CeilDiv|PythonMod|\d|[-+/(), ])*"
)
NAME = re.compile(r"\w*")
STRUCTURES = frozenset({"builtins.tuple", "builtins.list", "builtins.dict"})
OPENS_FILES = ("from_file",)

RESHAPES = frozenset({"view", "reshape", "_unsafe_view"})
TRAINS = {"batch_norm": 5, "dropout": 2}
"""Operations that differ in training, and which of their arguments says so."""


def load_program(path: Path) -> ExportedProgram:
    """The program of a file.

    Raises:
        UserError: If it is none, reading it would execute what is in it, it was exported in
            training, or it has several inputs or outputs.
    """
    if not path.is_file():
        raise UserError(f"model '{path}': there is no such file.")
    _refuse_code(path)
    try:
        program = torch.export.load(path)
    except Exception as error:  # torch raises a dozen unrelated classes
        fact = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UserError(
            f"model '{path}' cannot be read by torch {torch.__version__}: {fact:.200}. Export it "
            "again with this version."
        ) from error
    _refuse_training(path, program)
    given = _images(program)
    if len(given) != 1 or len(given[0].meta["val"].shape) != 4:
        raise UserError(
            f"model '{path}' has {len(given)} inputs, or one that is no batch of images (batch, "
            "channels, height, width). Bring a classifier of one input."
        )
    return program


def sizes_of(program: ExportedProgram) -> tuple[int, int, int, int]:
    """Images, channels, height and width that a program was exported for; 0 where any will do."""
    (given,) = _images(program)
    b, c, h, w = (n if isinstance(n, int) else 0 for n in given.meta["val"].shape)
    return b, c, h, w


def with_free_batch(
    path: Path, program: ExportedProgram, *, channels: int, resolution: int
) -> None:
    """Gives all tensors of a program the shapes that they have for `BATCH_SIZE` images.

    Args:
        path: Of its file.
        program: Whose nodes are changed: sizes that were fixed to its batch follow from tensors.
        channels: Of the images.
        resolution: Side of the images, pixels.

    Raises:
        UserError: If it can be carried out for the batch that it was exported for alone.
    """
    (images,) = _images(program)
    fixed, *_ = sizes_of(program)
    mode = FakeTensorMode()
    signature = program.graph_signature
    keys = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    keys |= signature.inputs_to_lifted_tensor_constants
    held = {**program.constants, **program.state_dict}
    shape = (BATCH_SIZE, channels, resolution, resolution)
    try:
        given = [
            mode.from_tensor(held[keys[node.name]])
            if node.name in keys
            else mode.from_tensor(torch.empty(shape, device="meta")).to("cpu")
            for node in program.graph.nodes
            if node.op == "placeholder"
        ]
        with torch.no_grad(), mode:
            outputs = _Sized(program, images, fixed).run(*given)
        is_free = len(outputs) != 1 or outputs[0].shape[0] == BATCH_SIZE
    except Exception as error:  # torch raises a dozen unrelated classes
        raise _refused(path, fixed, resolution) from error
    if not is_free:
        raise _refused(path, fixed, resolution)


def _refused(path: Path, fixed: int, resolution: int) -> UserError:
    what = f"batches of {fixed} images" if fixed else f"other images than those of {resolution} px"
    return UserError(
        f"model '{path}' was exported for {what}, and computes with that number. Export it with "
        "torch.export.export(model, (images,), dynamic_shapes=({0: torch.export.Dim('batch')},))."
    )


class _Sized(fx.Interpreter):
    """Every node keeps what it gives; sizes that were fixed to the images follow from tensors."""

    def __init__(self, program: ExportedProgram, images: fx.Node, fixed: int) -> None:
        super().__init__(program.graph_module)
        self.images, self.fixed = images, fixed
        self.shapes = {node: _shape(node) for node in program.graph.nodes} if fixed else {}
        self.within: dict[fx.Node, int] = {}

    def run_node(self, n: fx.Node) -> Any:
        if self.fixed:
            self.within[n] = max((self.within[each] for each in n.all_input_nodes), default=1)
            self._free(n)
        n.meta["val"] = found = super().run_node(n)
        return found

    def _free(self, node: fx.Node) -> None:
        name, shape = _name(node), self.shapes[node]
        if name in RESHAPES:
            x = node.args[0]
            assert isinstance(x, fx.Node)
            before = self.shapes[x]
            axis = axis_of_images(before, x.meta["val"].shape)
            if axis is not None:
                outside = math.prod(before[:axis]) * self.within[x]
                sizes, self.within[node] = free_sizes(shape, outside, self.fixed)
                node.args, node.target = (x, sizes), torch.ops.aten.reshape.default
        elif name == "expand" and shape and shape[0] == self.fixed:
            with node.graph.inserting_before(node):
                count = node.graph.call_function(torch.ops.aten.sym_size.int, (self.images, 0))
            count.meta["val"] = self.env[count] = BATCH_SIZE
            node.args = (node.args[0], [count, *shape[1:]])


def _shape(node: fx.Node) -> tuple[int, ...]:
    return tuple(map(int, getattr(node.meta.get("val"), "shape", ())))


def _images(program: ExportedProgram) -> list[fx.Node]:
    """Inputs that are not the network's own."""
    names = program.graph_signature.user_inputs
    return [node for node in program.graph.nodes if node.op == "placeholder" and node.name in names]


def _name(node: fx.Node) -> str:
    """Of the operation, as torch's functions are called."""
    return str(node.target).split(".")[1] if str(node.target).startswith("aten.") else ""


def _refuse_training(path: Path, program: ExportedProgram) -> None:
    for node in program.graph.nodes:
        place = TRAINS.get(_name(node))
        if place is not None and len(node.args) > place and node.args[place] is True:
            raise UserError(
                f"model '{path}' was exported in training: {_name(node)} is carried out as in "
                "training. Call model.eval() before torch.export.export."
            )


def _refuse_code(path: Path) -> None:
    """Refuses a file that torch could not read without executing what is in it."""
    files, contents = _contents(path)
    if MODEL not in files or WEIGHTS not in files:
        raise UserError(
            f"model '{path}' is no exported program of this version of torch. Export it again, and "
            "write it with torch.export.save."
        )
    try:
        model = json.loads(contents[MODEL])
        payloads = [
            entry
            for name in (WEIGHTS, CONSTANTS)
            if name in files
            for entry in json.loads(contents[name])["config"].values()
        ]
    except (ValueError, KeyError, AttributeError) as error:
        raise _broken(path, error) from error
    samples = contents.get(SAMPLES, b"")
    found = ""
    if any(name.startswith(COMPILED) or name.endswith(".so") for name in files):
        found = "compiled code"
    elif {name for name in files if name.startswith("models/")} != {MODEL}:
        found = "several programs"
    elif any(each["use_pickle"] or "obj" in each["path_name"] for each in payloads) or any(
        name.startswith("data/") and name.endswith(".pt") and name != SAMPLES for name in files
    ):
        found = "objects that are no tensors"
    elif samples and not plain_tensors(io.BytesIO(samples)):
        found = "example inputs that are no tensors"
    else:
        found = next(_not_plain(model), "")
    if found:
        raise UserError(
            f"model '{path}' has {found}, which reading it could execute. Export the network alone "
            "with torch.export.export, and write it with torch.export.save."
        )


def _contents(path: Path) -> tuple[list[str], dict[str, bytes]]:
    """Names of the files in an archive, and what is in those that are looked at."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            places = {name.partition("/")[2]: name for name in names}
            if len(places) != len(names):
                raise zipfile.BadZipFile("files of one name")  # of which torch may read the other
            looked_at = {MODEL, WEIGHTS, CONSTANTS, SAMPLES} & places.keys()
            return list(places), {name: archive.read(places[name]) for name in looked_at}
    except (OSError, zipfile.BadZipFile) as error:
        raise _broken(path, error) from error


def _broken(path: Path, error: Exception) -> UserError:
    return UserError(
        f"model '{path}' is no exported program ({type(error).__name__}). Write it with "
        "torch.export.save."
    )


def _not_plain(document: Any) -> Iterator[str]:
    """What in a program is neither an operation on tensors nor a size."""
    if isinstance(document, Mapping):
        target, size, name = (document.get(key) for key in ("target", "expr_str", "name"))
        if "inputs" in document and isinstance(target, str):
            is_operation = OPERATION.fullmatch(target) and not any(n in target for n in OPENS_FILES)
            if not is_operation:
                yield f"operation '{target:.60}'"
        if size is not None and not SIZE.fullmatch(str(size)):
            yield f"size '{size:.60}'"
        if isinstance(name, str) and not NAME.fullmatch(name):
            yield f"name '{name:.60}'"
        for spec in (document.get("in_spec"), document.get("out_spec")):
            types = re.findall(r'"type": "([^"]*)"', spec or "")
            yield from (f"a structure of '{each:.60}'" for each in types if each not in STRUCTURES)
    values = document.values() if isinstance(document, Mapping) else document
    for value in values if isinstance(document, Mapping | list) else ():
        yield from _not_plain(value)
