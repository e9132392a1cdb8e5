"""Rotations: images are turned, and labels are not looked at before their time."""

from dataclasses import replace

import pytest
import torch

from nas.testing.methods import small_space
from search_spaces import UserError, load_space
from supernets.context import Context
from supernets.methods.rotations import Rotations, turned
from supernets.methods.sortednet import SortedNet
from tests.contexts import context_for, gradients_of, largest_difference
from tests.strategies import noise


def with_other_labels(context: Context) -> Context:
    assert isinstance(context.labels_B, torch.Tensor)
    return replace(context, labels_B=(context.labels_B + 1) % 10)


def test_images_are_turned_by_as_many_quarters_as_is_said() -> None:
    images = noise(6, 2, 5, 5)
    found, turns = turned(images)
    assert turns.tolist() == [0, 0, 1, 1, 2, 3]
    assert found[0].equal(images[0])
    assert found[3, :, 0].equal(images[3, :, :, -1]), "what was right is above after one turn"
    back = [image.rot90(-n, (1, 2)) for image, n in zip(found, turns.tolist(), strict=True)]
    assert torch.stack(back).equal(images)


def test_labels_are_learnt_from_after_the_pretext_alone() -> None:
    for pretext_share, is_blind in ((1.0, True), (0.0, False)):
        method = Rotations(space=small_space(), pretext_share=pretext_share)
        first = gradients_of(method, context_for(method))
        second = gradients_of(method, with_other_labels(context_for(method)))
        assert (largest_difference(first, second) == 0.0) == is_blind


def test_the_pretext_ends_when_its_share_of_the_training_is_done() -> None:
    method = Rotations(space=small_space(), pretext_share=0.5)
    roles = [method.step(context_for(method, turn=turn))[0][0] for turn in range(8)]
    assert [role.endswith("_turned") for role in roles] == [True] * 4 + [False] * 4


def test_after_the_pretext_it_is_sortednet() -> None:
    plain, method = SortedNet(space=small_space()), Rotations(space=small_space())
    expected = gradients_of(plain, context_for(plain, turn=5))
    assert largest_difference(gradients_of(method, context_for(method, turn=5)), expected) == 0.0


def test_four_outputs_stand_for_turns_and_the_others_learn_nothing() -> None:
    method = Rotations(space=small_space())
    context = context_for(method)
    method.step(context)
    classifier = context.supernet.get_submodule("slots.head.operators.head.full.classifier")
    assert classifier.weight.grad[:4].abs().sum(1).gt(0).all()
    assert not classifier.weight.grad[4:].any()


def test_what_cannot_be_turned_is_refused() -> None:
    few = load_space("toy", resolution=16, channels=1, num_classes=3)
    with pytest.raises(UserError, match="teaches 4 outputs .* networks of space 'toy' have 3"):
        Rotations(space=few)
    wide = load_space("toy", resolution="16x24", channels=1, num_classes=10)
    with pytest.raises(UserError, match="images are 16x24 px. Give a square --resolution"):
        Rotations(space=wide)
