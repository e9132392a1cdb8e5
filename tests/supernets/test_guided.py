"""Guidance by features: what is alike, what an untrained guide is, and that members come nearer."""

import numpy as np
import pytest
import torch

from nas.testing.methods import small_space
from search_spaces import UserError
from supernets.alignment import linear_cka
from supernets.methods.guided import Guided, alignment
from supernets.methods.sortednet import SortedNet
from supernets.untrained import untrained_features
from tests.contexts import context_for, gradients_of, largest_difference
from tests.strategies import noise


def test_features_are_like_themselves_after_any_rotation_and_scaling() -> None:
    x_BF = noise(10, 6)
    rotation, _ = torch.linalg.qr(noise(6, 6, seed=1))
    assert linear_cka(x_BF, x_BF).item() == pytest.approx(1.0)
    assert linear_cka(x_BF, 3 * x_BF @ rotation + 2).item() == pytest.approx(1.0, abs=1e-5)
    y_BF = noise(10, 4, seed=2)
    found = linear_cka(x_BF, y_BF).item()
    assert found < 0.9
    assert linear_cka(x_BF @ rotation, y_BF).item() == pytest.approx(found, abs=1e-5)
    assert linear_cka(y_BF, x_BF).item() == pytest.approx(found, abs=1e-6)


def test_likeness_is_that_of_products_of_features() -> None:
    x_BF, y_BG = noise(10, 6), noise(10, 4, seed=1)
    x, y = (z.double() - z.double().mean(0) for z in (x_BF, y_BG))
    expected = (x.T @ y).norm() ** 2 / ((x.T @ x).norm() * (y.T @ y).norm())
    assert linear_cka(x_BF, y_BG).item() == pytest.approx(expected.item(), rel=1e-4)


def test_what_is_the_same_for_all_images_is_like_nothing_and_has_no_gradient() -> None:
    same = torch.ones(5, 3).requires_grad_()
    found = linear_cka(same, noise(5, 3))
    found.backward()
    assert found.item() == 0.0
    assert same.grad is not None
    assert same.grad.isfinite().all()


def test_an_untrained_network_follows_from_its_seed_and_stays_as_it_is() -> None:
    space = small_space()
    slots = space.slots(space.canonical([0] * len(space.choices)))
    images = noise(4, 1, 16, 16)
    with torch.no_grad():
        found, again, other = (untrained_features(slots, images, seed=s) for s in (0, 0, 1))
    assert list(found) == [slot.name for slot in slots]
    assert all(found[name].equal(again[name]) for name in found)
    assert not found["stem"].equal(other["stem"])
    block = next(name for name in found if "block" in name)
    before = list(found)[list(found).index(block) - 1]
    assert not torch.allclose(found[block], found[before]), "branches of it do something"


def test_without_guidance_it_is_sortednet() -> None:
    plain, guided = SortedNet(space=small_space()), Guided(space=small_space())
    without = Guided(space=small_space(), guidance=0.0)
    for turn in (0, 3):
        expected = gradients_of(plain, context_for(plain, turn=turn))
        found = gradients_of(without, context_for(plain, turn=turn))
        assert largest_difference(found, expected) == 0.0
        led = gradients_of(guided, context_for(plain, turn=turn))
        assert largest_difference(led, expected) > 0.0


@pytest.mark.parametrize("guide", ["untrained", "shared"])
def test_a_step_along_the_gradient_makes_features_more_like_the_guides(guide: str) -> None:
    method = Guided(space=small_space(), guide=guide)
    context = context_for(method)
    encoding = method._members.in_turn(2, np.random.default_rng(0), is_dense=True).encoding
    assert encoding != method._guide
    of_guide = method._of_guide(context)
    assert not any(map_BCHW.requires_grad for map_BCHW in of_guide.values())

    def likeness() -> torch.Tensor:
        return alignment(context.features(encoding, context.images_BCHW), of_guide)

    before = likeness()
    uphill = context.gradients(before)
    length = sum(float(g.square().sum()) for g in uphill if g is not None) ** 0.5
    with context.moved([None if g is None else 0.01 * g / length for g in uphill]):
        assert likeness().item() > before.item()


def test_the_guide_is_of_convolutions_and_the_same_in_every_batch() -> None:
    space = small_space()
    guides = {Guided(space=space)._guide for _ in range(2)}
    [encoding] = guides
    assert {space.choices[c].options[encoding[c]] for c in space.columns("operator")} == {"mbconv"}


def test_another_guide_is_refused() -> None:
    with pytest.raises(UserError, match="guide is 'resnet'. Its weights are 'untrained'"):
        Guided(space=small_space(), guide="resnet")
