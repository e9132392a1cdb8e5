"""Shrinking: who loses, with what certainty, and what then remains."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from search_spaces import SearchSpace
from supernets.methods._evidence import LOOKS, Evidence
from supernets.methods.shrinking import Shrinking
from supernets.supernet import Supernet
from supernets.team import State
from tests import small_brought
from tests.strategies import mini_space

Loss = Callable[[np.ndarray, np.random.Generator], float]


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    small = mini_space(operators=("mbconv", "basic", "window"))
    return small.with_policy(("fp32",), (0, 0.5))


def evidence_of(space: SearchSpace) -> Evidence:
    return Evidence(space=space, certainty=0.95, margin=0.05)


def after(evidence: Evidence, loss: Loss, number: int = 250, seed: int = 0) -> State:
    """The state after losses that features and noise make."""
    rng = np.random.default_rng(seed)
    state = evidence.begin()
    for row in evidence.space.sample(rng, number).tolist():
        features = evidence.features(row)
        state = evidence.with_loss(state, loss(features, rng), features)
    return state


def lost_options(evidence: Evidence, state: State) -> set[tuple[str, object]]:
    """Dimension and option of who loses."""
    options = evidence.options(~evidence.losers(state))
    choices = evidence.space.choices
    return {
        (choices[column].name.rpartition(".")[2], option)
        for column, kept in options.items()
        for i, option in enumerate(choices[column].options)
        if i not in kept
    }


def size_and_noise(features: np.ndarray, rng: np.random.Generator) -> float:
    """Larger networks are better, with diminishing returns."""
    return float(2.0 - 0.2 * features[1] + 0.02 * features[2] + rng.normal(0.0, 0.1))


def test_rivals_are_options_of_the_same_choice_in_all_slots(space: SearchSpace) -> None:
    evidence = evidence_of(space)
    by_column = {column: rivals for rivals in evidence.rivals for column in rivals.columns}
    operators = [c for c in space.columns("operator") if "block" in space.choices[c].name]
    assert set(by_column[operators[0]].columns) >= set(operators)
    assert not set(by_column) & {*space.columns("sparsity"), *space.columns("precision")}
    for column, rivals in by_column.items():
        assert rivals.number == space.cardinalities[column] > 1
    features = evidence.features(space.sample(np.random.default_rng(0), 1)[0].tolist())
    for rivals in evidence.rivals:
        share = features[3:][rivals.first : rivals.first + rivals.number].sum()
        assert share == pytest.approx(1.0) or share == 0.0


def test_an_operator_that_is_worse_at_equal_size_loses(space: SearchSpace) -> None:
    evidence = evidence_of(space)
    [operators] = [r for r in evidence.rivals if "basic" in space.choices[r.columns[0]].options]
    worse = 3 + operators.first + space.choices[operators.columns[0]].options.index("window")
    state = after(evidence, lambda f, rng: size_and_noise(f, rng) + 0.6 * f[worse])
    assert lost_options(evidence, state) == {("operator", "window")}


def test_who_is_better_only_because_it_is_larger_does_not_make_others_lose(
    space: SearchSpace,
) -> None:
    """At a certainty of 0.95; the seeds are fixed."""
    evidence = evidence_of(space)
    for seed in range(3):
        assert not lost_options(evidence, after(evidence, size_and_noise, seed=seed))


def test_nobody_loses_by_a_few_losses(space: SearchSpace) -> None:
    evidence = evidence_of(space)
    assert not evidence.losers(after(evidence, lambda f, rng: float(1 + f[3]), number=5)).any()


def report(share: float, features: np.ndarray | None = None, loss: float = 1.0) -> State:
    found: dict[str, np.ndarray] = {"share_done": np.array(share)}
    if features is not None:
        found |= {"loss": np.array(loss), "features": features}
    return found


def test_looks_are_few_and_what_lost_stays_out(
    space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = Shrinking(space=space, evidence_from=0.5)
    asked: list[int] = []

    def losers(evidence: Evidence, state: State) -> np.ndarray:
        asked.append(1)
        has_lost = np.zeros(len(state["trained"]), dtype=bool)
        has_lost[len(asked) - 1] = len(asked) == 1
        return has_lost

    monkeypatch.setattr(Evidence, "losers", losers)
    state = method.initial_state()
    assert method.remaining(state) is space
    for step in range(200):
        state = method.fold(state, [report(step / 200)] * 2)
    assert len(asked) == state["looks"][0] == LOOKS
    assert state["trained"].tolist() == [False] + [True] * (len(state["trained"]) - 1)
    remaining = method.remaining(state)
    assert sum(remaining.cardinalities) < sum(space.cardinalities)


def test_losses_count_from_the_share_that_is_set(space: SearchSpace) -> None:
    method = Shrinking(space=space, evidence_from=0.5)
    features = Evidence(space=space, certainty=0.9, margin=0.0).features([0] * len(space.choices))
    state = method.fold(method.initial_state(), [report(0.4, features, 2.0)])
    assert (state["count"][0], state["level"][0]) == (0, 2.0)
    state = method.fold(state, [report(0.5, features, 1.0), report(0.5)])
    assert (state["count"][0], state["moment"][0]) == (1, -0.5)
    assert method.initial_state().keys() == state.keys()


def test_nobody_loses_where_nothing_would_be_within_the_limits(
    space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert space.costs is not None
    limit = 1.01 * space.costs.minimum("macs")[0]
    method = Shrinking(space=space, is_within=lambda rows: space.costs.of("macs", rows) <= limit)
    width = next(
        r for r in method._evidence.rivals if space.choices[r.columns[0]].name.endswith("width")
    )

    def losers(evidence: Evidence, state: State) -> np.ndarray:
        return np.arange(len(state["trained"])) == width.first  # the smallest width

    monkeypatch.setattr(Evidence, "losers", losers)
    state = method.fold(method.initial_state(), [report(0.9)])
    assert state["trained"].all()
    free = replace(method, is_within=None)
    assert not free.fold(free.initial_state(), [report(0.9)])["trained"].all()


def test_members_have_no_option_that_has_lost(space: SearchSpace) -> None:
    method = Shrinking(space=space)
    trained = np.ones(len(method.initial_state()["trained"]), dtype=bool)
    for rivals in method._evidence.rivals:
        trained[rivals.first] = False
    options = method._evidence.options(trained)
    members = method._members(trained)
    rngs = (np.random.default_rng([0, turn]) for turn in range(40))
    rows = np.array(
        [members.in_turn(t, rng, is_dense=False).encoding for t, rng in enumerate(rngs)]
    )
    for column, kept in options.items():
        assert set(rows[:, column]) == set(kept), space.choices[column].name


def test_nobody_loses_where_all_networks_are_pruned(
    space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a budget has trimmed unpruned stages away."""
    method = Shrinking(space=space.with_policy(("fp32",), (0.5,)))
    monkeypatch.setattr(Evidence, "losers", lambda _, state: np.arange(len(state["trained"])) == 0)
    assert method.fold(method.initial_state(), [report(0.9)])["trained"].all()


