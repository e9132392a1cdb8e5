"""Networks whose forward and backward passes are compiled by torch's inductor while they train.

Only networks that are trained alone are: a member of a supernet is another graph in every step.
torch keeps what it compiles in files (TORCHINDUCTOR_CACHE_DIR), so the next process that compiles
the same network takes less time. Compiled steps round otherwise, and checkpoints know nothing of
them: a training may go on without a compiler.
"""

import os
import shutil
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from supernets.device import COMPILED_FOR, is_cpu, kind_of

if TYPE_CHECKING:
    from torch import nn

ALWAYS, NEVER, IF_IT_PAYS = "always", "never", "if-it-pays"
"""Whether networks that are trained alone are compiled; plans of such trainings have decided it."""

_RUNNING: "WeakKeyDictionary[nn.Module, Callable[[Any], Any]]" = WeakKeyDictionary()
"""The compiled pass of each network that is in `compiling` now."""


def lacking(device: str) -> str:
    """What is not here that compiling for a device needs; "" if nothing."""
    kind = kind_of(device)
    if kind not in COMPILED_FOR:
        return f"torch's compiler for '{kind}'"
    if is_cpu(device):
        compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
        return "" if shutil.which(compiler) else f"a C++ compiler: '{compiler}' is not found"
    from torch.utils._triton import has_triton

    return "" if has_triton() else "Triton"


@contextmanager
def compiling(network: "nn.Module", *, device: str) -> Iterator[None]:
    """In this context `pass_of` gives a compiled pass, which its first call compiles.

    Nothing is compiled where something is lacking for it.
    """
    if lacking(device):
        yield
        return
    _RUNNING[network] = _quietly(compiled(network))
    try:
        yield
    finally:
        del _RUNNING[network]


def pass_of(network: "nn.Module") -> Callable[[Any], Any]:
    """What computes a network's answers to images: compiled, or the network itself."""
    return _RUNNING.get(network, network)


def compiled(network: "nn.Module") -> Callable[[Any], Any]:
    """The network for one size of images and batch; compiled when it is called.

    One thread compiles: others would wait beside what is timed.
    """
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what torch's own modules import
        from torch._inductor import config

        config.compile_threads = 1
        return torch.compile(_of_its_own(network), dynamic=False)


def _quietly(run: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Without torch's warnings of its own modules."""

    def call(images_BCHW: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return run(images_BCHW)

    return call


def _of_its_own(network: "nn.Module") -> Callable[[Any], Any]:
    """A function that runs this network alone.

    What is compiled belongs to code: of one function for all networks, each call would look for its
    network among all of them, and after eight of them torch would compile no more.
    """

    def run(images_BCHW: Any) -> Any:
        return network(images_BCHW)

    return types.FunctionType(
        run.__code__.replace(), run.__globals__, run.__name__, None, run.__closure__
    )
