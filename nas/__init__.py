"""Architecture search jointly with quantization and pruning, against measured latency.

`nas.search(...)` runs or continues a search, `nas.open(path)` reads one, `nas.load(path)` is a
network of one as a torch module, `nas.preprocess(card, image)` is what it takes for an image,
`nas.quantize(network, folder, ...)` writes a trained network in int8, `nas.UserError` is what a
wrong argument raises. What these need is imported when they are first used: `import nas` imports no
torch.

onnxruntime would report its use to its makers. It reads an environment variable when it is loaded,
and processes inherit that: set here, it is there before onnxruntime is, in every process of ours.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.api.load import load
    from nas.api.preprocess import preprocess
    from nas.api.quantize import quantize
    from nas.api.run_view import RunView as Run
    from nas.api.run_view import open_run as open
    from nas.api.search import search
    from search_spaces import UserError

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = ["Run", "UserError", "load", "open", "preprocess", "quantize", "search"]

_PLACES = {
    "Run": ("nas.api.run_view", "RunView"),
    "UserError": ("search_spaces", "UserError"),
    "load": ("nas.api.load", "load"),
    "open": ("nas.api.run_view", "open_run"),
    "preprocess": ("nas.api.preprocess", "preprocess"),
    "quantize": ("nas.api.quantize", "quantize"),
    "search": ("nas.api.search", "search"),
}


def __getattr__(name: str) -> Any:
    """What is offered under this name, imported now."""
    if name not in _PLACES:
        raise AttributeError(f"module 'nas' has no attribute '{name}'")
    module, attribute = _PLACES[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    """With what was not used yet."""
    return sorted({*globals(), *_PLACES})
