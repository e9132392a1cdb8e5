"""A target: torch as Python runs it, with channels last in memory, on checkpoints.

A target of compiled or exported programs differs in one line of `prepare`, such as
`torch.export.export(network, (images,)).module()`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, final

import torch

import nas
from nas.targets import TARGETS, AbstractRuntime
from search_spaces import CandidateError, Slot, UserError
from supernets.checkpoint import read_tensors


@final
@TARGETS.register
class TorchChannelsLast(AbstractRuntime):
    """Formats that multiply integers would be simulated here, so none is offered."""

    artefact: ClassVar = ".safetensors"
    kernels: ClassVar = frozenset({"float32"})

    def prepare(self, file: Path, *, threads: int, batch: int) -> Callable[[], None]:
        torch.set_num_threads(threads)
        try:
            network = nas.load(file).to(memory_format=torch.channels_last)
            first = Slot.from_json(read_tensors(file)[1]["slots"][0]).signature.shape
        except UserError as error:
            raise CandidateError(str(error)) from error
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(batch, first.in_width, *first.in_size, generator=generator)
        images = images.to(memory_format=torch.channels_last)

        @torch.inference_mode()
        def call() -> None:
            network(images)

        call()
        return call

    def describe(self) -> dict[str, str]:
        return {"runtime": "torch, channels last", "version": torch.__version__}

    def integer_kernels(self, file: Path) -> int:
        return 0
