"""What every pruning criterion keeps to: importance follows from the weights, member by member."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from nas.testing._expect import require
from nas.testing._tensors import noise, randomise_
from search_spaces import load_space
from supernets._elastic import AbstractElastic
from supernets.criteria._base import CRITERIA, AbstractCriterion, GroupWeights
from supernets.supernet import Supernet

MEMBERS, SILENT = 6, 2


def check_importance_is_a_number_per_member(name: str) -> None:
    """Importance is a finite number per member, at least 0, without a gradient."""
    for group in _groups():
        found = _importance(name, group)
        require(found.shape == (MEMBERS,), f"its shape is {tuple(found.shape)}, not ({MEMBERS},)")
        require(found.isfinite().all() and (found >= 0).all(), f"it is {found.tolist()}")
        require(not found.requires_grad, "it keeps a graph of gradients")


def check_equal_weights_are_equally_important(name: str) -> None:
    """Equal weights have the same bits of importance, and stay as they were."""
    for group, again in zip(_groups(), _groups(), strict=True):
        found = _importance(name, group)
        require(torch.equal(found, _importance(name, again)), "equal weights, and another result")
        same = torch.equal(group.made_by, again.made_by) and torch.equal(
            group.read_by, again.read_by
        )
        require(same, "it changes the weights")


def check_the_order_of_members_does_not_matter(name: str) -> None:
    """Members in another order have their importance in that order."""
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    for group in _groups():
        each = len(group.made_by) // MEMBERS
        channels = (order[:, None] * each + torch.arange(each)).flatten()
        found, expected = _importance(name, _changed(group, channels)), _importance(name, group)
        apart = float((found - expected[order]).abs().max())
        require(torch.allclose(found, expected[order]), f"importance differs by {apart:.2g}")


def check_silent_members_come_last(name: str) -> None:
    """Members whose weights are all zero come last."""
    for group in _groups():
        silent = SILENT * len(group.made_by) // MEMBERS
        factor_C = (torch.arange(len(group.made_by)) >= silent).float()
        found = _importance(name, _scaled(group, factor_C))
        require((found[:SILENT] == 0).all(), f"silent members have {found[:SILENT].tolist()}")
        require((found[SILENT:] > 0).all(), f"others have {found[SILENT:].tolist()}")


@torch.no_grad()
def check_a_supernet_is_ranked_by_it(name: str) -> None:
    """A supernet that is ranked by it has sparse members that equal their extraction."""
    space = load_space("toy", resolution=16, channels=1, num_classes=10)
    space = space.with_policy(("fp32",), (0.0, 0.5))
    supernet = Supernet(space)
    randomise_(supernet, seed=1)
    supernet.rank(name)
    for module in supernet.modules():
        if isinstance(module, AbstractElastic):
            for group, weights in module.group_weights().items():
                recorded = module.get_buffer(f"importance_{group}")
                require(torch.equal(recorded, _importance(name, weights)), f"{group} differ")
    slots = space.slots([number - 1 for number in space.cardinalities])
    images = noise(2, 1, 16, 16)
    apart = float((supernet.eval()(images, slots) - supernet.extract(slots)(images)).abs().max())
    require(apart <= 1e-5, f"a sparse member differs by {apart:.2g} from its extraction")


CHECKS: tuple[Callable[[str], None], ...] = (
    check_importance_is_a_number_per_member,
    check_equal_weights_are_equally_important,
    check_the_order_of_members_does_not_matter,
    check_silent_members_come_last,
    check_a_supernet_is_ranked_by_it,
)


def _importance(name: str, group: GroupWeights) -> Tensor:
    criterion = CRITERIA.get(name)()
    assert isinstance(criterion, AbstractCriterion)
    return criterion.importance(group)


def _groups() -> Iterator[GroupWeights]:
    """Random weights, of members with one channel and with four, with and without batch norm."""
    for each in (1, 4):
        for has_scale in (True, False):
            channels = MEMBERS * each
            yield GroupWeights(
                made_by=noise(channels, 3, 5, 5, seed=1).requires_grad_(),
                read_by=noise(7, channels, seed=2).requires_grad_().transpose(0, 1),
                scale=noise(channels, seed=3).requires_grad_() if has_scale else None,
                num_members=MEMBERS,
            )


def _changed(group: GroupWeights, channels: Tensor) -> GroupWeights:
    """These channels of a group, in this order."""
    return replace(
        group,
        made_by=group.made_by[channels],
        read_by=group.read_by[channels],
        scale=None if group.scale is None else group.scale[channels],
    )


def _scaled(group: GroupWeights, factor_C: Tensor) -> GroupWeights:
    """Each channel's weights times a factor."""
    return replace(
        group,
        made_by=group.made_by * factor_C[:, None, None, None],
        read_by=group.read_by * factor_C[:, None],
        scale=None if group.scale is None else group.scale * factor_C,
    )
