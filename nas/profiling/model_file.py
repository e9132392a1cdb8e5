"""ONNX files of any origin, as they are timed: what cannot be timed is refused in one message."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto

from nas.profiling.macs import UncountableError, count_macs
from nas.system.environment import environment
from nas.targets._onnx_wire import LARGEST_FILE
from search_spaces import Sides, UserError, some_of

TIMES_IN_MEMORY = 3
"""A session holds the weights of its file, again in the layout of its kernels, and reads the file
meanwhile; all files are loaded at the same time."""


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """A file that can be timed.

    Attributes:
        path: As the user gave it.
        timed: The file that is loaded: this one, or a copy of it with the sizes that were given.
        num_bytes: Of it and of the weights that lie beside it.
        macs: Multiply-adds per image; None where they cannot be counted.
        uncounted: Why not; "" where they are.
    """

    path: Path
    timed: Path
    num_bytes: int
    macs: int | None
    uncounted: str = ""


def read_files(
    paths: Sequence[Path], *, batch: int, resolution: Sides | None, folder: Path
) -> list[ModelFile]:
    """The files, each read once however often it is given.

    Args:
        paths: Of the files; not changed.
        batch: Images per call.
        resolution: Height and width for files that leave them open; None for none.
        folder: For copies.

    Raises:
        UserError: If one of them cannot be timed.
    """
    sizes = {path: _num_bytes(path) for path in paths}
    memory = environment()["memory_bytes"]
    needed = TIMES_IN_MEMORY * sum(sizes[path] for path in paths)
    if memory and needed > memory:
        raise UserError(
            f"models {some_of(paths)} have {sum(sizes[p] for p in paths) / 1e9:.1f} GB and "
            f"need about {needed / 1e9:.1f} GB of memory together; this machine has "
            f"{memory / 1e9:.1f} GB. Give fewer or smaller files."
        )
    found = {
        path: _read(path, sizes[path], batch, resolution, folder / f"{number}.onnx")
        for number, path in enumerate(sizes)
    }
    return [found[path] for path in paths]


def _num_bytes(path: Path) -> int:
    """Bytes of a file and of what lies beside it for it."""
    if not path.is_file():
        what = " is a folder" if path.is_dir() else ": there is no such file"
        raise UserError(f"model '{path}'{what}. Give the path of an ONNX file.")
    try:
        own = path.stat().st_size
        if own > LARGEST_FILE:
            raise UserError(
                f"model '{path}' has {own / 1e9:.1f} GB, and an ONNX file at most 2. Export it "
                "with its weights beside it (external data)."
            )
        model = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise UserError(f"model '{path}' cannot be read: {error.strerror}.") from error
    except UserError:
        raise
    except Exception as error:  # protobuf's classes are several
        raise UserError(
            f"model '{path}' is no ONNX file ({type(error).__name__}). Export it again."
        ) from error
    if not model.graph.node:
        raise UserError(f"model '{path}' is no ONNX file: it has no graph. Export it again.")
    return own + sum(place.stat().st_size for place in _beside(path, model))


def _beside(path: Path, model: onnx.ModelProto) -> list[Path]:
    """Files with weights of a model."""
    names = {
        entry.value
        for tensor in model.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    root = path.parent.absolute()
    places = [Path(os.path.normpath(root / name)) for name in sorted(names)]
    for place in places:  # which may be links to elsewhere, as caches of hubs have them
        if root not in place.parents or not place.is_file():
            raise UserError(
                f"model '{path}' has its weights in '{place.name}', which does not lie beside it. "
                "Put it there, as it was when the model was exported."
            )
    return places


def _read(
    path: Path, num_bytes: int, batch: int, resolution: Sides | None, copy: Path
) -> ModelFile:
    """What is known of a file, and a copy of it if sizes have to be set."""
    model = onnx.load(path, load_external_data=False)
    axes = _axes(path, model)
    first = axes[0].dim_value
    if 0 < first != batch:
        raise UserError(
            f"model '{path}' is made for batches of {first}, and the target "
            f"is called with {batch}. Give it batch={first}, as in --target "
            f"onnxruntime:batch={first}, or export it with a batch of any size."
        )
    is_changed = _set_sides(path, axes, resolution)
    try:
        macs, why = count_macs(model), ""
    except UncountableError as error:
        macs, why = None, str(error)
    if is_changed:
        whole = onnx.load(path)  # with the weights beside it, which the copy holds itself
        _set_sides(path, _axes(path, whole), resolution)
        for value in (*whole.graph.output, *whole.graph.value_info):
            value.type.tensor_type.ClearField("shape")  # of other sizes, maybe
        try:
            onnx.save(whole, copy)
        except Exception as error:  # protobuf's: too large for one file
            raise UserError(
                f"model '{path}' is too large to be copied with --resolution: {error!s:.100}. "
                "Export it with fixed sizes."
            ) from error
    timed = copy if is_changed else path
    return ModelFile(path=path, timed=timed, num_bytes=num_bytes, macs=macs, uncounted=why)


def _axes(path: Path, model: onnx.ModelProto) -> Any:
    """The axes of the one input.

    Raises:
        UserError: If there are several, or it is no tensor of reals with a batch.
    """
    known = {tensor.name for tensor in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in known]
    if len(inputs) != 1:
        names = some_of(f"'{each.name}'" for each in inputs)
        raise UserError(
            f"model '{path}' has {len(inputs)} inputs: {names or 'none'}. Files with exactly one, "
            "a batch of float32, can be timed."
        )
    kind = inputs[0].type.tensor_type
    if kind.elem_type != TensorProto.FLOAT:
        name = TensorProto.DataType.Name(kind.elem_type).lower()
        raise UserError(
            f"model '{path}' reads '{inputs[0].name}' of {name}. Files that read float32 can be "
            "timed: export it so."
        )
    if not kind.HasField("shape") or not kind.shape.dim:
        raise UserError(
            f"model '{path}' does not say how many axes '{inputs[0].name}' has. Export it with "
            "sizes, of which the first may be free."
        )
    return kind.shape.dim


def _set_sides(path: Path, axes: Any, resolution: Sides | None) -> bool:
    """Give free sides numbers, in place; whether there were any.

    Raises:
        UserError: If no number is known for one, or another than that of the file is asked for.
    """
    free = [place for place, axis in enumerate(axes) if place and axis.dim_value <= 0]
    written = ", ".join(str(axis.dim_value or axis.dim_param or "?") for axis in axes)
    if free and (len(axes) != 4 or 1 in free):
        raise UserError(
            f"model '{path}' reads a tensor of free sizes ({written}). Only the batch, and height "
            "and width of images, may be free: export it with numbers for the rest."
        )
    if free and resolution is None:
        raise UserError(
            f"model '{path}' reads images of any size ({written}). Say which with --resolution "
            "HEIGHTxWIDTH, such as --resolution 224 or 96x128."
        )
    if resolution is None:
        return False
    sides = tuple(axis.dim_value for axis in axes[2:]) if len(axes) == 4 else ()
    if len(sides) != 2 or any(0 < s != asked for s, asked in zip(sides, resolution, strict=True)):
        asked = "x".join(map(str, resolution))
        raise UserError(
            f"model '{path}' reads ({written}), and --resolution is {asked}. Leave it out for "
            "files that say their size."
        )
    for axis, side in zip(axes[2:], resolution, strict=True):
        axis.dim_value = side
    return bool(free)


def millions(macs: int | None) -> str:
    """Of multiply-adds, for tables."""
    if macs is None:
        return "?"
    digits = 3 if macs < 1e9 else max(3, int(math.log10(macs / 1e6)) + 1)
    return f"{macs / 1e6:.{digits}g}M"
