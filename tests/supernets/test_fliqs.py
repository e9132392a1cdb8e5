"""A policy over formats that learns while weights do: where it ends, and what it leaves."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from nas.testing._spaces import random_supernet
from nas.testing.methods import small_images
from search_spaces import SearchSpace, UserError
from search_spaces._likelihoods import drawn, entropies, likelihoods
from supernets.methods.fliqs import FLIQS
from supernets.plan import TrainPlan
from supernets.steps import SupernetBatches
from supernets.team import State
from tests import small_brought
from tests.strategies import mini_space

Loss = Callable[[np.ndarray], float]


@pytest.fixture(scope="module")
def brought() -> SearchSpace:
    """Of many layers, each with a format."""
    return small_brought.supernet().space.with_policy(("fp32", "int8w", "int8"), (0.0, 0.5))


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    small = mini_space(operators=("mbconv", "window"))
    return small.with_policy(("fp32", "int8w", "int8"), (0.0, 0.5))


def report(share_done: float, encoding: np.ndarray, loss: float) -> State:
    numbers = {"share_done": share_done, "role": 1, "loss": loss}
    return {**{name: np.array(n) for name, n in numbers.items()}, "encoding": encoding}


def after(
    method: FLIQS, loss: Loss, *, steps: int = 400, until: float = 1.0, seed: int = 0
) -> State:
    """The state after two members a step whose losses are off by a tenth."""
    rng, state = np.random.default_rng(seed), method.initial_state()
    for step in range(int(until * steps)):
        rows_NC = drawn(state["logits"], 2, rng)
        noise_N = 0.1 * rng.standard_normal(2)
        reports = [
            report(step / steps, row_C, loss(row_C) + noise)
            for row_C, noise in zip(rows_NC, noise_N, strict=True)
        ]
        state = method.fold(state, reports)
    return state


def decided(method: FLIQS, state: State) -> np.ndarray:
    """A member with the formats that are left."""
    return np.array(state["logits"].argmax(axis=1))


@pytest.mark.parametrize("seed", [0, 1])
def test_in_the_end_the_policy_is_decided_and_costs_what_it_should(
    brought: SearchSpace, seed: int
) -> None:
    method, columns = FLIQS(space=brought, cost_share=0.5), brought.columns("precision")

    def loss(row_C: np.ndarray) -> float:
        return 1.0 + 0.02 * float((row_C[columns] > 0).mean())

    state = after(method, loss, seed=seed)
    entropy_C = entropies(state["logits"])[columns]
    assert entropy_C.mean() < 0.1
    found = method.cost_shares(decided(method, state)[None])[0]
    assert found == pytest.approx(0.5, rel=0.05)
    assert len(method.remaining(state).precisions) <= 3
    left = [len(method.remaining(state).choices[column].options) for column in columns]
    assert np.mean(left) < 1.2


def test_a_format_that_costs_quality_is_given_up(space: SearchSpace) -> None:
    method, column = FLIQS(space=space, cost_weight=0.0), space.index("stage1.precision")
    state = after(method, lambda row_C: 1.0 + 0.1 * (row_C[column] != 1))
    assert method.remaining(state).choice("stage1.precision").options == ("int8w",)
    others = [choice for choice in space.choices if not choice.name.endswith(".precision")]
    kept = {choice.name: choice.options for choice in method.remaining(state).choices}
    assert all(kept[choice.name] == choice.options for choice in others)


def test_the_entropy_is_punished_by_its_weight(space: SearchSpace) -> None:
    columns, found = space.columns("precision"), []
    for weight in (0.0, 0.03, 0.1):
        method = FLIQS(space=space, cost_weight=0.0, entropy_weight=weight)
        state = after(method, lambda row_C: 1.0)
        found.append(entropies(state["logits"])[columns].sum())
    assert found == sorted(found, reverse=True)
    assert found[2] < 0.1 * found[0]


def test_at_first_weights_alone_learn(space: SearchSpace) -> None:
    method = FLIQS(space=space, policy_from=0.5)
    early = after(method, lambda row_C: 1.0, until=0.5)
    assert np.array_equal(early["logits"], method.initial_state()["logits"])
    later = after(method, lambda row_C: 1.0, until=0.6)
    assert not np.array_equal(later["logits"], method.initial_state()["logits"])
    assert (later["levels"] > 0.0).tolist() == [False, True, False]


def test_long_and_short_trainings_decide_alike(brought: SearchSpace) -> None:
    method = FLIQS(space=brought, cost_share=0.5)
    shares = [
        method.cost_shares(decided(method, after(method, lambda row_C: 1.0, steps=steps))[None])[0]
        for steps in (150, 600)
    ]
    assert shares == pytest.approx([0.5, 0.5], rel=0.05)


def test_a_joint_policy_decides_about_all_and_leaves_what_must_stay(space: SearchSpace) -> None:
    method = FLIQS(space=space, joint=True, cost_share=0.2)
    state = after(method, lambda row_C: 1.0, steps=300)
    remaining = method.remaining(state)
    assert remaining.size < 0.001 * space.size
    assert all(0.0 in remaining.choices[column].options for column in remaining.columns("sparsity"))
    found = method.cost_shares(decided(method, state)[None])[0]
    assert found == pytest.approx(0.2, rel=0.2)


def test_a_brought_network_remains_but_for_its_formats(brought: SearchSpace) -> None:
    method = FLIQS(space=brought, joint=True, cost_share=0.1)
    state = method.initial_state()
    last_CO = np.where(np.isfinite(state["logits"]), 0.0, -np.inf)
    last_CO[np.arange(len(last_CO)), np.array(brought.cardinalities) - 1] = 100.0
    remaining = method.remaining({**state, "logits": last_CO})
    assert set(remaining.precisions) == {"int8"}
    assert all(remaining.choices[c].options[0] == 0.0 for c in remaining.columns("sparsity"))


def test_members_of_a_batch_have_the_formats_that_are_likely(space: SearchSpace) -> None:
    method, supernet = FLIQS(space=space), random_supernet(space).train()
    state = method.initial_state()
    sure_CO = state["logits"].copy()
    sure_CO[space.columns("precision"), 2] = 100.0
    assert np.allclose(likelihoods(sure_CO)[space.columns("precision"), 2], 1.0)
    batches = SupernetBatches(TrainPlan(steps=4, batch_size=8), method)
    _, found = batches(supernet, small_images(), 0, {**state, "logits": sure_CO})
    assert (found["encoding"][space.columns("precision")] == 2).all()
    plain = replace(method, seed=method.seed)
    before = [None if p.grad is None else p.grad.clone() for p in supernet.parameters()]
    supernet.zero_grad()
    full_CO = sure_CO.copy()
    full_CO[space.columns("precision"), 0] = 200.0
    SupernetBatches(TrainPlan(steps=4, batch_size=8), plain)(
        supernet, small_images(), 0, {**state, "logits": full_CO}
    )
    changed = [
        not torch.equal(p.grad, other)
        for p, other in zip(supernet.parameters(), before, strict=True)
        if p.grad is not None and other is not None
    ]
    assert any(changed), "the same member without rounding has other gradients"


def test_limits_hold_for_members_that_the_policy_draws(space: SearchSpace) -> None:
    assert space.costs is not None
    most = 0.4 * space.costs.maximum("macs")[0]
    method = FLIQS(
        space=space,
        joint=True,
        is_within=lambda rows: space.costs.of("macs", rows) <= most,  # type: ignore[union-attr]
    )
    supernet = random_supernet(space).train()
    batches = SupernetBatches(TrainPlan(steps=8, batch_size=8), method)
    rows = [
        batches(supernet, small_images(), turn, method.initial_state())[1]["encoding"]
        for turn in range(8)
    ]
    assert space.costs.of("macs", np.array(rows)).max() <= most


def test_a_share_that_no_format_has_is_refused(space: SearchSpace) -> None:
    with pytest.raises(UserError, match="'fliqs': cost_share is 0.0. It must be at least 0.01"):
        FLIQS(space=space, cost_share=0.0)
