"""Paths that are left out at random while one network is trained, the rather the later it is.

Where a network adds up several maps, as nodes of a cell do, each of them is 0 for an image with a
chance that rises linearly over the training, and is divided by the chance that it stays. What is
added learns not to rely on its neighbours. Maps that are nothing but another one are never left
out.

Source: Zoph et al., Learning Transferable Architectures for Scalable Image Recognition (2018),
section 4, ScheduledDropPath. Departure: nodes that a cell hands on are added up here, and so are
paths, too.

Shapes: B batch, C channels, H W space.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from search_spaces import Slot
from supernets.device import moved
from supernets.network import PlainNetwork, has_sum, module_name

IDENTITY = "identity"
DRAWS = 5
"""Tells seeds of what is left out from other random numbers of a training."""


def paths_of(slots: Sequence[Slot]) -> list[str]:
    """Names of the slots whose maps are added to others, but for those that change nothing."""
    added = {name for slot in slots if has_sum(slot) for name in slot.inputs or ()}
    return [
        slot.name for slot in slots if slot.name in added and slot.signature.operator != IDENTITY
    ]


@contextmanager
def dropping(network: nn.Module, rate: float, *, seed: int, turn: int) -> Iterator[None]:
    """In this context the network that is trained leaves out paths.

    Args:
        network: It, or a module that trains it; of others nothing is left out.
        rate: The chance of each path and image, below 1; 0 leaves out none.
        seed: Of the training.
        turn: Number of the batch.
    """
    plain = next((each for each in network.modules() if isinstance(each, PlainNetwork)), None)
    with ExitStack() as hooks:
        if plain is not None and rate > 0.0:
            rng = np.random.default_rng([seed, DRAWS, turn])
            for name in paths_of(plain.arch):
                path = plain.get_submodule(module_name(name))
                hooks.enter_context(path.register_forward_hook(partial(_some, rate, rng)))
        yield


def _some(
    rate: float, rng: np.random.Generator, module: nn.Module, given: object, path_BCHW: Tensor
) -> Tensor:
    """The map of some images, larger by as much as there are fewer."""
    stays_B = rng.random(len(path_BCHW)) >= rate
    factors_B = torch.from_numpy((stays_B / (1.0 - rate)).astype(np.float32))
    own_B = moved(factors_B, str(path_BCHW.device)).to(path_BCHW.dtype)
    return path_BCHW * own_B.reshape(-1, *[1] * (path_BCHW.ndim - 1))
