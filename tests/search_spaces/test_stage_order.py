"""The order of operators over the stages is a part of what is searched."""

from itertools import product

from nas.problem.fix import fixed
from search_spaces import load_space


def test_every_order_of_convolution_and_attention_is_a_network_of_its_own() -> None:
    space = load_space("hybrid", resolution=32, channels=3, num_classes=10)
    orders = list(product(("mbconv", "window"), repeat=3))
    keys = set()
    for order in orders:
        texts = [f"stage{n}.block*.operator={name}" for n, name in enumerate(order, start=1)]
        part = fixed(space, texts)
        candidate = part.candidate([0] * len(part.choices))
        slots = space.slots(space.encode(candidate.arch))
        found = {s.name.partition(".")[0]: s.signature.operator for s in slots if "block" in s.name}
        assert tuple(found.values()) == order
        keys.add(space.candidate(space.encode(candidate.arch)).key)
    assert len(keys) == len(orders)
