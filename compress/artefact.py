"""Writing a network as the file that a target takes."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import nn

from compress.export import export_onnx
from compress.store import save_network
from search_spaces import Slot, input_shape


def _write_onnx(network: nn.Module, slots: Sequence[Slot], path: Path) -> None:
    export_onnx(network, path, shape=input_shape(slots[0].signature))


_WRITERS: Mapping[str, Callable[[nn.Module, Sequence[Slot], Path], None]] = {
    ".onnx": _write_onnx,
    ".safetensors": save_network,
}


def write_artefact(artefact: str, network: nn.Module, slots: Sequence[Slot], path: Path) -> None:
    """Write a network that `compress` made from these slots, the first of which reads the images.

    Args:
        artefact: ".onnx", or ".safetensors" for a checkpoint; the path need not end so.
        network: In evaluation mode.
        slots: In the formats that the network has.
        path: The file; its folder must exist.

    Raises:
        CandidateError: If the network cannot be exported.
        OSError: If the file cannot be written.
    """
    _WRITERS[artefact](network, slots, path)
