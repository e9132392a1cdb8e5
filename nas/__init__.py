"""Deciding, measuring, recording: the search.

`import nas` imports no torch. `nas.load(path)` gives the network in a front member's
model.safetensors.
"""

from pathlib import Path
from typing import Any


def load(path: str | Path) -> Any:
    """The network in a `model.safetensors` of a front member, as a torch module.

    Its outputs equal those of the `model.onnx` beside it.

    Raises:
        UserError: If the file is no such checkpoint.
    """
    from compress.store import load_network

    return load_network(Path(path))
