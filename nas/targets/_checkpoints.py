"""What runtimes that run torch modules have in common.

They take checkpoints. Formats that multiply integers would be simulated, so none is offered; one of
weights alone computes in float32. Accuracy is that of the ONNX file of the same network
(docs/decisions/0039).
"""

from pathlib import Path
from typing import Any, ClassVar

from nas.targets._base import TORCH_CHECKPOINT, AbstractRuntime, Artefact
from nas.targets._inputs import random_inputs
from search_spaces import CandidateError, Slot, UserError, input_shape


class AbstractTorchRuntime(AbstractRuntime):
    """A runtime of checkpoints."""

    artefact: ClassVar[Artefact] = TORCH_CHECKPOINT
    kernels: ClassVar[frozenset[str]] = frozenset({"float32"})

    def integer_kernels(self, file: Path) -> int:
        """None: see the module's docstring.

        Raises:
            CandidateError: If the file cannot be loaded.
        """
        _loaded(file)
        return 0


def network_and_images(file: Path, *, threads: int, batch: int) -> tuple[Any, Any]:
    """A network in evaluation mode, and a batch of random images of the size that it reads.

    This process has so many threads from then on.

    Raises:
        CandidateError: If the file cannot be loaded.
    """
    import torch

    torch.set_num_threads(threads)
    network, shape = _loaded(file)
    (array,) = random_inputs([(batch, *shape)])
    return network, torch.from_numpy(array)


def _loaded(file: Path) -> tuple[Any, tuple[int, ...]]:
    """The network of a checkpoint, and the shape of an image.

    Raises:
        CandidateError: If the file cannot be loaded.
    """
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
