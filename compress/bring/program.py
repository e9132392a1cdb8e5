"""Exported programs (`.pt2`, of `torch.export.save`): read without executing what is in them.

Reading one unpickles what is no plain tensor, evaluates expressions of sizes, writes names into
code, imports the modules of enumerations, and finds operations by name in the whole of torch. So it
is done only when nothing in the file is pickled but tensors, sizes are numbers and symbols, names
are names, structures are of Python's own, and all operations are those of torch on tensors. Torch's
own reader looks at the file: another one may find other files in the same archive.
"""

import io
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import fx
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export import ExportedProgram
from torch.export.pt2_archive import PT2ArchiveReader
from torch.export.pt2_archive._package import load_pt2

from compress.bring._axes import BATCH_SIZE
from compress.bring._free import axis_of_images, free_sizes
from compress.bring._load import plain_tensors
from compress.bring._memory import bytes_of, refuse_bomb, refuse_large
from compress.bring._trace import tensors_of
from search_spaces import Resolution, UserError, read_sides

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
SPEC = frozenset({"type", "context", "children_spec"})
"""What is said of a structure."""

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
    refuse_bomb(f"model '{path}'", path)
    _refuse_code(path)
    try:
        # NOTE: `torch.export.load` tries other formats, of another reader, where this one fails.
        program = load_pt2(str(path)).exported_programs["model"]
    except Exception as error:  # torch raises a dozen unrelated classes
        fact = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UserError(
            f"model '{path}' cannot be read by torch {torch.__version__}: {fact:.200}. Export it "
            "again with this version."
        ) from error
    held = bytes_of(tensor for _, tensor in tensors_of(program).values())
    refuse_large(f"model '{path}'", "its arrays claim", held)
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
    path: Path, program: ExportedProgram, *, channels: int, resolution: Resolution
) -> None:
    """Gives all tensors of a program the shapes that they have for `BATCH_SIZE` images.

    Args:
        path: Of its file.
        program: Whose nodes are changed: sizes that were fixed to its batch follow from tensors.
        channels: Of the images.
        resolution: Height and width of the images in pixels, as they are written.

    Raises:
        UserError: If it can be carried out for the batch that it was exported for alone.
    """
    (images,) = _images(program)
    fixed, *_ = sizes_of(program)
    mode = FakeTensorMode()
    held = tensors_of(program)
    shape = (BATCH_SIZE, channels, *read_sides(resolution))
    try:
        given = [
            mode.from_tensor(held[node.name][1])
            if node.name in held
            else mode.from_tensor(torch.empty(shape, device="meta")).to("cpu")
            for node in program.graph.nodes
            if node.op == "placeholder"
        ]
        with torch.no_grad(), mode:
            sized = _Sized(program, images, fixed)
            outputs = sized.run(*given)
        is_free = len(outputs) != 1 or outputs[0].shape[0] == BATCH_SIZE
    except Exception as error:  # torch raises a dozen unrelated classes
        raise _refused(path, fixed, resolution) from error
    if not is_free:
        raise _refused(path, fixed, resolution)
    refuse_large(f"model '{path}'", "its operations make", sized.num_bytes)


def _refused(path: Path, fixed: int, resolution: Resolution) -> UserError:
    what = f"batches of {fixed} images" if fixed else f"other images than those of {resolution} px"
    return UserError(
        f"model '{path}' was exported for {what}, and computes with that number. Export it with "
        "torch.export.export(model, (images,), dynamic_shapes=({0: torch.export.Dim('batch')},))."
    )


