"""Every norm keeps its contract, and all of them share a supernet."""

from collections.abc import Callable
from operator import attrgetter

import pytest
import torch

from nas.testing._spaces import covering, random_supernet
from nas.testing.norms import CHECKS, SIDE, space_with
from search_spaces.norms import NORMS
from tests.strategies import noise


@pytest.mark.parametrize("check", CHECKS, ids=attrgetter("__name__"))
@pytest.mark.parametrize("norm", NORMS.names())
def test_any_norm(norm: str, check: Callable[[str], None]) -> None:
    check(norm)


@torch.no_grad()
def test_a_member_that_chooses_among_all_norms_equals_its_extraction() -> None:
    space = space_with(tuple(NORMS.names())).with_policy(("fp32",), (0.0, 0.5))
    supernet, images = random_supernet(space), noise(2, 1, SIDE, SIDE)
    for candidate in covering(space, samples=100):
        slots = space.slots(candidate.encoding)
        apart = supernet(images, slots) - supernet.extract(slots)(images)
        assert apart.abs().max() <= 1e-5, candidate.arch
