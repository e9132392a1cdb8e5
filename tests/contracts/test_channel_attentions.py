"""Every channel attention keeps its contract, and all of them share a block's other weights."""

from collections.abc import Callable
from operator import attrgetter

import pytest
import torch

from nas.testing._spaces import covering, random_supernet
from nas.testing.channel_attentions import CHECKS, SIDE, space_with
from search_spaces.channel_attentions import CHANNEL_ATTENTIONS
from supernets.supernet import Supernet, largest_signatures
from tests.strategies import noise


@pytest.mark.parametrize("check", CHECKS, ids=attrgetter("__name__"))
@pytest.mark.parametrize("name", CHANNEL_ATTENTIONS.names())
def test_any_channel_attention(name: str, check: Callable[[str], None]) -> None:
    check(name)


@pytest.fixture(scope="module")
def of_all() -> Supernet:
    space = space_with(tuple(CHANNEL_ATTENTIONS.names()))
    return random_supernet(space.with_policy(("fp32",), (0.0, 0.5)))


def test_blocks_share_their_weights_whatever_their_channel_attention(of_all: Supernet) -> None:
    of_block = largest_signatures(of_all.space)["stage1.block1"]
    assert set(of_block) == {"operators.basic", "operators.mbconv"}


@torch.no_grad()
def test_a_member_that_chooses_among_all_of_them_equals_its_extraction(of_all: Supernet) -> None:
    space, images = of_all.space, noise(2, 1, SIDE, SIDE)
    for candidate in covering(space, samples=100):
        slots = space.slots(candidate.encoding)
        apart = of_all(images, slots) - of_all.extract(slots)(images)
        assert apart.abs().max() <= 1e-5, candidate.arch


@torch.no_grad()
def test_a_part_of_the_space_keeps_the_weights_of_its_channel_attentions(of_all: Supernet) -> None:
    names = {name: ("se", "scse") for name in _choices(of_all)}
    part = of_all.restricted(of_all.space.restricted(names))
    for candidate in covering(part.space, samples=20):
        slots = part.space.slots(candidate.encoding)
        images = noise(2, 1, SIDE, SIDE)
        assert torch.equal(part.extract(slots)(images), of_all.extract(slots)(images))


def _choices(supernet: Supernet) -> list[str]:
    return [c.name for c in supernet.space.choices if c.name.endswith(".channel_attention")]
