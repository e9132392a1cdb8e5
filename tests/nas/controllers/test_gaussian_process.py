"""What the predictor knows about encodings, and how it learns which choices matter."""

import numpy as np
import pytest
from scipy.optimize import check_grad

from nas.controllers import _gaussian_process as gp
from nas.controllers._gaussian_process import GaussianProcess, features_of, fit_kernel
from nas.testing.toy_problem import toy_space
from search_spaces import Choice, SearchSpace

SPACE = SearchSpace(
    "mixed",
    (
        *(Choice(f"block{i}.operator", ("conv", "window", "raft")) for i in range(3)),
        *(Choice(f"block{i}.width", (8, 16, 32, 64)) for i in range(3)),
        Choice("head", ("a", "b")),
    ),
)


def features(space: SearchSpace, encodings_NC: np.ndarray) -> np.ndarray:
    return features_of(space)(encodings_NC, space.is_active(encodings_NC))


def standardised(values_N: np.ndarray) -> np.ndarray:
    return (values_N - values_N.mean()) / values_N.std()


def test_networks_differ_by_one_in_each_choice_of_words() -> None:
    rows_NF = features(SPACE, np.array([[0, 0, 0, 0, 0, 0, 0], [1, 2, 0, 0, 0, 0, 1]]))
    same_F = features_of(SPACE).group_F
    num_own = features_of(SPACE).num_own
    difference_F = (rows_NF[0] - rows_NF[1]) ** 2
    by_group = np.bincount(same_F[:num_own], difference_F[:num_own])
    assert sorted(by_group[by_group > 0.0]) == pytest.approx([1.0, 1.0, 1.0])


def test_near_positions_of_a_number_are_nearer_than_far_ones() -> None:
    rows_NF = features(SPACE, np.array([[0, 0, 0, width, 0, 0, 0] for width in range(4)]))
    distances = ((rows_NF - rows_NF[0]) ** 2).sum(axis=1)
    assert distances[0] == 0.0
    assert (np.diff(distances) > 0.0).all()


def test_counts_do_not_know_where_a_choice_was_made() -> None:
    rows_NF = features(SPACE, np.array([[0, 1, 2, 0, 1, 3, 0], [2, 0, 1, 3, 0, 1, 0]]))
    counts = features_of(SPACE).parts[1]
    assert rows_NF[0, counts] == pytest.approx(rows_NF[1, counts])
    assert rows_NF[:, counts].any()


def test_options_of_an_inactive_choice_do_not_matter() -> None:
    space = toy_space()
    shallow = np.zeros((1, len(space.choices)), dtype=int)
    other = shallow.copy()
    other[0, -1] = 2
    assert (features(space, shallow) == features(space, other)).all()


@pytest.mark.parametrize("num_rows", [5, 40])
def test_the_gradient_is_that_of_the_value(num_rows: int) -> None:
    rng = np.random.default_rng(num_rows)
    rows_NF = features(SPACE, SPACE.sample(rng, num_rows))
    target_N = standardised(rng.standard_normal(num_rows))
    parameters = 0.3 * rng.standard_normal(gp.NUM_SHARED + features_of(SPACE).num_groups)
    others = (rows_NF, target_N, features_of(SPACE), np.zeros_like(parameters))
    error = check_grad(
        lambda p: gp._negative_log_posterior(p, *others)[0],
        lambda p: gp._negative_log_posterior(p, *others)[1],
        parameters,
    )
    assert error < 1e-4


def posterior(rows_NF: np.ndarray, target_N: np.ndarray) -> GaussianProcess:
    kernel = fit_kernel(rows_NF, standardised(target_N), features_of(SPACE))
    return GaussianProcess.of(kernel, rows_NF, target_N)


def test_sums_over_choices_are_learnt_from_few_networks() -> None:
    rng = np.random.default_rng(1)
    cost_by_width = np.array([1.0, 2.0, 5.0, 11.0])
    encodings_NC = SPACE.sample(rng, 140)
    cost_N = cost_by_width[encodings_NC[:, 3:6]].sum(axis=1) + 3.0 * encodings_NC[:, 0]
    rows_NF = features(SPACE, encodings_NC)
    process = posterior(rows_NF[:40], cost_N[:40])
    mean_K, std_K = process.predict(rows_NF[40:])
    error = np.abs(mean_K - cost_N[40:])
    assert error.mean() < 0.05 * cost_N.std()
    assert (error < 4.0 * std_K + 1e-3).mean() > 0.95


def test_the_posterior_goes_through_exact_measurements_and_doubts_the_rest() -> None:
    rng = np.random.default_rng(2)
    encodings_NC = SPACE.sample(rng, 60)
    quality_N = np.sin(encodings_NC.sum(axis=1) + encodings_NC[:, 0] * encodings_NC[:, 3])
    rows_NF = features(SPACE, encodings_NC)
    process = posterior(rows_NF[:30], quality_N[:30])
    _, seen = process.predict(rows_NF[:30])
    _, unseen = process.predict(rows_NF[30:])
    assert seen.mean() < unseen.mean()
    assert (unseen > 0.0).all()


def test_leaving_one_out_equals_learning_without_it() -> None:
    rng = np.random.default_rng(3)
    rows_NF = features(SPACE, SPACE.sample(rng, 20))
    target_N = rng.standard_normal(20)
    process = posterior(rows_NF, target_N)
    mean_N, std_N = process.left_out()
    others = np.arange(20) != 7
    without = gp._posterior(
        process.kernel, rows_NF[others], target_N[others], process.shift, process.unit
    )
    mean, std = without.predict(rows_NF[[7]])
    noise = process.unit * np.sqrt(process.kernel.noise)
    assert mean_N[7] == pytest.approx(mean[0], rel=1e-6)
    assert std_N[7] == pytest.approx(np.hypot(std[0], noise), rel=1e-6)


def test_believing_a_prediction_removes_doubt_and_leaves_the_mean() -> None:
    rng = np.random.default_rng(4)
    rows_NF = features(SPACE, SPACE.sample(rng, 31))
    process = posterior(rows_NF[:30], rng.standard_normal(30))
    before, doubt_before = process.predict(rows_NF[30:])
    after, doubt_after = process.believing(rows_NF[30:]).predict(rows_NF[30:])
    assert after == pytest.approx(before, abs=1e-3)
    assert doubt_after[0] < doubt_before[0]
