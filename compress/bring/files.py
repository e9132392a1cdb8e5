"""Networks that are files: ONNX, and exported programs."""

import math
from dataclasses import replace
from pathlib import Path

from compress.bring._images import refuse_other_images
from compress.bring._input import InputRule
from compress.bring._memory import refuse_large
from compress.bring.bring import Brought, bring, bring_program
from compress.bring.onnx._file import images_of, read_model
from compress.bring.onnx.load import load_onnx, sides_of
from compress.bring.program import load_program, sizes_of, with_free_batch
from search_spaces import Resolution, written_sides

ONNX, PROGRAM = ".onnx", ".pt2"
SUFFIXES = (ONNX, PROGRAM)
REAL_BYTES = 4


def is_model_file(model: str) -> bool:
    """Whether what a user typed names such a file, and not a function."""
    return Path(model).suffix in SUFFIXES


def input_rule_in(path: Path) -> InputRule:
    """What a file says of the images that it is for: their size, if it does not leave it open.

    Raises:
        UserError: If it cannot be read.
    """
    if path.suffix == ONNX:
        sizes, _ = images_of(path, read_model(path))
        sides = sides_of(sizes)
    else:
        _, *sides = sizes_of(load_program(path))
    refuse_large(f"model '{path}'", "an image for it has", REAL_BYTES * math.prod(sides))
    _, height, width = sides
    if not height or not width:
        return InputRule()
    return InputRule(written_sides((height, width)), places={"resolution": "file"})


def bring_file(path: Path, *, channels: int, resolution: Resolution) -> Brought:
    """What may be decided about the network of a file, and its weights.

    Args:
        path: Of it.
        channels: Of the images.
        resolution: Height and width of the images in pixels, as they are written.

    Raises:
        UserError: If it cannot be read, or is no classifier of such images.
    """
    if path.suffix == ONNX:
        found = load_onnx(path, channels=channels, resolution=resolution)
        brought = bring(path.stem, found.network, channels=channels, resolution=resolution)
        return replace(brought, notes=(*found.notes, *brought.notes))
    program = load_program(path)
    refuse_other_images(path, sizes_of(program)[1:], channels=channels, resolution=resolution)
    with_free_batch(path, program, channels=channels, resolution=resolution)
    return bring_program(path.stem, program)
