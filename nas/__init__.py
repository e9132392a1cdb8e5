"""Deciding, measuring, recording: the search.

`import nas` imports no torch. `nas.load(path)` gives the network in a front member's
model.safetensors.
"""

from pathlib import Path
from typing import Any


def load(path: str | Path) -> Any:
    """The network in a `model.safetensors` of a front member, as a torch module.

    Its outputs equal those of the `model.onnx` beside it. Where it lies in its run, operators of
    plug-ins are those that the run keeps; elsewhere `search_spaces.load_plugins` loads them before.

    Raises:
        UserError: If the file is no such checkpoint.
    """
    from compress.store import load_network
    from nas.run.own_files import kept_plugins
    from search_spaces import load_plugins

    for run in Path(path).resolve().parents[2:3]:
        load_plugins(kept_plugins(run))
    return load_network(Path(path))
