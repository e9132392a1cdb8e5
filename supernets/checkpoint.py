"""Weights in safetensors, written so that a crash leaves the old file or the new one.

Tensors are stored contiguous, because safetensors refuses channels_last ones. Numbers and names go
into the file's metadata as JSON.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from search_spaces import UserError

METADATA = "document"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], document: Mapping[str, Any]) -> None:
    """Write tensors and a JSON document atomically, synced to disk."""
    contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    temporary = path.with_name(f".{path.name}.part")
    try:
        save_file(contiguous, temporary, metadata={METADATA: json.dumps(document)})
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except SafetensorError as error:
        raise OSError(f"cannot write '{path}': {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and JSON document of a file that `write_tensors` wrote.

    Raises:
        UserError: If the file is not one.
    """
    try:
        with safe_open(path, framework="pt") as file:
            document = json.loads((file.metadata() or {})[METADATA])
            return {name: file.get_tensor(name) for name in file.keys()}, document  # noqa: SIM118
    except (SafetensorError, KeyError, json.JSONDecodeError, OSError) as error:
        raise UserError(
            f"'{path}' is not a weights file of this program ({error}). "
            "Restore it, or delete it to compute it again."
        ) from error


def same_shapes(state: Mapping[str, Tensor], module: torch.nn.Module) -> bool:
    """Whether `state` fits the module, name by name."""
    own = module.state_dict()
    return state.keys() == own.keys() and all(own[n].shape == t.shape for n, t in state.items())
