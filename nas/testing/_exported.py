"""Networks that are compressed, exported, stored and asked again."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

from compress import Compressed, compress, export_onnx
from compress.store import load_network, save_network
from nas.system.environment import int8_products_saturate
from nas.testing._expect import require
from nas.testing._tensors import noise, randomise_
from search_spaces import DEFAULT_CALIBRATION, SearchSpace, Signature, Slot
from supernets.fold import folded
from supernets.network import PlainNetwork, plain_module
from supernets.supernet import Supernet

TOLERANCE = 1e-4


def compress_for_here(
    network: PlainNetwork,
    slots: Sequence[Slot],
    calibration: Sequence[torch.Tensor],
    calibrated_by: str = DEFAULT_CALIBRATION,
) -> Compressed:
    """Compressed so that this processor's integer kernels give the answers of the simulation."""
    return compress(
        network,
        slots,
        calibration,
        calibrated_by=calibrated_by,
        needs_reduced_range=int8_products_saturate(),
    )


def export(network: nn.Module, space: SearchSpace, path: Path) -> Path:
    """Writes the network of a space as ONNX."""
    assert space.network is not None
    size = space.network
    export_onnx(network, path, shape=(size.channels, *size.sides))
    return path


def answers(path: Path | onnxruntime.InferenceSession, images: torch.Tensor) -> np.ndarray:
    """Logits of a file, or of one that is loaded, on one thread."""
    session = loaded(path) if isinstance(path, Path) else path
    logits: np.ndarray = session.run(["logits"], {"images": images.numpy()})[0]
    return logits


def loaded(path: Path) -> onnxruntime.InferenceSession:
    """A file, to be asked several times."""
    return onnxruntime.InferenceSession(path, one_thread())


def one_thread() -> onnxruntime.SessionOptions:
    """Options of a session that says nothing but errors."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options


@torch.no_grad()
def require_exported_alike(signature: Signature) -> None:
    """What fills one slot answers alike as plain module and, folded, as ONNX file."""
    module, shape = plain_module(signature).eval(), signature.shape
    randomise_(module, seed=2)
    images = noise(2, shape.in_width, *shape.in_size, seed=3)
    with tempfile.TemporaryDirectory(prefix="nas-") as folder:
        path = Path(folder, "a.onnx")
        export_onnx(folded(module), path, shape=(shape.in_width, *shape.in_size))
        apart = float(np.abs(answers(path, images) - module(images).numpy()).max())
    require(apart <= TOLERANCE, f"the ONNX file of {signature} differs by {apart:.2g}")


@torch.no_grad()
def require_shipped_as_simulated(
    supernet: Supernet,
    slots: Sequence[Slot],
    *,
    least_same: float,
    calibrated_by: str = DEFAULT_CALIBRATION,
) -> None:
    """A member answers alike as compressed module and as ONNX file, and as its checkpoint exactly.

    Args:
        supernet: In evaluation mode.
        slots: Of the member.
        least_same: Share of the images on which the first two must give the same class.
        calibrated_by: Name of the calibration of integer grids.
    """
    size = supernet.space.network
    assert size is not None
    shape = (size.channels, *size.sides)
    calibration = [noise(16, *shape)]
    found = compress_for_here(supernet.extract(slots), slots, calibration, calibrated_by)
    network = found.network
    images = noise(60, *shape, seed=4)
    expected = network(images).numpy()
    what = f"{' '.join(slot.signature.operator for slot in slots)}"
    with tempfile.TemporaryDirectory(prefix="nas-") as folder:
        shipped = answers(export(network, supernet.space, Path(folder, "a.onnx")), images)
        same = float((expected.argmax(1) == shipped.argmax(1)).mean())
        require(same >= least_same, f"{what}: the ONNX file gives the same class to {same:.0%}")
        save_network(network, slots, Path(folder, "a.safetensors"))
        loaded = load_network(Path(folder, "a.safetensors"))(images).numpy()
        require(np.array_equal(loaded, expected), f"{what}: the checkpoint answers otherwise")
