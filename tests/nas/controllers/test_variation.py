"""The plumbing of controllers: neighbours, mutation, repair and enumeration."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.controllers._variation import everything, fresh, mutate
from nas.controllers.evolution import Evolution, selection_order
from nas.problem.feasible import neighbours
from nas.problem.problem import Objective, Problem
from nas.testing.toy_problem import toy_space
from search_spaces import Choice, SearchSpace, UserError, load_space

quick = settings(deadline=None, max_examples=40)


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    """Up to five choices, each perhaps depending on some of the earlier ones."""
    choices: list[Choice] = []
    for index in range(draw(st.integers(1, 5))):
        conditions = []
        for other in choices:
            if draw(st.booleans()) and draw(st.booleans()):
                allowed = draw(st.lists(st.sampled_from(other.options), min_size=1, unique=True))
                conditions.append((other.name, tuple(allowed)))
        options = tuple(range(draw(st.integers(1, 4))))
        choices.append(Choice(f"choice{index}", options, tuple(conditions)))
    return SearchSpace("drawn", tuple(choices))


@quick
@given(spaces())
def test_everything_is_every_canonical_encoding(space: SearchSpace) -> None:
    grid = np.indices(space.cardinalities).reshape(len(space.choices), -1).T
    expected = np.unique(space.canonical_many(grid), axis=0)
    found = everything(space)
    assert found is not None
    assert found.tolist() == expected.tolist()


def test_everything_of_a_space_with_a_network_is_as_many_as_its_size() -> None:
    space = load_space("toy", resolution=28, channels=1, num_classes=10)
    few = {choice.name: choice.options[:1] for choice in space.choices[8:]}
    few.pop(next(c.name for c in space.choices[8:] if c.name.endswith("operator")), None)
    space = space.restricted(few)
    found = everything(space)
    assert found is not None
    assert len(found) == space.size > 8


@quick
@given(space=spaces(), seed=st.integers(0, 99))
def test_fresh_gives_each_row_once_that_is_not_taken(space: SearchSpace, seed: int) -> None:
    rows_NC = space.canonical_many(space.sample(np.random.default_rng(seed), 9))
    taken = {space.candidate(row).code for row in rows_NC[:3].tolist()}
    expected = dict.fromkeys(map(tuple, rows_NC.tolist()))
    for row in rows_NC[:3].tolist():
        expected.pop(tuple(row), None)
    problem = Problem(space=space, objectives=(Objective("log_loss", "minimize"),))
    assert list(map(tuple, fresh(problem, rows_NC, taken).tolist())) == list(expected)


def test_a_large_space_is_not_enumerated() -> None:
    assert everything(toy_space()) is None


@quick
@given(spaces(), st.integers(0, 99))
def test_neighbours_are_all_encodings_that_differ_in_one_choice(
    space: SearchSpace, seed: int
) -> None:
    row_C = space.sample(np.random.default_rng(seed), 1)[0]
    found = neighbours(space, row_C[None])[0]
    grid = np.indices(space.cardinalities).reshape(len(space.choices), -1).T
    expected = grid[(grid != row_C).sum(axis=1) == 1]
    assert sorted(found.tolist()) == sorted(expected.tolist())


@quick
@given(spaces(), st.integers(0, 99), st.sampled_from([0.0, 0.5, 1.0]))
def test_mutation_changes_at_least_one_choice_and_stays_in_the_space(
    space: SearchSpace, seed: int, ordinal: float
) -> None:
    rng = np.random.default_rng(seed)
    parents_NC = space.sample(rng, 20)
    children_NC = mutate(space, parents_NC, rng, expected=0.5, ordinal=ordinal)
    assert ((children_NC >= 0) & (children_NC < space.cardinalities)).all()
    if max(space.cardinalities) > 1:
        assert (children_NC != parents_NC).any(axis=1).all()
    if ordinal == 1.0:
        assert (np.abs(children_NC - parents_NC) <= 1).all()


def test_mutation_changes_as_many_choices_as_expected() -> None:
    space = SearchSpace("wide", tuple(Choice(f"c{i}", ("a", "b", "c")) for i in range(50)))
    parents_NC = np.zeros((4000, 50), dtype=int)
    rng = np.random.default_rng(0)
    children_NC = mutate(space, parents_NC, rng, expected=3.0, ordinal=0.5)
    # The mean of Binomial(50, 0.06) with 0 counted as 1 is 3.045; 5 sigma of 4,000 rows are 0.13.
    assert (children_NC != 0).sum(axis=1).mean() == pytest.approx(3.045, abs=0.13)
    assert (children_NC == 1).sum() == pytest.approx((children_NC == 2).sum(), rel=0.1)


def test_selection_prefers_lower_ranks_then_lonelier_rows_and_broken_ones_last() -> None:
    losses_NM = np.array(
        [[np.nan, 0.0], [2.0, 9.0], [0.0, 10.0], [0.5, 8.0], [4.0, 4.0], [10.0, 0.0]]
    )
    assert selection_order(losses_NM).tolist() == [2, 5, 4, 3, 1, 0]


@pytest.mark.parametrize(
    "wrong", [{"tournament": 0}, {"crossover": 1.5}, {"mutations": float("nan")}]
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    name = next(iter(wrong))
    with pytest.raises(UserError, match=f"controller 'evolution': {name} is"):
        Evolution(**wrong)  # type: ignore[arg-type]
