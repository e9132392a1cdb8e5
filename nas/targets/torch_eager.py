"""The torch-eager target: a network as torch runs it in Python, for those who deploy that."""

from collections.abc import Callable
from pathlib import Path
from typing import final

from nas.system.environment import version_of
from nas.targets._base import TARGETS
from nas.targets._checkpoints import AbstractTorchRuntime, network_and_images


@TARGETS.register
@final
class TorchEager(AbstractTorchRuntime):
    """torch on the processor, an operator after the other, maps laid out NCHW."""

    def prepare(self, file: Path, *, threads: int, batch: int) -> Callable[[], None]:
        """See `AbstractRuntime.prepare`. The process has this many threads from then on."""
        import torch

        network, images = network_and_images(file, threads=threads, batch=batch)

        @torch.inference_mode()
        def call() -> None:
            network(images)

        call()
        return call

    def describe(self) -> dict[str, str]:
        """See `AbstractTarget.describe`."""
        return {"runtime": "torch", "version": version_of("torch") or "unknown"}
