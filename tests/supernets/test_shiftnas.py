"""Members by their costs: how near they come, how evenly, and who is drawn rather."""

from collections.abc import Callable

import numpy as np
import pytest

from nas.testing.methods import example
from search_spaces import SearchSpace
from supernets.methods._bins import TARGETS
from supernets.methods._members import NEAR, Members
from supernets.methods.shiftnas import EVEN_SHARE, ShiftNas

DRAWS = 240
Within = Callable[[np.ndarray], np.ndarray]


def macs(space: SearchSpace, rows: np.ndarray) -> np.ndarray:
    assert space.costs is not None
    return space.costs.of("macs", rows)


def below(space: SearchSpace, share: float) -> Within:
    """A limit of multiply-adds, as a share of the largest network's."""
    assert space.costs is not None
    limit = share * space.costs.maximum("macs")[0]
    return lambda rows: macs(space, rows) <= limit


def drawn(method: ShiftNas, turns: range = range(DRAWS)) -> np.ndarray:
    state = method.initial_state()
    return np.array([method.draw(state, t, np.random.default_rng([0, t])) for t in turns])


def divergence(counts: np.ndarray) -> float:
    """Of a histogram from an even one (Kullback-Leibler), nats."""
    shares = counts[counts > 0] / counts.sum()
    return float((shares * np.log(shares * len(counts))).sum())


@pytest.mark.parametrize("share", [1.0, 0.4])
def test_members_have_the_multiply_adds_that_were_drawn(
    mini: SearchSpace, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = ShiftNas(space=mini, is_within=below(mini, share) if share < 1.0 else None)
    wanted: list[float] = []
    draw = Members.draw_near

    def spying(members: Members, target: float, *given: object, **named: object) -> object:
        wanted.append(target)
        return draw(members, target, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Members, "draw_near", spying)
    is_near, rows = [], []
    for turn in range(DRAWS):
        wanted.clear()
        rows.append(drawn(method, range(turn, turn + 1))[0])
        found = macs(mini, rows[-1][None])[0]
        is_near.append(min(abs(found / target - 1.0) for target in wanted) <= NEAR)
        assert 1 <= len(wanted) <= TARGETS
    assert np.mean(is_near) >= 0.95
    assert below(mini, share)(np.array(rows)).all()


@pytest.mark.parametrize("share", [1.0, 0.4])
def test_costs_are_drawn_more_evenly_than_by_uniform_options(
    mini: SearchSpace, share: float
) -> None:
    is_within = below(mini, share)
    method = ShiftNas(space=mini, is_within=is_within)
    uniform = mini.sample(np.random.default_rng(0), 4000)
    uniform = uniform[is_within(uniform)]
    found, other = (
        divergence(np.bincount(method.bins.of(rows), minlength=method.num_bins))
        for rows in (drawn(method), uniform)
    )
    assert found < 0.05 < other


def test_every_operator_of_a_slot_is_trained(mini: SearchSpace) -> None:
    rows = drawn(ShiftNas(space=mini))
    for column in mini.columns("operator"):
        counts = np.bincount(rows[:, column], minlength=mini.cardinalities[column])
        assert counts.min() >= 0.3 * DRAWS / len(counts), mini.choices[column].name


def report(place: int, loss: float) -> dict[str, np.ndarray]:
    return {"bin": np.array(place), "loss": np.array(loss)}


def test_a_bin_whose_loss_falls_is_drawn_rather_and_none_is_forgotten(mini: SearchSpace) -> None:
    method = ShiftNas(space=mini, num_bins=4)
    state = method.initial_state()
    assert method.chances(state) == pytest.approx([0.25] * 4)
    for step in range(60):
        losses = (2.0, 2.0, 2.0 * 0.98**step, 2.0)
        state = method.fold(state, [report(place, loss) for place, loss in enumerate(losses)])
    chances = method.chances(state)
    assert chances.sum() == pytest.approx(1.0)
    assert chances[2] > 1.5 * chances[0]
    assert chances[0] == chances[1] == chances[3] >= EVEN_SHARE / 4
    counts = np.bincount(
        [
            method.bins.of(np.array([method.draw(state, t, np.random.default_rng(t))]))[0]
            for t in range(80)
        ],
        minlength=4,
    )
    assert counts.argmax() == 2
    for _ in range(300):  # it stays where it is
        state = method.fold(state, [report(2, 0.5)])
    assert method.chances(state) == pytest.approx([0.25] * 4, abs=0.01)


def test_what_was_never_trained_counts_as_what_learns_most(mini: SearchSpace) -> None:
    method = ShiftNas(space=mini, num_bins=3)
    state = method.initial_state()
    for step in range(30):
        state = method.fold(state, [report(0, 2.0 * 0.97**step), report(1, 2.0)])
    chances = method.chances(state)
    assert chances[2] == chances[0] > chances[1]


def test_the_state_counts_what_was_trained_and_the_summary_says_it(mini: SearchSpace) -> None:
    method = ShiftNas(space=mini, num_bins=2)
    before = method.initial_state()
    after = method.fold(before, [report(1, 1.0), report(1, 3.0)])
    assert after["trained"].tolist() == [0, 2]
    assert after["recent"].tolist() == pytest.approx([0.0, 1.2])
    assert after["earlier"].tolist() == pytest.approx([0.0, 1.04])
    assert not any(array.any() for array in before.values())
    text = method.summary(after)
    assert text.startswith("members trained, by millions of multiply-adds: ")
    assert text.endswith(": 2")
    assert example("sortednet").summary({}) == ""


def test_nothing_is_pruned_before_channels_are_ranked(mini: SearchSpace) -> None:
    method = ShiftNas(space=mini, sparse_from=40)
    columns = mini.columns("sparsity")
    assert not drawn(method, range(40))[:, columns].any()
    assert drawn(method, range(40, 80))[:, columns].any()


def test_a_budget_that_leaves_one_size_is_no_obstacle(mini: SearchSpace) -> None:
    assert mini.costs is not None
    limit = 1.02 * mini.costs.minimum("macs")[0]
    method = ShiftNas(space=mini, is_within=lambda rows: macs(mini, rows) <= limit)
    assert np.diff(method.bins.edges).min() >= 0.0
    assert len(drawn(method, range(4))) == 4
