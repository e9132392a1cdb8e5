"""Mutual distillation: two members of different kinds, and who teaches whom."""

import numpy as np
import pytest
import torch

from nas.testing.methods import small_space
from search_spaces import SearchSpace
from supernets.methods._kinds import Kinds
from supernets.methods._members import TURNS
from supernets.methods.mutual import Mutual, mimicked, taught
from supernets.tasks._base import losses_of
from tests.contexts import assert_even_steps, context_for
from tests.strategies import mini_space, noise

LEARNS = torch.tensor([True, False, True, False])


def test_gradients_go_from_the_surer_member_to_the_other_one_alone() -> None:
    own, other = (noise(4, 5, seed=seed).requires_grad_() for seed in (0, 1))
    student, teacher = taught(own, other, LEARNS)
    losses_of("classification").distillation_loss(student, teacher).backward()
    assert own.grad is not None
    assert other.grad is None
    assert own.grad.abs().sum(1).gt(0).equal(LEARNS)
    alone = own.detach()[LEARNS].requires_grad_()
    losses_of("classification").distillation_loss(alone, other[LEARNS]).backward()
    torch.testing.assert_close(own.grad[LEARNS], alone.grad / 2)  # of a mean over twice as many


def test_low_features_move_towards_the_surer_member_alone() -> None:
    names = ("stem", "first", "second", "third", "head")
    own = {name: noise(4, 2, 3, 3, seed=i).requires_grad_() for i, name in enumerate(names)}
    other = {name: noise(4, 2, 3, 3, seed=9 + i).requires_grad_() for i, name in enumerate(names)}
    other["first"] = noise(4, 2, 5, 5).requires_grad_()
    mimicked(own, other, LEARNS).backward()
    assert all(map_BCHW.grad is None for map_BCHW in other.values())
    moved = {name for name, map_BCHW in own.items() if map_BCHW.grad is not None}
    assert moved == {"stem", "second"}, "of three slots of equal maps the lower half, rounded up"
    for name in moved:
        assert own[name].grad.abs().sum((1, 2, 3)).gt(0).equal(LEARNS)
    assert mimicked(own, own, LEARNS).item() == pytest.approx(0.0, abs=1e-6)


def test_where_no_maps_have_one_shape_nothing_is_mimicked() -> None:
    assert mimicked({"a": noise(4, 2), "b": noise(4, 3)}, {"b": noise(4, 3)}, LEARNS).item() == 0.0


def operators(space: SearchSpace, encoding: tuple[int, ...]) -> list[object]:
    return [space.choices[c].options[encoding[c]] for c in space.columns("operator")]


def pairs(space: SearchSpace) -> list[list[tuple[int, ...]]]:
    method = Mutual(space=space)
    return [method._pair(context_for(method, turn=turn)) for turn in range(len(TURNS))]


def test_one_member_is_of_convolutions_and_the_other_of_the_same_sizes_is_not() -> None:
    space = small_space()
    sized = [c for c in range(len(space.choices)) if c not in space.columns("operator")]
    for one, other in pairs(space):
        assert set(operators(space, one)) == {"mbconv"}
        assert set(operators(space, other)) == {"window"}
        assert [one[c] for c in sized] == [other[c] for c in sized]


def test_where_all_are_of_one_kind_members_differ_in_operators() -> None:
    space = mini_space(operators=("mbconv", "convnext"))
    assert Kinds(space=space, seed=0, is_within=None).names == ("first", "second")
    for one, other in pairs(space):
        assert all(
            a != b for a, b in zip(*(operators(space, m) for m in (one, other)), strict=True)
        )


def test_both_members_are_trained_on_labels_and_logged_by_their_kind() -> None:
    method = Mutual(space=small_space())
    losses = dict(method.step(context_for(method)))
    assert losses.keys() == {"convolution", "others"}
    context = context_for(method)
    pair = method._pair(context_for(method))
    expected = [
        context.label_loss(context.logits(member, context.images_BCHW), context.labels_B).item()
        for member in pair
    ]
    assert list(losses.values()) == pytest.approx(expected)


def test_mimicry_is_the_factor_of_its_loss() -> None:
    assert_even_steps(*(Mutual(space=small_space(), mimicry=m) for m in (0.0, 1.0, 2.0)))


def test_no_member_is_beyond_the_limits() -> None:
    space = small_space()
    assert space.costs is not None
    costs, limit = space.costs, 0.5 * space.costs.maximum("macs")[0]
    kinds = Kinds(space=space, seed=0, is_within=lambda rows: costs.of("macs", rows) <= limit)
    rng = np.random.default_rng(0)
    rows = [kinds.draw(kind, "largest", 0, rng, place=0, is_dense=True) for kind in (0, 1)]
    assert costs.of("macs", np.array(rows)).max() <= limit
