"""Methods that take another's step twice: at weights uphill, and on images that are changed."""

from collections.abc import Mapping
from inspect import signature
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from torch import Tensor

from nas.testing.methods import PLAN, small_images, small_space
from search_spaces import UserError
from supernets.context import Context
from supernets.methods._base import GIVEN, METHODS, AbstractMethod
from supernets.methods._twice import AbstractTwice
from supernets.steps import SupernetBatches
from supernets.supernet import Supernet
from tests.small_methods import Projected, inner

NAMES = ("sharpness-aware", "adversarial")
NOTHING = {"sharpness-aware": {"radius": 0.0}, "adversarial": {"share": 0.0}}
BASES = ("sandwich", "shrinking", "multiarch")
ALL_ELSE = sorted(name for name in vars(AbstractMethod) if name[0] != "_" and name != "step")


def new(name: str, **fields: Any) -> AbstractTwice:
    method = METHODS.get(name)(space=small_space(), **fields)
    assert isinstance(method, AbstractTwice)
    return method


def context_of(method: AbstractMethod, supernet: Supernet, turn: int = 2) -> Context:
    batches = SupernetBatches(PLAN, method)
    return batches.context(supernet, small_images(), turn, method.initial_state())


def gradients(supernet: Supernet) -> list[Tensor | None]:
    return [parameter.grad for parameter in supernet.parameters()]


def stepped(method: AbstractMethod, turn: int = 2) -> tuple[Any, Mapping[str, Any], Supernet]:
    """Losses, report and the supernet with gradients, of a batch."""
    supernet = Supernet(small_space()).train()
    context = context_of(method, supernet, turn)
    return method.step(context), context.report, supernet