class _Sized(fx.Interpreter):
    """Every node keeps what it gives; sizes that were fixed to the images follow from tensors.

    Attributes:
        num_bytes: Of all values, those that depend on images for one image.
    """

    def __init__(self, program: ExportedProgram, images: fx.Node, fixed: int) -> None:
        super().__init__(program.graph_module)
        self.images, self.fixed = images, fixed
        self.shapes = {node: _shape(node) for node in program.graph.nodes} if fixed else {}
        self.within: dict[fx.Node, int] = {}
        self.of_images = {images}
        self.num_bytes = 0

    def run_node(self, n: fx.Node) -> Any:
        if self.fixed:
            self.within[n] = max((self.within[each] for each in n.all_input_nodes), default=1)
            self._free(n)
        n.meta["val"] = found = super().run_node(n)
        made = bytes_of(found if isinstance(found, list | tuple) else [found])
        if self.of_images & {n, *n.all_input_nodes}:
            self.of_images.add(n)
            made = made // BATCH_SIZE
        self.num_bytes += made
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
    try:
        found = next(_not_plain_in(*_contents(path)), "")
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"model '{path}' is no exported program of this version of torch "
            f"({type(error).__name__}). Export it again, and write it with torch.export.save."
        ) from error
    if found:
        raise UserError(
            f"model '{path}' has {found}, which reading it could execute. Export the network alone "
            "with torch.export.export, and write it with torch.export.save."
        )


def _contents(path: Path) -> tuple[list[str], dict[str, bytes]]:
    """Names of the files in an archive, and what is in those that are looked at."""
    with PT2ArchiveReader(str(path)) as archive:
        names = archive.get_file_names()
        looked_at = {MODEL, WEIGHTS, CONSTANTS, SAMPLES} & set(names)
        return names, {name: archive.read_bytes(name) for name in looked_at}


def _not_plain_in(names: Sequence[str], contents: Mapping[str, bytes]) -> Iterator[str]:
    """What in an archive could be executed."""
    if any(name.startswith(COMPILED) or name.endswith(".so") for name in names):
        yield "compiled code"
    if [name for name in names if name.startswith("models/")] != [MODEL]:
        yield "several programs"
    pickled = [n for n in names if n.startswith("data/") and n.endswith(".pt") and n != SAMPLES]
    configs = [json.loads(contents[name])["config"] for name in (WEIGHTS, CONSTANTS)]
    payloads = [entry for config in configs for entry in config.values()]
    if pickled or any(each["use_pickle"] or "obj" in each["path_name"] for each in payloads):
        yield "objects that are no tensors"
    samples = contents.get(SAMPLES, b"")
    if samples and not plain_tensors(io.BytesIO(samples)):
        yield "example inputs that are no tensors"
    yield from _not_plain(json.loads(contents[MODEL]))


def _not_plain(document: Any) -> Iterator[str]:
    """What in a program is neither an operation on tensors, nor a size, a name or a structure."""
    if isinstance(document, Mapping):
        target, size = (document.get(key) for key in ("target", "expr_str"))
        if "inputs" in document and isinstance(target, str):
            is_operation = OPERATION.fullmatch(target) and not any(n in target for n in OPENS_FILES)
            if not is_operation:
                yield f"operation '{target:.60}'"
        if size is not None and not SIZE.fullmatch(str(size)):
            yield f"size '{size:.60}'"
        for name in (document.get("name"), document.get("as_name")):
            if isinstance(name, str) and not NAME.fullmatch(name):
                yield f"name '{name:.60}'"
        for spec in (document.get("in_spec"), document.get("out_spec")):
            yield from _not_plain_structures(json.loads(spec or "null"))
    for value in _inside(document):
        yield from _not_plain(value)


def _not_plain_structures(spec: Any) -> Iterator[str]:
    """What in a structure of inputs or outputs is more than tuples, lists and dictionaries."""
    if isinstance(spec, Mapping):
        kind, context = spec.get("type"), json.loads(spec.get("context") or "null")
        is_plain = kind is None or kind in STRUCTURES
        if not is_plain or spec.keys() - SPEC or _has_table(context):
            yield f"a structure of '{kind!s:.60}'"
    for value in _inside(spec):
        yield from _not_plain_structures(value)


def _has_table(document: Any) -> bool:
    """Whether a table is anywhere in a document: what torch may take for an enumeration."""
    return isinstance(document, Mapping) or any(map(_has_table, _inside(document)))


def _inside(document: Any) -> Iterable[Any]:
    if isinstance(document, Mapping):
        return document.values()
    return document if isinstance(document, list) else ()
