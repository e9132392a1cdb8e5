"""Networks for images of other sizes: maps and options are those of a space for such images."""

import numpy as np
import pytest

from nas.testing._drawn import draw_signature, seeded
from search_spaces import Shape, Slot, load_space, resized
from search_spaces.operators._base import OPERATORS


@pytest.mark.parametrize("name", OPERATORS.names())
def test_on_its_own_map_every_operator_stays_as_it_is(name: str) -> None:
    for signature in seeded(name, draw_signature, 4):
        slot = Slot("only", signature)
        assert resized([slot], signature.shape.in_size) == (slot,)


@pytest.mark.parametrize("space", ["mobile", "hybrid"])
def test_members_are_those_of_a_space_for_images_of_the_size(space: str) -> None:
    large, small = (
        load_space(space, resolution=side, channels=1, num_classes=10).with_policy(
            ("fp32",), (0.0, 0.5)
        )
        for side in (32, 30)
    )
    assert large.choices == small.choices
    for row in large.sample(np.random.default_rng(0), 30).tolist():
        assert resized(large.slots(row), (30, 30)) == small.slots(row)


def test_both_sides_follow() -> None:
    space = load_space("toy", resolution=16, channels=1, num_classes=10)
    *_, last, head = resized(space.slots([0] * len(space.choices)), (10, 13))
    assert last.signature.shape.size == (3, 4)
    assert head.signature.shape == Shape((3, 4), (1, 1), last.signature.shape.width, 10)