@torch.no_grad()
def test_members_of_a_part_of_the_space_are_what_they_were(
    mini: SearchSpace, random_supernet: Supernet
) -> None:
    """Pruned ones, too, whose channels are ranked."""
    part = mini.restricted(
        {
            choice.name: choice.options[:1]
            if choice.name.endswith(("width", "depth"))
            else choice.options[:3]
            for choice in mini.choices
        }
        | {"stage1.block1.kernel_size": (3,)}
    )
    assert sum(part.cardinalities) < sum(mini.cardinalities)
    smaller = random_supernet.restricted(part)
    assert smaller.space is part
    sizes = [sum(p.numel() for p in s.parameters()) for s in (smaller, random_supernet)]
    assert sizes[0] < sizes[1]
    images = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    for row in part.sample(np.random.default_rng(0), 12).tolist():
        slots = part.slots(row)
        found, expected = (s.extract(slots) for s in (smaller, random_supernet))
        for name, tensor in expected.state_dict().items():
            assert torch.equal(found.state_dict()[name], tensor), name
        assert torch.equal(found(images), expected(images))


def test_a_network_that_was_brought_loses_nothing() -> None:
    """It is measured, and teaches: all of its blocks are left."""
    space = small_brought.supernet().space
    assert any(choice.name.endswith(".depth") for choice in space.choices)
    method = Shrinking(space=space)
    assert method.remaining(method.initial_state()) == space
    assert not evidence_of(space).rivals