def assert_equal(found: list[Tensor | None], expected: list[Tensor | None]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.equal(one, other)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("name", NAMES)
def test_what_disturbs_nothing_is_the_other_method_bit_by_bit(name: str, base: str) -> None:
    found = stepped(new(name, method=base, **NOTHING[name]))
    expected = stepped(METHODS.get(base)(space=small_space()))
    assert found[0] == expected[0]
    assert_equal(gradients(found[2]), gradients(expected[2]))


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("name", NAMES)
def test_both_passes_train_the_same_members_and_losses_are_the_first_ones(
    name: str, base: str
) -> None:
    method, supernet = new(name, method=base), Supernet(small_space()).train()
    archs: list[object] = []
    supernet.register_forward_hook(lambda _, given, answer: archs.append(given[1]))
    context = context_of(method, supernet)
    losses = method.step(context)
    half = len(archs) // 2
    assert archs[:half] == archs[half:]
    expected_losses, report, other = stepped(METHODS.get(base)(space=small_space()))
    assert losses == expected_losses
    assert context.report.keys() == report.keys()
    assert all(np.array_equal(context.report[key], value) for key, value in report.items())
    pairs = zip(gradients(supernet), gradients(other), strict=True)
    assert any(a is not None and b is not None and not torch.equal(a, b) for a, b in pairs)


def test_gradients_are_those_at_weights_a_radius_uphill() -> None:
    base, radius = METHODS.get("sandwich")(space=small_space()), 0.3
    supernet = Supernet(small_space()).train()
    base.step(context_of(base, supernet))
    uphill = gradients(supernet)
    norm = inner(uphill, uphill) ** 0.5
    with torch.no_grad():
        for parameter, gradient in zip(supernet.parameters(), uphill, strict=True):
            if gradient is not None:
                parameter += radius / norm * gradient
    supernet.zero_grad(set_to_none=True)
    base.step(context_of(base, supernet))
    _, _, found = stepped(new("sharpness-aware", method="sandwich", radius=radius))
    for one, other in zip(gradients(found), gradients(supernet), strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_images_are_moved_by_the_radius_towards_larger_losses() -> None:
    """Ordinary adversarial training of the member that is trained."""
    method, radius = new("adversarial", radius=0.1, share=1.0), 0.1
    _, _, found = stepped(method)
    supernet = Supernet(small_space()).train()
    context = context_of(method, supernet)
    [lesson] = method.base.plan(context.turn, context.rng)  # type: ignore[attr-defined]
    images_BCHW = context.images_BCHW.detach().requires_grad_()

    def loss_on(images_BCHW: Tensor) -> Tensor:
        return context.label_loss(context.logits(lesson.encoding, images_BCHW), context.labels_B)

    clean = loss_on(images_BCHW)
    (gradient_BCHW,) = torch.autograd.grad(clean, images_BCHW)
    loss = loss_on(context.images_BCHW + radius * gradient_BCHW.sign())
    loss.backward()
    assert_equal(gradients(found), gradients(supernet))
    assert loss > clean


@pytest.mark.parametrize(("share", "number"), [(0.5, 4), (0.25, 2), (0.3, 2), (1.0, 8)])
def test_so_many_images_are_changed(share: float, number: int) -> None:
    method, supernet = new("adversarial", share=share), Supernet(small_space()).train()
    seen: list[Tensor] = []
    supernet.register_forward_hook(lambda _, given, answer: seen.append(given[0].detach()))
    method.step(context_of(method, supernet))
    is_changed_B = (seen[1] != seen[0]).flatten(1).any(1)
    assert int(is_changed_B.sum()) == number
    most = (seen[1] - seen[0]).abs().max()
    torch.testing.assert_close(most, torch.tensor(method.radius))  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", NAMES)
def test_the_other_method_is_given_what_all_methods_are(name: str) -> None:
    method = new(name, method="shrinking", sparse_from=3, seed=5)
    assert all(getattr(method.base, field) == getattr(method, field) for field in GIVEN)


@pytest.mark.parametrize("attribute", ALL_ELSE)
@pytest.mark.parametrize("name", NAMES)
def test_all_else_is_the_other_methods(name: str, attribute: str) -> None:
    method, base = new(name), Mock(spec=AbstractMethod)
    vars(method)["base"] = base
    found, expected = getattr(method, attribute), getattr(base, attribute)
    if isinstance(vars(AbstractMethod)[attribute], property):
        assert found is expected
        return
    arguments = [object() for _ in signature(found).parameters]
    assert found(*arguments) is expected.return_value
    expected.assert_called_once_with(*arguments)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_names_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="Did you mean 'sandwich'"):
        new(name, method="sandwhich")
    for wrapping in NAMES:
        with pytest.raises(UserError, match=f"'{name}': method is '{wrapping}', which takes"):
            new(name, method=wrapping)
    with pytest.raises(UserError, match=f"'{name}': radius is -1.0"):
        new(name, radius=-1.0)


def test_a_method_that_says_nothing_of_images_is_refused() -> None:
    method = new("adversarial")
    vars(method)["base"] = Projected(small_space())
    with pytest.raises(UserError, match="takes gradients of weights alone"):
        stepped(method)


@pytest.mark.parametrize("name", NAMES)
def test_settings_of_the_other_method_follow_its_name(name: str) -> None:
    base = new(name, method="sandwich:num_random=3,teacher_share=0.25").base
    assert base == METHODS.get("sandwich")(space=small_space(), num_random=3, teacher_share=0.25)
    for text, message in (
        ("sandwich:num=3", "training method 'sandwich' has no option 'num'. Options: num_random"),
        ("sandwich:num_random=few", "It must be a whole number"),
        ("sandwich:num_random=1,num_random=2", "option 'num_random' is given twice"),
        ("sandwich:teacher_share=7", "teacher_share is 7.0"),
        ("shiftnas:", "training method 'shiftnas' has no option ''. Options: "),
    ):
        with pytest.raises(UserError, match=f"'{name}': method is '{text}': ") as raised:
            new(name, method=text)
        assert message in str(raised.value)
