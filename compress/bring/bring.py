"""A network that was trained elsewhere becomes a space, and a supernet that has its weights."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from compress.bring._cut import Brought, brought
from compress.bring._read import read
from search_spaces import SearchSpace, UserError
from supernets.network import module_name
from supernets.supernet import Supernet
from supernets.traced.fragment import FRAGMENT

EXAMPLES = 2
"""Images that a network is traced with; how many there are is left open."""


def bring(
    network: nn.Module, *, channels: int, resolution: int
) -> tuple[Brought, Mapping[str, Tensor]]:
    """What may be decided about a network, and its weights by their own names.

    Args:
        network: In evaluation mode.
        channels: Of the images.
        resolution: Side of the images, pixels.

    Raises:
        UserError: If it cannot be traced, or is no classifier of such images.
    """
    images = torch.zeros(EXAMPLES, channels, resolution, resolution)
    try:
        with torch.no_grad():
            network(images)
    except Exception as error:  # of the user's code
        raise UserError(
            f"the network cannot be called with images of {channels} channels and {resolution} "
            f"px: {type(error).__name__}: {error!s:.300}. Give its --resolution, or data of its "
            "kind."
        ) from error
    reading, given, output = read(network, images)
    return brought(reading, given, output), reading.state


def supernet_of(space: SearchSpace, found: Brought, state: Mapping[str, Tensor]) -> Supernet:
    """A supernet whose largest member is the network that was brought.

    Args:
        space: Of `found.network`.
        found: Says where weights go.
        state: They.
    """
    supernet = Supernet(space)
    own = supernet.state_dict()
    for (slot, node, weight), key in found.weights.items():
        name = f"slots.{module_name(slot)}.operators.{FRAGMENT}.full.{node}.{weight}"
        own[name].copy_(state[key].detach())
    return supernet.eval()
