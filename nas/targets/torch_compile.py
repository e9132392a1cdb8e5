"""The torch-compile target: a network compiled by torch's inductor, for those who deploy that.

Every network is compiled by a C++ compiler in seconds, so processes that time the same files share
what is compiled: the first one compiles.
"""

import os
import shutil
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, final

from nas.system.environment import version_of
from nas.targets._base import TARGETS
from nas.targets._checkpoints import AbstractTorchRuntime, network_and_images
from search_spaces import CandidateError, UserError


@TARGETS.register
@final
class TorchCompile(AbstractTorchRuntime):
    """`torch.compile` with its own defaults, for one size of images and batch."""

    compiled_in: ClassVar[str] = "TORCHINDUCTOR_CACHE_DIR"

    def prepare(self, file: Path, *, threads: int, batch: int) -> Callable[[], None]:
        """See `AbstractRuntime.prepare`. The process has this many threads from then on."""
        import torch

        network, images = network_and_images(file, threads=threads, batch=batch)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what torch's own modules import
            from torch._inductor import config

            config.compile_threads = 1  # others would wait beside the calls that are timed
            compiled = torch.compile(_of_its_own(network), dynamic=False)

            @torch.no_grad()
            def call() -> None:
                compiled(images)

            try:
                call()
                call()  # what the first one has found out may compile it again
            except Exception as error:  # of dynamo, inductor or the compiler, of no common class
                raise CandidateError(
                    f"file '{file}' cannot be compiled by torch: {error!s:.500}"
                ) from error
        return call

    def describe(self) -> dict[str, str]:
        """See `AbstractTarget.describe`.

        Raises:
            UserError: Also if there is no C++ compiler.
        """
        compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
        if shutil.which(compiler) is None:
            raise UserError(
                f"target 'torch-compile' needs a C++ compiler, and '{compiler}' is not found. "
                "Install one (apt install g++), or name another one in the environment variable "
                "CXX."
            )
        return {"runtime": "torch compiled", "version": version_of("torch") or "unknown"}


def _of_its_own(network: Any) -> Callable[[Any], Any]:
    """A function that runs this network alone.

    What is compiled belongs to code: of one function for all networks, each call would look for its
    network among all of them, and after eight of them torch would compile no more.
    """

    def run(images_BCHW: Any) -> Any:
        return network(images_BCHW)

    return types.FunctionType(
        run.__code__.replace(), run.__globals__, run.__name__, None, run.__closure__
    )
