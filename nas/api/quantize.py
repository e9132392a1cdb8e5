"""`nas.quantize`: int8 files of a trained network, from some images of its kind or from none.

Nothing is trained, searched or timed, and no labels are needed: `nas compress` does all that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from torch import Tensor, nn

from compress.apply import quantize as quantized
from compress.artefact import write_artefact
from compress.bring.bring import bring, largest_slots, network_as_brought, space_of
from compress.calibration import CALIBRATIONS
from compress.distilled import distilled
from compress.export import INPUT
from nas.system.environment import int8_products_saturate
from nas.system.files import make_folder
from search_spaces import (
    DEFAULT_CALIBRATION,
    CandidateError,
    Resolution,
    Sides,
    Slot,
    UserError,
    read_sides,
    resolution_of,
)
from supernets.files import replacing
from supernets.fold import folded

PRECISION = "int8"
STEM = "model"
BATCH = 128


@final
@dataclass(frozen=True, kw_only=True)
class Quantized:
    """Files of a network in int8, and how far they can be trusted.

    Attributes:
        onnx: The network, quantized.
        checkpoint: The same for `nas.load`.
        same_answer: Share of the calibration images to which the ONNX file gives the answer of the
            network in full precision.
        num_images: How many those were.
        is_distilled: Whether they were made from the network.
        left_alone: Operations that stay in full precision because no rule knows them, and where.
    """

    onnx: Path
    checkpoint: Path
    same_answer: float
    num_images: int
    is_distilled: bool
    left_alone: tuple[tuple[str, str], ...]


def quantize(
    network: nn.Module,
    out: str | Path,
    *,
    channels: int,
    resolution: Resolution | Sides,
    images: npt.NDArray[np.float32] | None = None,
    calibration: str = DEFAULT_CALIBRATION,
    portable_int8: bool = False,
    seed: int = 0,
) -> Quantized:
    """Write a trained network in int8, with ranges of activations that images decide.

    Args:
        network: As `nas compress` takes it, with trained weights; put into evaluation mode.
        out: Folder for the files; made if it is missing.
        channels: Of its images.
        resolution: Height and width of its images in pixels: 96, "96x128" or (96, 128).
        images: Some hundred, normalised as in training, (N, channels, height, width); None to make
            some from the statistics of its batch norms.
        calibration: Name of what decides the ranges.
        portable_int8: Whether weights keep to 7 bits, which no processor saturates, even where this
            one could do with 8.
        seed: Of images that are made.

    Raises:
        UserError: If the network cannot be read or exported, images are of another shape, or there
            are none and no batch norm to make them from.
    """
    CALIBRATIONS.get(calibration)  # refuses a name before any work
    size = resolution_of(resolution)
    height, width = read_sides(size)
    shape = (channels, height, width)
    given = None if images is None else _checked(images, shape)
    name = type(network).__name__
    brought = bring(name, network.eval(), channels=channels, resolution=size)
    space = space_of(brought).with_policy((PRECISION,), (0.0,))
    slots = largest_slots(space)
    plain = network_as_brought(slots, brought.weights)
    seen = distilled(plain, shape=shape, seed=seed).images_BCHW if given is None else given
    full = folded(plain)
    files = [make_folder(Path(out)) / f"{STEM}{kind}" for kind in (".onnx", ".safetensors")]
    is_reduced = portable_int8 or int8_products_saturate()
    try:
        _write(files, full, slots, seen, calibrated_by=calibration, needs_reduced_range=is_reduced)
    except CandidateError as error:
        raise UserError(f"model '{name}' cannot be quantized: {error}") from error
    return Quantized(
        onnx=files[0],
        checkpoint=files[1],
        same_answer=_same(files[0], full, seen.split(BATCH)),
        num_images=len(seen),
        is_distilled=given is None,
        left_alone=brought.left_alone,
    )


def _write(
    files: Sequence[Path],
    full: nn.Module,
    slots: Sequence[Slot],
    images: Tensor,
    *,
    calibrated_by: str,
    needs_reduced_range: bool,
) -> None:
    """The network, quantized, in files of the kinds that their names end with."""
    deployed = quantized(
        full,
        slots,
        images.split(BATCH),
        calibrated_by=calibrated_by,
        needs_reduced_range=needs_reduced_range,
    ).network
    for file in files:
        with replacing(file) as temporary:
            write_artefact(file.suffix, deployed, slots, temporary)


def _checked(images: npt.NDArray[np.float32], shape: tuple[int, int, int]) -> Tensor:
    found = np.asarray(images)
    if found.ndim != 4 or found.shape[1:] != shape or not len(found):
        raise UserError(
            f"images have the shape {found.shape}. They must be (N, {', '.join(map(str, shape))}), "
            "as the network takes them, and at least one."
        )
    if not np.issubdtype(found.dtype, np.floating) or not np.isfinite(found).all():
        raise UserError(
            f"images are {found.dtype}. They must be finite floats: normalise them as in training."
        )
    return torch.tensor(found, dtype=torch.float32)


@torch.no_grad()
def _same(file: Path, full: nn.Module, batches: Sequence[Tensor]) -> float:
    """Share of images to which a file gives the answer of a module."""
    session = onnxruntime.InferenceSession(file)
    same = [
        session.run(None, {INPUT: images.numpy()})[0].argmax(1) == full(images).argmax(1).numpy()
        for images in batches
    ]
    return float(np.concatenate(same).mean())
