"""An intact and an elastic student learn from averaged weights, with or without labels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.testing.methods import PLAN, small_images, small_space
from search_spaces import SearchSpace
from supernets.methods.elastic_student import CENTER, FORGETS, ElasticStudent
from supernets.steps import SupernetBatches
from supernets.supernet import Supernet
from supernets.train import train
from supernets.views import view
from tests.contexts import context_for, gradients_of, largest_difference
from tests.small_methods import Watched
from tests.strategies import noise


@pytest.mark.parametrize("share", [0.4, 1.0])
def test_the_elastic_students_weights_are_slices_of_the_intact_ones(
    mini: SearchSpace, share: float
) -> None:
    assert mini.costs is not None
    costs, limit = mini.costs, share * mini.costs.maximum("macs")[0]
    method = ElasticStudent(space=mini, is_within=lambda rows: costs.of("macs", rows) <= limit)
    smaller = 0
    for turn in range(20):
        intact, elastic = map(mini.slots, method.students(turn, np.random.default_rng(turn)))
        whole = {slot.name: slot.signature for slot in intact}
        smaller += elastic != intact
        for slot in elastic:
            own, of_intact = slot.signature, whole[slot.name]
            assert own.operator == of_intact.operator
            assert own.shape.in_width <= of_intact.shape.in_width
            assert own.shape.width <= of_intact.shape.width
            assert all(own.kept.number(group) <= of_intact.kept.number(group) for group in own.kept)
    assert smaller > 10


def test_without_a_share_of_labels_they_do_not_matter() -> None:
    for labels_share, is_blind in ((0.0, True), (0.5, False)):
        method = ElasticStudent(space=small_space(), labels_share=labels_share)
        first, second = context_for(method), context_for(method)
        assert isinstance(second.labels_B, torch.Tensor)
        second = replace(second, labels_B=(second.labels_B + 1) % 10)
        found = [gradients_of(method, context) for context in (first, second)]
        assert (largest_difference(*found) == 0.0) == is_blind


def test_no_gradient_goes_to_the_teacher() -> None:
    method = ElasticStudent(space=small_space(), labels_share=0.0)
    context = context_for(method)
    method.step(context)
    assert context.average is not None
    assert all(parameter.grad is None for parameter in context.average.parameters())


def test_the_center_follows_the_teachers_answers() -> None:
    method = ElasticStudent(space=small_space())
    state = method.initial_state()
    kept = method.fold(state, [{CENTER: np.full(10, 1.0)}, {CENTER: np.full(10, 3.0)}])
    assert kept[CENTER] == pytest.approx(np.full(10, FORGETS * 2.0))
    assert not state[CENTER].any()
    context = context_for(method)
    method.step(context)
    assert context.report[CENTER].shape == (10,)
    assert np.abs(context.report[CENTER]).max() > 0


@pytest.mark.parametrize("processes", [1, 2])
def test_batches_see_the_average_that_training_returns(tmp_path: Path, processes: int) -> None:
    method = Watched(small_space(), steps=PLAN.steps)
    supernet = Supernet(method.space)
    kept = train(
        supernet, small_images(), PLAN, SupernetBatches(PLAN, method), directory=tmp_path,
        processes=processes, threads=1,
    )  # fmt: skip
    weight, average = kept["seen"].T
    expected = [weight[0]]
    for step in range(1, PLAN.steps):
        decay = min(PLAN.ema_decay, (1 + step) / (10 + step))
        expected.append(expected[-1] + (1 - decay) * (weight[step] - expected[-1]))
    assert average == pytest.approx(expected, abs=1e-6)
    assert len(set(weight)) == PLAN.steps
    assert not any(parameter.is_shared() for parameter in supernet.parameters())


def test_the_average_has_weights_of_its_own_and_the_buffers_of_what_is_trained() -> None:
    supernet = Supernet(small_space())
    batches = SupernetBatches(PLAN, Watched(small_space())).averaging(supernet)
    assert batches.average is not None
    assert batches.average.space is supernet.space
    pairs = zip(supernet.buffers(), batches.average.buffers(), strict=True)
    assert all(own is other for own, other in pairs)
    for own, other in zip(supernet.parameters(), batches.average.parameters(), strict=True):
        assert own.equal(other)
        assert own.data_ptr() != other.data_ptr()
        assert not other.requires_grad


def test_a_view_is_a_part_of_the_image_at_its_size() -> None:
    images = noise(5, 2, 12, 12)
    whole, again = (view(images, np.random.default_rng(0), least_area=1.0) for _ in range(2))
    assert whole.equal(again)
    gain_B = whole.std((1, 2, 3)) / images.std((1, 2, 3))
    assert gain_B.sub(1).abs().max() < 0.4
    change_BCHW = whole - gain_B[:, None, None, None] * images
    assert change_BCHW.flatten(1).std(1).max() < 1e-4, "of another contrast and brightness alone"
    ramp = torch.arange(12.0).expand(64, 1, 12, 12)
    parts = view(ramp, np.random.default_rng(0), least_area=0.25)
    spans_B = (parts[..., -1] - parts[..., 0]).mean((1, 2)) / 11
    assert spans_B.min() < 0.5
    assert spans_B.max() > 0.9
