"""What every pruning criterion keeps to: importance follows from the weights, member by member.

Criteria that need gradients are given some, and baselines that draw are not asked what order they
give.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from nas.testing._expect import require
from nas.testing._tensors import noise, randomise_
from search_spaces import load_space
from supernets._elastic import AbstractElastic
from supernets.criteria._base import CRITERIA, AbstractCriterion, GroupWeights, joined
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
    if CRITERIA.get(name).is_drawn:
        return
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


def check_several_places_rank_together(name: str) -> None:
    """Members that are made in one place and read in another are told apart."""
    for group in _groups():
        made = _part(group, lambda weights: replace(weights, read_by=weights.read_by[:, :0]))
        read = _part(
            group, lambda weights: replace(weights, made_by=weights.made_by[:, :0], scale=None)
        )
        found, expected = _importance(name, joined([made, read])), _importance(name, group)
        require(torch.allclose(found, expected), f"{found.tolist()} and not {expected.tolist()}")


@torch.no_grad()
def check_a_supernet_is_ranked_by_it(name: str) -> None:
    """A supernet that is ranked by it, with its seed, has sparse members that equal their
    extraction."""
    space = load_space("toy", resolution=16, channels=1, num_classes=10)
    space = space.with_policy(("fp32",), (0.0, 0.5))
    supernet = Supernet(space)
    randomise_(supernet, seed=1)
    gradients = {p: noise(*p.shape, seed=n) for n, p in enumerate(supernet.parameters())}
    recorded = _ranked(supernet, name, gradients)
    for module in (m for m in supernet.modules() if isinstance(m, AbstractElastic)):
        of_gradients = module.group_gradients(gradients)
        for group, weights in module.group_weights().items():
            own = module.get_buffer(f"importance_{group}")
            expected = _importance(name, replace(weights, gradients=of_gradients[group]))
            is_as_expected = CRITERIA.get(name).is_drawn or torch.equal(own, expected)
            require(is_as_expected, f"{group} differ")
    again = _ranked(supernet, name, gradients)
    require(torch.equal(recorded, again), "the same seed, and another result")
    if CRITERIA.get(name).is_drawn:
        other = _ranked(supernet, name, gradients, seed=1)
        require(not torch.equal(recorded, other), "another seed, and the same result")
    slots = space.slots([number - 1 for number in space.cardinalities])
    images = noise(2, 1, 16, 16)
    apart = float((supernet.eval()(images, slots) - supernet.extract(slots)(images)).abs().max())
    require(apart <= 1e-5, f"a sparse member differs by {apart:.2g} from its extraction")


CHECKS: tuple[Callable[[str], None], ...] = (
    check_importance_is_a_number_per_member,
    check_equal_weights_are_equally_important,
    check_the_order_of_members_does_not_matter,
    check_silent_members_come_last,
    check_several_places_rank_together,
    check_a_supernet_is_ranked_by_it,
)


def _importance(name: str, group: GroupWeights) -> Tensor:
    criterion = CRITERIA.get(name)()
    assert isinstance(criterion, AbstractCriterion)
    return criterion.importance(group)


def _ranked(
    supernet: Supernet, name: str, gradients: Mapping[nn.Parameter, Tensor], seed: int = 0
) -> Tensor:
    """All importances of a supernet, 1-D."""
    supernet.rank(name, seed=seed, gradients=[gradients])
    return torch.cat([b for n, b in supernet.named_buffers() if ".importance_" in n])


def _groups() -> Iterator[GroupWeights]:
    """Random weights, of members with one channel and with four, with and without batch norm."""
    for each in (1, 4):
        for has_scale in (True, False):
            gradients = _random_group(each, has_scale=has_scale, seed=4)
            weights = _random_group(each, has_scale=has_scale, seed=1)
            yield replace(weights, gradients=gradients)


def _random_group(each: int, *, has_scale: bool, seed: int) -> GroupWeights:
    channels = MEMBERS * each
    return GroupWeights(
        made_by=noise(channels, 3, 5, 5, seed=seed).requires_grad_(),
        read_by=noise(7, channels, seed=seed + 1).requires_grad_().transpose(0, 1),
        scale=noise(channels, seed=seed + 2).requires_grad_() if has_scale else None,
        num_members=MEMBERS,
    )


def _part(group: GroupWeights, change: Callable[[GroupWeights], GroupWeights]) -> GroupWeights:
    """A group whose weights are changed, and their gradients with them."""
    gradients = None if group.gradients is None else change(group.gradients)
    return replace(change(group), gradients=gradients)


def _changed(group: GroupWeights, channels: Tensor) -> GroupWeights:
    """These channels of a group, in this order."""

    def changed(weights: GroupWeights) -> GroupWeights:
        return replace(
            weights,
            made_by=weights.made_by[channels],
            read_by=weights.read_by[channels],
            scale=None if weights.scale is None else weights.scale[channels],
        )

    return _part(group, changed)


def _scaled(group: GroupWeights, factor_C: Tensor) -> GroupWeights:
    """Each channel's weights times a factor."""
    return replace(
        group,
        made_by=group.made_by * factor_C[:, None, None, None],
        read_by=group.read_by * factor_C[:, None],
        scale=None if group.scale is None else group.scale * factor_C,
    )
