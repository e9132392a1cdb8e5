"""What runtimes of ONNX files are fed with: the file's input at a batch size, random and fixed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from search_spaces import CandidateError

_INPUT_SEED = 0


def at_batch(file: Path, name: str, axes: Sequence[Any], batch: int) -> list[int]:
    """The shape of an input with its first axis set to `batch`, if that is open, or it already.

    Args:
        file: The model.
        name: Of the input.
        axes: Numbers, and anything else where an axis is open.
        batch: Images per call.

    Raises:
        CandidateError: If the first axis has another size, or another axis is open.
    """
    shape = list(axes)
    if shape and not isinstance(shape[0], int):
        shape[0] = batch
    if not all(isinstance(axis, int) for axis in shape) or shape[:1] != [batch]:
        raise CandidateError(
            f"file '{file}': input '{name}' has shape {list(axes)}; batches of {batch} need a "
            "first axis that is symbolic or of that size, and numbers elsewhere."
        )
    return shape


def random_inputs(shapes: Sequence[Sequence[int]]) -> list[np.ndarray]:
    """One array per shape: float32, from N(0, 1) with a fixed seed."""
    rng = np.random.default_rng(_INPUT_SEED)
    return [rng.standard_normal(tuple(shape), dtype=np.float32) for shape in shapes]
