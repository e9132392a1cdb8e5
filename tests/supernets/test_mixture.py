"""Sets of weights share configurations: evenly in all, and each to those that it answers best."""

import numpy as np
import pytest
import torch

from search_spaces import Downsampled, SearchSpace
from search_spaces.networks.downsampled import DOWNSAMPLING, WEIGHT_SET
from supernets.methods.mixture import Mixture, balanced
from supernets.team import State
from tests.contexts import context_for, gradients_of


def space_of(num_sets: int) -> SearchSpace:
    """Of 36 configurations, each as cheap as can be."""
    network = Downsampled(
        resolution=16,
        channels=1,
        num_classes=10,
        widths=(4, 4, 4),
        depth=3,
        halvings=2,
        num_sets=num_sets,
        stem_stride=1,
    )
    return SearchSpace.of_network("rows", network).with_policy(("fp32",), (0.0,))


def divergence(shares_M: np.ndarray) -> float:
    return float((shares_M * np.log(shares_M * len(shares_M))).sum())


def learnt(method: Mixture, steps: int, seed: int = 0) -> State:
    """After steps in which some sets are better at some configurations, and the first at all."""
    rng, state = np.random.default_rng(seed), method.initial_state()
    better = rng.uniform(0.0, 0.3, state["accuracy"].shape)
    better[:, 0] += 0.2
    for turn in range(steps):
        _, *pair = method.draw(state, turn, rng)
        found = 0.4 + better[tuple(pair)] + 0.05 * rng.standard_normal()
        state = method.fold(state, [{"pair": np.array(pair), "accuracy": np.array(found)}])
    return state


@pytest.mark.parametrize("num_sets", [2, 4])
def test_all_sets_are_likely_to_the_same_extent(num_sets: int) -> None:
    method = Mixture(space=space_of(num_sets))
    for steps in (0, 40, 400):
        chances_AM = method.chances(learnt(method, steps))
        assert chances_AM.sum(1) == pytest.approx(1.0)
        assert divergence(chances_AM.mean(0)) < method.threshold


@pytest.mark.parametrize("sharpness", [0.0, 1.0, 30.0, 1000.0])
def test_rows_are_balanced_however_much_the_weights_differ(sharpness: float) -> None:
    accuracy_AM = np.random.default_rng(1).uniform(0.0, 1.0, (36, 4))
    accuracy_AM[:, 0] += 0.3
    weights_AM = np.maximum(np.exp(sharpness * (accuracy_AM - accuracy_AM.max(1)[:, None])), 1e-12)
    rows_AM = balanced(weights_AM, 1e-4)
    assert rows_AM.sum(1) == pytest.approx(1.0)
    assert divergence(rows_AM.mean(0)) < 1e-4


def test_each_set_trains_as_often_and_rather_what_it_answers_better() -> None:
    method = Mixture(space=space_of(2))
    trained_AM = learnt(method, 1440)["trained"]
    counts_M = trained_AM.sum(0)
    # Binomial with a half: a deviation of 5 sigma is below one in a million.
    assert abs(counts_M[0] - 720) < 5 * (1440 / 4) ** 0.5
    assert trained_AM.sum(1).tolist() == [40] * 36
    better = np.random.default_rng(0).uniform(0.0, 0.3, (36, 2))
    gains_A, shares_A = better[:, 0] - better[:, 1], trained_AM[:, 0] / 40
    assert np.corrcoef(gains_A, shares_A)[0, 1] > 0.5


def test_a_pair_that_was_never_trained_is_as_likely_as_the_others() -> None:
    method = Mixture(space=space_of(2))
    assert method.chances(method.initial_state()) == pytest.approx(0.5)
    state = method.fold(
        method.initial_state(), [{"pair": np.array([3, 0]), "accuracy": np.array(0.9)}]
    )
    assert method.chances(state) == pytest.approx(0.5)


def test_a_batch_trains_one_set_alone() -> None:
    method = Mixture(space=space_of(2))
    context = context_for(method)
    names = [name for name, _ in context.supernet.named_parameters()]
    found = gradients_of(method, context)
    with_gradient = {
        name.split(".")[1].partition("_")[0]
        for name, gradient in zip(names, found, strict=True)
        if gradient is not None
    }
    assert len(with_gradient) == 1
    assert torch.isfinite(torch.tensor(context.report["accuracy"]))
    _, chosen = context.report["pair"]
    assert with_gradient == {f"w{chosen + 1}"}


def test_configurations_beyond_the_limits_are_not_trained() -> None:
    space = space_of(2)
    assert space.costs is not None
    costs = space.costs
    limit = 0.5 * costs.maximum("macs")[0]
    method = Mixture(space=space, is_within=lambda rows: costs.of("macs", rows) <= limit)
    rng, state = np.random.default_rng(0), method.initial_state()
    rows = np.array([method.draw(state, turn, rng)[0] for turn in range(100)])
    assert costs.of("macs", rows).max() <= limit
    assert len(set(rows[:, space.index(DOWNSAMPLING)])) > 1
    assert set(rows[:, space.index(WEIGHT_SET)]) == {0, 1}


def test_the_end_says_whose_configurations_are_whose() -> None:
    assert Mixture(space=space_of(1)).summary(Mixture(space=space_of(1)).initial_state()) == ""
    method = Mixture(space=space_of(2))
    said = method.summary(learnt(method, 200))
    assert sum(int(part.rpartition(" ")[2]) for part in said.split(",")) == 36
