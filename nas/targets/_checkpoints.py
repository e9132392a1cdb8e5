"""What runtimes that run torch modules make of a checkpoint: the network, and images for it."""

from pathlib import Path
from typing import Any

from nas.targets._inputs import random_inputs
from search_spaces import CandidateError, Slot, UserError, input_shape


def network_and_images(file: Path, *, threads: int, batch: int) -> tuple[Any, Any]:
    """A network in evaluation mode, and a batch of random images of the size that it reads.

    This process has so many threads from then on.

    Raises:
        CandidateError: If the file cannot be loaded.
    """
    import torch

    torch.set_num_threads(threads)
    network, shape = loaded(file)
    (array,) = random_inputs([(batch, *shape)])
    return network, torch.from_numpy(array)


def loaded(file: Path) -> tuple[Any, tuple[int, ...]]:
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
