"""Weights in safetensors, written so that a crash leaves the old file or the new one.

Tensors are stored contiguous, because safetensors refuses channels_last ones. Numbers and names go
into the file's metadata as JSON, with a checksum of everything: weights in which a bit has changed
load like any others.
"""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from search_spaces import UserError
from supernets.files import replacing

METADATA, CHECKSUM = "document", "crc32"
UNREADABLE = (
    *(SafetensorError, OSError, LookupError, ValueError, TypeError, AttributeError),
    *(RecursionError, AssertionError, ArithmeticError),
)
"""What reading a file of another kind raises, or a document of another shape."""


def write_tensors(path: Path, tensors: Mapping[str, Tensor], document: Mapping[str, Any]) -> None:
    """Write tensors and a JSON document atomically, synced to disk."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # NOTE: one entry, because safetensors writes several in random order.
    sealed = {**document, CHECKSUM: checksum(contiguous, document)}
    # NOTE: not `save_file`, which makes files that only their owner can read.
    content = save(contiguous, metadata={METADATA: json.dumps(sealed)})
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those whose names begin so, by what follows."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and JSON document of a file that `write_tensors` wrote.

    Raises:
        UserError: If the file is not one.
    """
    try:
        with safe_open(path, framework="pt") as file:
            document = json.loads((file.metadata() or {})[METADATA])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if document.pop(CHECKSUM) != checksum(tensors, document):
            raise ValueError("its content is not what was written: the checksum differs")
        return tensors, document
    except UNREADABLE as error:
        raise UserError(
            f"'{path}' is not a weights file of this program ({error}). "
            "Restore it, or delete it to compute it again."
        ) from error


def checksum(tensors: Mapping[str, Tensor], document: Mapping[str, Any]) -> int:
    """Of a document and of contiguous tensors with their names, in whatever order they come."""
    found = zlib.crc32(json.dumps(document, sort_keys=True).encode())
    for name in sorted(tensors):
        found = zlib.crc32(name.encode(), found)
        found = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, found)
    return found


def same_shapes(state: Mapping[str, Tensor], module: torch.nn.Module) -> bool:
    """Whether `state` fits the module, name by name."""
    own = module.state_dict()
    return state.keys() == own.keys() and all(own[n].shape == t.shape for n, t in state.items())
