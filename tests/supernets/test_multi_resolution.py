"""Training at several sizes of images: which members can, and that their weights are the same."""

import pytest
import torch

from nas.testing._spaces import random_supernet
from nas.testing.methods import small_space
from search_spaces import UserError, load_space
from supernets.methods.multi_resolution import MultiResolution
from supernets.network import slots_at
from tests.contexts import assert_even_steps, context_for
from tests.strategies import mini_space, noise, slots_of

UNSIZED = ("basic", "mbconv", "convnext", "inception", "sra", "lsconv")


@pytest.mark.parametrize("side", [8, 12, 15])
def test_a_member_on_smaller_images_is_what_is_cut_out_for_them(side: int) -> None:
    space = mini_space(operators=UNSIZED)
    supernet = random_supernet(space)
    for operator in UNSIZED:
        slots = slots_at(slots_of(space, operator=operator), (side, side))
        assert slots is not None
        images = noise(3, 1, side, side)
        found = supernet(images, slots)
        assert found.shape == (3, 10)
        torch.testing.assert_close(found, supernet.extract(slots)(images), rtol=1e-4, atol=1e-4)


def test_members_whose_weights_belong_to_a_map_stay_at_its_size() -> None:
    space = small_space()
    assert slots_at(slots_of(space, operator="window"), (8, 8)) is None
    assert slots_at(slots_of(space, operator="mbconv"), (8, 8)) is not None


def test_a_batch_trains_at_two_sizes_where_it_can() -> None:
    space = mini_space(operators=("mbconv",))
    method = MultiResolution(space=space)
    assert {len(method.step(context_for(method, turn=turn))) for turn in range(4)} == {2}
    mixed = MultiResolution(space=small_space())
    assert {len(mixed.step(context_for(mixed, turn=turn))) for turn in range(8)} == {1, 2}


def test_consistency_is_a_share_of_the_loss_of_the_copy() -> None:
    space = mini_space(operators=("mbconv",))
    assert_even_steps(*(MultiResolution(space=space, consistency=c) for c in (0.0, 0.5, 1.0)))


def test_copies_are_evenly_spaced_down_to_the_smallest() -> None:
    space = load_space("mobile", resolution=32, channels=1, num_classes=10)
    assert MultiResolution(space=space)._sides == ((24, 24), (16, 16))
    assert MultiResolution(space=space, smallest=0.1)._sides == ((18, 18), (8, 8))
    wide = load_space("mobile", resolution="32x48", channels=1, num_classes=10)
    assert MultiResolution(space=wide)._sides == ((24, 36), (16, 24))


def test_sizes_are_drawn_by_batch() -> None:
    method = MultiResolution(space=mini_space(operators=("mbconv",)), smallest=0.6)
    seen = set()
    for turn in range(8):
        context = context_for(method, turn=turn)
        context.supernet.register_forward_pre_hook(
            lambda _, arguments: seen.add(arguments[0].shape[-1])
        )
        method.step(context)
    assert seen == {16, 13, 10}


def test_a_space_that_takes_no_other_images_is_refused() -> None:
    with pytest.raises(UserError, match=r"all operators of space 'mini' \(raft, window\) belong"):
        MultiResolution(space=mini_space(operators=("raft", "window")))
    with pytest.raises(UserError, match="smallest is 1.5"):
        MultiResolution(space=small_space(), smallest=1.5)
