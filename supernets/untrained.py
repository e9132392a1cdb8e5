"""Networks that have learnt nothing, for what their operators alone make of an image.

Their weights follow from a seed, and are torch's own first ones: the supernet's start every branch
at zero (`supernets._modules.initialise`), where all operators see the same. Nobody keeps them: they
are made when they are first asked.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from torch import Tensor

from search_spaces import Slot
from supernets._elastic import run
from supernets._modules import seeded
from supernets.device import moved
from supernets.network import plain_class, plain_module, walk

COUNTS = "num_batches_tracked"
"""Of batch norms, which count in place."""


def untrained_features(
    slots: Sequence[Slot], images_BCHW: Tensor, *, seed: int
) -> dict[str, Tensor]:
    """What every slot of an untrained network gives, by its name and in their order.

    Batch norms use the statistics of the batch.

    Args:
        slots: The network's.
        images_BCHW: Where they are, it is computed.
        seed: Of its weights.
    """
    weights = _weights(tuple(slots), seed, str(images_BCHW.device))
    found: dict[str, Tensor] = {}

    def fill(slot: Slot, x_BCHW: Tensor) -> Tensor:
        plain = plain_class(slot.signature.operator)
        own = dict(weights[slot.name])
        found[slot.name] = run(plain, slot.signature, own, x_BCHW, training=True)
        return found[slot.name]

    walk(slots, images_BCHW, fill)
    return found


@lru_cache(maxsize=4)
def _weights(slots: tuple[Slot, ...], seed: int, device: str) -> Mapping[str, Mapping[str, Tensor]]:
    """By slot the state of its plain module."""
    with seeded(seed):
        states = {slot.name: plain_module(slot.signature).state_dict() for slot in slots}
    return {
        slot: {n: moved(t, device) for n, t in state.items() if not n.endswith(COUNTS)}
        for slot, state in states.items()
    }
