"""`nas.load`: a network of a front as a torch module."""

import json
from pathlib import Path
from typing import Any


def load(path: str | Path) -> Any:
    """The network in `model.safetensors` or `model.fp32.safetensors` of a front member, for torch.

    Or that in `exits.safetensors` of `nas exits`, which gives the answers of all of its exits.

    Its outputs equal those of the ONNX file of that name up to rounding. Networks in full precision
    can be trained and exported; quantized ones compute what their integers say, and nothing more.
    Where it lies in its run, the plug-ins that it names are those that the run keeps; elsewhere
    `search_spaces.load_plugins` loads them before. In a folder that is no run, nothing is executed.

    Raises:
        UserError: If the file is no such checkpoint.
    """
    from compress.exits import has_exits, load_exits
    from compress.store import load_network
    from nas.run.own_files import load_named
    from supernets._modules import seeded
    from supernets.checkpoint import read_tensors

    _, document = read_tensors(Path(path))
    for run in Path(path).resolve().parents[2:3]:
        load_named(run, json.dumps(document.get("slots"), ensure_ascii=False))
    read = load_exits if has_exits(document) else load_network
    with seeded(0):  # weights are drawn before those of the file take their place
        return read(Path(path))
