"""What a training method works with, and what small methods make of it."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from nas.testing.methods import small_images
from search_spaces import SearchSpace
from supernets.augmentations import MixedLabels
from supernets.context import Context
from supernets.images import Images
from supernets.methods._base import AbstractMethod
from supernets.plan import TrainPlan
from supernets.steps import SupernetBatches
from supernets.supernet import Supernet
from supernets.team import Losses, State
from tests.small_methods import Balanced, Halves, inner, plus, without_conflict
from tests.strategies import mini_space, noise

PLAN = TrainPlan(steps=4, batch_size=8)


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return mini_space(operators=("mbconv", "window")).restricted({"stage1.depth": (1,)})


@pytest.fixture(scope="module")
def images() -> Images:
    return small_images(is_augmented=False)


def context_of(supernet: Supernet, images: Images, turn: int = 0) -> Context:
    images_BCHW, labels_B = images.batch(turn, PLAN.batch_size, PLAN.seed)
    return Context(
        supernet=supernet,
        plan=PLAN,
        turn=turn,
        share_done=turn / PLAN.shards / PLAN.steps,
        images_BCHW=images_BCHW,
        labels_B=labels_B,
        rng=np.random.default_rng([PLAN.seed, 3, turn]),
        state={},
    )


def drawn(context: Context, n: int = 1) -> list[list[int]]:
    """The members that a method of that context draws, without using up its draws."""
    rng = np.random.default_rng([PLAN.seed, 3, context.turn])
    members: list[list[int]] = context.supernet.space.sample(rng, n).tolist()
    return members


def loss_of(context: Context, encoding: Sequence[int]) -> Tensor:
    return context.label_loss(context.logits(encoding, context.images_BCHW), context.labels_B)


@pytest.fixture
def context(space: SearchSpace, images: Images) -> Context:
    return context_of(Supernet(space).train(), images)


def assert_close(found: Sequence[Tensor | None], expected: Sequence[Tensor | None]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other)


def test_features_are_those_of_every_slot_and_end_with_the_logits(context: Context) -> None:
    [encoding] = drawn(context)
    features = context.features(encoding, context.images_BCHW)
    slots = context.supernet.space.slots(encoding)
    assert list(features) == [slot.name for slot in slots]
    assert torch.equal(features["head"], context.logits(encoding, context.images_BCHW))
    widths = [slot.signature.shape.width for slot in slots[:-1]]
    assert [features[slot.name].shape[1] for slot in slots[:-1]] == widths


@pytest.mark.parametrize("is_mixed", [False, True])
def test_losses_of_images_are_those_of_each_alone_and_weights_are_their_factors(
    context: Context, is_mixed: bool
) -> None:
    [encoding] = drawn(context)
    context = replace(context, weights_K=torch.linspace(0.5, 1.5, 10))
    labels: torch.Tensor | MixedLabels = context.labels_B
    if is_mixed:
        labels = MixedLabels(context.labels_B, context.labels_B.flip(0), torch.linspace(0, 0.9, 8))
    logits_BK = context.logits(encoding, context.images_BCHW)
    found_B = context.image_losses(logits_BK, labels)
    for i in range(8):
        one = slice(i, i + 1)
        own = labels.of(one) if isinstance(labels, MixedLabels) else labels[one]
        assert found_B[i].item() == pytest.approx(context.label_loss(logits_BK[one], own).item())
    weights_B = torch.linspace(0, 2, 8)
    weighted = context.label_loss(logits_BK, labels, weights_B)
    torch.testing.assert_close(weighted.detach(), (found_B * weights_B).mean())
    assert not found_B.requires_grad


def test_gradients_taken_apart_are_those_of_backward(context: Context) -> None:
    [encoding] = drawn(context)
    apart = context.gradients(loss_of(context, encoding))
    assert all(parameter.grad is None for parameter in context.parameters)
    loss_of(context, encoding).backward()
    assert_close(apart, [parameter.grad for parameter in context.parameters])
    assert any(gradient is None for gradient in apart), "other operators have none"
    context.set_gradients([None if g is None else 2 * g for g in apart])
    assert_close([p.grad for p in context.parameters], plus(apart, apart, 1.0))


def test_gradients_that_are_set_are_laid_out_like_the_parameters(context: Context) -> None:
    context.supernet.to(memory_format=torch.channels_last)
    context.set_gradients([noise(*parameter.shape) for parameter in context.parameters])
    for parameter in context.parameters:
        assert parameter.grad is not None
        assert parameter.grad.stride() == parameter.stride()


def test_moved_weights_are_the_batchs_own_and_come_back(context: Context) -> None:
    places = [parameter.data_ptr() for parameter in context.parameters]
    before = [parameter.detach().clone() for parameter in context.parameters]
    offsets = [None, *(torch.ones_like(p) for p in context.parameters[1:])]
    with suppress(KeyError), context.moved(offsets):
        assert torch.equal(context.parameters[0], before[0])
        torch.testing.assert_close(context.parameters[1].detach(), before[1] + 1)
        assert context.parameters[1].data_ptr() != places[1], "others compute with what was there"
        raise KeyError
    assert [parameter.data_ptr() for parameter in context.parameters] == places
    assert all(torch.equal(p, b) for p, b in zip(context.parameters, before, strict=True))


def test_conflicting_gradients_lose_what_points_against_each_other(context: Context) -> None:
    first, second = (
        context.gradients(context.label_loss(context.logits(e, x), labels))
        for e, x, labels in zip(
            drawn(context, 2),
            (context.images_BCHW, context.images_BCHW),
            (context.labels_B, (context.labels_B + 5) % 10),
            strict=True,
        )
    )
    against = plus([None] * len(first), first, -1.0)
    opposed = plus(against, second, 0.5)
    assert inner(first, opposed) < 0
    both = without_conflict(first, opposed)
    assert inner(both, first) > 0
    assert inner(both, opposed) > 0
    assert_close(without_conflict(first, first), plus(first, first, 1.0))


def test_halves_of_a_batch_are_two_small_batches(context: Context) -> None:
    Halves(context.supernet.space).step(context)
    found = [parameter.grad for parameter in context.parameters]
    apart = [
        context.gradients(context.label_loss(context.logits(e, x), labels))
        for e, x, labels in zip(
            drawn(context, 2),
            context.images_BCHW.split(4),
            context.labels_B.split(4),
            strict=True,
        )
    ]
    mean = [None if g is None else g / 2 for g in plus(apart[0], apart[1], 1.0)]
    assert_close(found, mean)


def test_the_state_decides_which_operator_comes_next(space: SearchSpace, images: Images) -> None:
    lessons = SupernetBatches(PLAN, Balanced(space))
    supernet = Supernet(space).train()
    start = lessons.initial_state()
    for operator, name in enumerate(space.operators):
        state = {**start, "loss": np.eye(len(space.operators))[operator] * 20}
        for turn in range(3):
            [(trained, loss)], report = lessons(supernet, images, turn, state)
            assert trained == name
            assert report["loss"] == pytest.approx(loss)
    kept = lessons.fold(start, [{"operator": np.array(1), "loss": np.array(2.0)}] * 2)
    assert kept["loss"].tolist() == pytest.approx([0, 2 * (1 - 0.7**2)])
    assert kept["seen"].tolist() == [0, 2]
    assert start["seen"].tolist() == [0, 0]


@dataclass(frozen=True)
class Careless(AbstractMethod):
    """Writes into the state that all batches of a step share."""

    space: SearchSpace

    def initial_state(self) -> State:
        return {"count": np.zeros(2)}

    def step(self, context: Context) -> Losses:
        context.state["count"][0] += 1
        return []


def test_a_step_cannot_write_into_the_state(space: SearchSpace, images: Images) -> None:
    lessons = SupernetBatches(PLAN, Careless(space))
    with pytest.raises(ValueError, match="read-only"):
        lessons(Supernet(space).train(), images, 0, lessons.initial_state())


@dataclass(frozen=True)
class Watching(AbstractMethod):
    """Reports how far training is."""

    space: SearchSpace

    def step(self, context: Context) -> Losses:
        context.report["share_done"] = context.share_done
        return []


def test_a_batch_knows_how_far_training_is(space: SearchSpace, images: Images) -> None:
    """The batches of a step alike; a speed test says it."""
    supernet = Supernet(space).train()
    told = SupernetBatches(PLAN, Watching(space))
    turns = range(PLAN.steps * PLAN.shards)
    found = [float(told(supernet, images, turn, {})[1]["share_done"]) for turn in turns]
    assert found == [0.0, 0.0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75]
    timed = SupernetBatches(PLAN, Watching(space), share_done=0.3)
    assert timed(supernet, images, 7, {})[1]["share_done"] == 0.3


def test_a_part_of_a_batch_has_its_images_and_labels_and_shares_the_rest(context: Context) -> None:
    labels_B, which = context.labels_B, slice(2, 5)
    assert isinstance(labels_B, Tensor)
    mixed = MixedLabels(labels_B, labels_B.flip(0), torch.linspace(0, 1, len(labels_B)))
    for labels, expected in ((labels_B, labels_B[which]), (mixed, mixed.of(which))):
        part = replace(context, labels_B=labels).part(which)
        assert torch.equal(part.images_BCHW, context.images_BCHW[which])
        assert len(part.labels_B) == len(expected)
        assert all(map(torch.equal, part.labels_B, expected))
        assert part.rng is context.rng
        assert part.report is context.report
