"""The torch-compile target: a network compiled by torch's inductor, for those who deploy that.

Every network is compiled by a C++ compiler in seconds, so processes that time the same files share
what is compiled: the first one compiles.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, final

from nas.system.environment import version_of
from nas.targets._base import TARGETS
from nas.targets._checkpoints import AbstractTorchRuntime, network_and_images
from search_spaces import CandidateError, UserError
from supernets.compiled import compiled, lacking
from supernets.device import CPU


@TARGETS.register
@final
class TorchCompile(AbstractTorchRuntime):
    """`torch.compile` with its own defaults, for one size of images and batch."""

    compiled_in: ClassVar[str] = "TORCHINDUCTOR_CACHE_DIR"

    def prepare(self, file: Path, *, threads: int, batch: int) -> Callable[[], None]:
        """See `AbstractRuntime.prepare`. The process has this many threads from then on."""
        import torch

        network, images = network_and_images(file, threads=threads, batch=batch)
        run = compiled(network)

        @torch.no_grad()
        def call() -> None:
            run(images)

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what torch's own modules import
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
        if what := lacking(CPU):
            raise UserError(
                f"target 'torch-compile' needs {what}. Install one (apt install g++), or name "
                "another one in the environment variable CXX."
            )
        return {"runtime": "torch compiled", "version": version_of("torch") or "unknown"}
