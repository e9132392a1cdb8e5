"""The torch-eager target: a network as torch runs it in Python, for those who deploy that.

It takes checkpoints. Formats that multiply integers would be simulated, so none is offered; one of
weights alone computes in float32. Accuracy is that of the ONNX file of the same network
(docs/decisions/0039).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, final

from nas.system.environment import version_of
from nas.targets._base import TARGETS, TORCH_CHECKPOINT, AbstractRuntime, Artefact
from nas.targets._inputs import random_inputs
from search_spaces import CandidateError, Slot, UserError, input_shape


@TARGETS.register
@final
class TorchEager(AbstractRuntime):
    """torch on the processor, an operator after the other, maps laid out NCHW."""

    artefact: ClassVar[Artefact] = TORCH_CHECKPOINT
    kernels: ClassVar[frozenset[str]] = frozenset({"float32"})

    def prepare(self, file: Path, *, threads: int, batch: int) -> Callable[[], None]:
        """See `AbstractRuntime.prepare`. The process has this many threads from then on."""
        import torch

        torch.set_num_threads(threads)
        network, shape = _loaded(file)
        (array,) = random_inputs([(batch, *shape)])
        images = torch.from_numpy(array)

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
        _loaded(file)
        return 0


def _loaded(file: Path) -> tuple[Any, tuple[int, ...]]:
    """The network of a checkpoint, and the shape of an image."""
    from compress.store import load_network
    from supernets._modules import seeded
    from supernets.checkpoint import read_tensors

    try:
        with seeded(0):  # weights are drawn before those of the file take their place
            network = load_network(file)
        first = Slot.from_json(read_tensors(file)[1]["slots"][0])
    except UserError as error:
        raise CandidateError(str(error)) from error
    return network, input_shape(first.signature)
