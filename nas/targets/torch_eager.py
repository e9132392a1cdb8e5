"""The torch-eager target: a network as torch runs it in Python, for those who deploy that.

It takes checkpoints. Formats that multiply integers would be simulated, so none is offered; one of
weights alone computes in float32. Accuracy is that of the ONNX file of the same network
(docs/decisions/0039).
"""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, final

from nas.system.environment import version_of
from nas.targets._base import TARGETS, TORCH_CHECKPOINT, AbstractRuntime, Artefact
from nas.targets._checkpoints import loaded, network_and_images


@TARGETS.register
@final
class TorchEager(AbstractRuntime):
    """torch on the processor, an operator after the other, maps laid out NCHW."""

    artefact: ClassVar[Artefact] = TORCH_CHECKPOINT
    kernels: ClassVar[frozenset[str]] = frozenset({"float32"})

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

    def integer_kernels(self, file: Path) -> int:
        """None: see the module's docstring.

        Raises:
            CandidateError: If the file cannot be loaded.
        """
        loaded(file)
        return 0
