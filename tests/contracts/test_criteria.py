"""What every criterion keeps to: importance follows from the weights, member by member."""

from dataclasses import replace

import pytest
import torch

from search_spaces.operators._base import OPERATORS
from supernets._elastic import AbstractElastic
from supernets.criteria._base import CRITERIA, AbstractCriterion, GroupWeights
from supernets.supernet import Supernet
from tests.strategies import mini_space, noise, randomise_, slots_of

MEMBERS = 6
by_scale = pytest.mark.parametrize("has_scale", [True, False])
by_size = pytest.mark.parametrize("channels_each", [1, 4])


@pytest.fixture(params=CRITERIA.names())
def criterion(request: pytest.FixtureRequest) -> AbstractCriterion:
    found: AbstractCriterion = CRITERIA.get(request.param)()
    return found


def group(channels_each: int, *, has_scale: bool) -> GroupWeights:
    """Random weights of a group whose channels a kernel makes and a matrix reads."""
    channels = MEMBERS * channels_each
    return GroupWeights(
        made_by=noise(channels, 3, 5, 5, seed=1).requires_grad_(),
        read_by=noise(7, channels, seed=2).requires_grad_().transpose(0, 1),
        scale=noise(channels, seed=3).requires_grad_() if has_scale else None,
        num_members=MEMBERS,
    )


def changed(weights: GroupWeights, channels: torch.Tensor, factor: float = 1.0) -> GroupWeights:
    """These channels of a group, in this order, times a factor."""
    scale = None if weights.scale is None else factor * weights.scale[channels]
    return replace(
        weights,
        made_by=factor * weights.made_by[channels],
        read_by=factor * weights.read_by[channels],
        scale=scale,
    )


@by_size
@by_scale
def test_importance_is_a_finite_number_per_member_without_gradient(
    criterion: AbstractCriterion, channels_each: int, has_scale: bool
) -> None:
    found = criterion.importance(group(channels_each, has_scale=has_scale))
    assert found.shape == (MEMBERS,)
    assert found.isfinite().all()
    assert (found >= 0).all()
    assert not found.requires_grad


@by_size
@by_scale
def test_equal_weights_have_the_same_bits_of_importance_and_stay_as_they_were(
    criterion: AbstractCriterion, channels_each: int, has_scale: bool
) -> None:
    weights = group(channels_each, has_scale=has_scale)
    before = weights.made_by.detach().clone(), weights.read_by.detach().clone()
    first = criterion.importance(weights)
    assert torch.equal(first, criterion.importance(group(channels_each, has_scale=has_scale)))
    assert torch.equal(weights.made_by, before[0])
    assert torch.equal(weights.read_by, before[1])


@by_size
@by_scale
def test_members_in_another_order_have_their_importance_in_that_order(
    criterion: AbstractCriterion, channels_each: int, has_scale: bool
) -> None:
    weights = group(channels_each, has_scale=has_scale)
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    channels = (order[:, None] * channels_each + torch.arange(channels_each)).flatten()
    found = criterion.importance(changed(weights, channels))
    torch.testing.assert_close(found, criterion.importance(weights)[order])


@by_size
@by_scale
def test_members_whose_weights_are_all_zero_come_last(
    criterion: AbstractCriterion, channels_each: int, has_scale: bool
) -> None:
    weights = group(channels_each, has_scale=has_scale)
    channels = torch.arange(MEMBERS * channels_each)
    silent = changed(weights, channels[: 2 * channels_each], factor=0.0)
    rest = changed(weights, channels[2 * channels_each :])
    parts = [(getattr(silent, n), getattr(rest, n)) for n in ("made_by", "read_by", "scale")]
    joined = [None if first is None else torch.cat([first, other]) for first, other in parts]
    made_by, read_by, scale = joined
    assert made_by is not None
    assert read_by is not None
    found = criterion.importance(GroupWeights(made_by, read_by, scale, MEMBERS))
    assert (found[:2] == 0).all()
    assert (found[2:] > 0).all()


@pytest.mark.parametrize("operator", OPERATORS.names())
@torch.no_grad()
def test_a_supernet_ranked_by_it_has_sparse_members_of_the_declared_size(
    criterion: AbstractCriterion, operator: str
) -> None:
    name = type(criterion).__module__.rpartition(".")[2].replace("_", "-")
    space = mini_space(operators=(operator,)).with_policy(("fp32",), (0, 0.5))
    supernet = Supernet(space)
    randomise_(supernet, seed=1)
    supernet.rank(name)
    for module in supernet.modules():
        if isinstance(module, AbstractElastic):
            assert set(module.group_weights()) == set(module.prunable)
            for kind, weights in module.group_weights().items():
                recorded = module.get_buffer(f"importance_{kind}")
                assert torch.equal(recorded, criterion.importance(weights))
    slots = slots_of(space, sparsity=0.5)
    images = noise(2, 1, 16, 16)
    difference = supernet.eval()(images, slots) - supernet.extract(slots)(images)
    assert difference.abs().max() <= 1e-5
