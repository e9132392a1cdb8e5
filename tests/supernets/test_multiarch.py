"""Several members a batch: each answers its own images as if alone, in the multiply-adds of one."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from nas.testing._spaces import random_supernet
from nas.testing.methods import example, small_images
from search_spaces import SearchSpace, Slot, UserError, signature_cost
from supernets.methods._base import AbstractMethod
from supernets.methods._lessons import LARGEST, RANDOM, SMALLEST
from supernets.methods.multiarch import LEAST_SHARE, MultiArch
from supernets.plan import TrainPlan
from supernets.steps import SupernetBatches
from supernets.supernet import Supernet
from tests.strategies import mini_space

PLAN = TrainPlan(steps=4, batch_size=16)
Call = tuple[torch.Tensor, tuple[Slot, ...], torch.Tensor]


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return mini_space(operators=("mbconv", "window"))


@contextmanager
def calls_of(supernet: Supernet) -> Iterator[list[Call]]:
    """Images, member and answers of every pass in this context."""
    found: list[Call] = []
    handle = supernet.register_forward_hook(
        lambda _, given, answer: found.append((*given, answer.detach()))
    )
    try:
        yield found
    finally:
        handle.remove()


def stepped(
    method: AbstractMethod, supernet: Supernet, turn: int = 0
) -> tuple[list[str], list[Call]]:
    """Roles and passes of one batch."""
    with calls_of(supernet) as calls:
        losses, _ = SupernetBatches(PLAN, method)(supernet, small_images(), turn, {})
    return [role for role, _ in losses], calls


@pytest.mark.parametrize("num_members", [2, 4])
def test_an_image_is_answered_as_by_its_member_alone(space: SearchSpace, num_members: int) -> None:
    """In evaluation mode: batch norm has the statistics of a member's images in training."""
    supernet = random_supernet(space)
    _, calls = stepped(MultiArch(space=space, num_members=num_members), supernet, turn=3)
    assert len(calls) == num_members
    assert len({arch for _, arch, _ in calls}) > 1
    with torch.no_grad():
        for images_BCHW, arch, answers_BK in calls:
            alone = supernet.extract(arch)
            for image_CHW, answer_K in zip(images_BCHW, answers_BK, strict=True):
                torch.testing.assert_close(
                    alone(image_CHW[None])[0], answer_K, rtol=1e-5, atol=1e-5
                )


@pytest.mark.parametrize("num_members", [1, 3, 8])
def test_a_batch_costs_at_most_one_pass_of_the_largest(
    space: SearchSpace, num_members: int
) -> None:
    assert space.costs is not None
    largest = space.costs.maximum("macs")[0]
    supernet = Supernet(space).train()
    for turn in range(0, 8, 3):
        _, calls = stepped(MultiArch(space=space, num_members=num_members), supernet, turn)
        macs = sum(
            len(images_BCHW) * sum(signature_cost(slot.signature).macs for slot in arch)
            for images_BCHW, arch, _ in calls
        )
        assert sum(len(images_BCHW) for images_BCHW, _, _ in calls) == PLAN.batch_size
        assert macs <= PLAN.batch_size * largest


def test_the_images_of_all_members_are_the_batch(space: SearchSpace) -> None:
    method, supernet = MultiArch(space=space, num_members=3), Supernet(space).train()
    _, calls = stepped(method, supernet)
    context = SupernetBatches(PLAN, method).context(supernet, small_images(), 0)
    assert torch.equal(torch.cat([images for images, _, _ in calls]), context.images_BCHW)


def test_one_member_is_sortednet_bit_by_bit() -> None:
    gradients = []
    for name, fields in (("multiarch", {"num_members": 1}), ("sortednet", {})):
        method = type(example(name))(space=example(name).space, **fields)
        supernet = Supernet(method.space).train()
        for turn in range(4):
            stepped(method, supernet, turn)
        gradients.append([p.grad for p in supernet.parameters()])
    for one, other in zip(*gradients, strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.equal(one, other)


def test_every_batch_has_members_of_all_roles(space: SearchSpace) -> None:
    supernet = Supernet(space).train()
    for turn in range(8):
        roles, _ = stepped(MultiArch(space=space), supernet, turn)
        assert sorted(roles) == sorted([LARGEST, SMALLEST, RANDOM, RANDOM])


@pytest.mark.parametrize(
    ("num_images", "sizes"), [(32, [8] * 4), (18, [4, 5, 4, 5]), (9, [4, 5]), (3, [3])]
)
def test_shares_cover_the_batch_and_none_is_too_small_for_batch_norm(
    space: SearchSpace, num_images: int, sizes: list[int]
) -> None:
    parts = MultiArch(space=space).parts(num_images)
    assert [part.stop - part.start for part in parts] == sizes
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(num_images))
    assert len(parts) == 1 or min(sizes) >= LEAST_SHARE


def test_more_members_than_turns_are_refused(space: SearchSpace) -> None:
    with pytest.raises(UserError, match="'multiarch': num_members is 9. It must be at least 1"):
        MultiArch(space=space, num_members=9)
