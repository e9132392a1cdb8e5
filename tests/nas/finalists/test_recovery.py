"""What short trainings teach about drops, and whom they make one train on."""

import numpy as np
import pytest

from nas.finalists.recovery import (
    POWER,
    SHARE,
    SHARE_DEVIATION,
    Recovery,
    chance_within,
    promising,
    smoothed,
    straddling,
)
from nas.problem.drop import Drop

UNIT = 0.01


def drop(value: float, half: float = 1e-6) -> Drop:
    return Drop(value, (value - half, value + half))


def test_before_any_training_a_share_is_left_and_much_is_open() -> None:
    guessed = Recovery.guessed(UNIT)
    mean_N, deviation_N = guessed.expected(np.array([0.0, 0.1]))
    assert mean_N.tolist() == [0.0, pytest.approx(0.1 * SHARE)]
    assert deviation_N[1] > 0.1 * SHARE_DEVIATION > deviation_N[0]
    limit = guessed.shared_limit(0.005)
    assert guessed.expected(np.array([limit]))[0][0] == pytest.approx(0.005 + UNIT)


def test_what_is_not_pruned_is_expected_to_lose_nothing_in_the_end() -> None:
    guessed = Recovery.guessed(UNIT, gap=0.02)
    assert guessed.expected(np.array([0.02]))[0][0] == pytest.approx(0.0)


def test_trainings_decide_the_line_and_narrow_what_is_expected() -> None:
    shared = np.linspace(0.0, 0.4, 9)
    learnt = Recovery.guessed(UNIT).learnt(shared.tolist(), [drop(0.1 * x - 0.004) for x in shared])
    assert learnt.line == pytest.approx((-0.004, 0.1), abs=0.003)
    before, after = (r.expected(np.array([0.2]))[1][0] for r in (Recovery.guessed(UNIT), learnt))
    assert after < before / 2
    assert Recovery.guessed(UNIT).learnt([], []).line == Recovery.guessed(UNIT).line


def test_an_uncertain_training_teaches_less() -> None:
    guessed = Recovery.guessed(UNIT)
    sure, unsure = (guessed.learnt([0.2], [drop(0.0, half)]) for half in (1e-6, 1.0))
    assert sure.share < unsure.share
    assert unsure.share == pytest.approx(SHARE, abs=0.01)


def test_more_images_leave_less() -> None:
    learnt = Recovery.guessed(UNIT)
    same, more, fewer = (learnt.after(10_000, images).share for images in (10_000, 50_000, 5_000))
    assert more < same < fewer
    assert same == pytest.approx(SHARE)
    assert more == pytest.approx(1 / (1 + 5**POWER * 3)), "a quarter is left of one number"
    back = learnt.after(10_000, 50_000).after(50_000, 10_000)
    assert back.line == pytest.approx(learnt.line)
    assert back.covariance == pytest.approx(learnt.covariance)


def test_the_cheapest_that_is_likely_enough_is_taken_for_each_level() -> None:
    costs, chance = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.05, 0.6, 0.3, 0.95])
    assert straddling(costs, chance, (0.3, 0.5)) == [1, 3]
    assert straddling(costs, chance, (0.2, 0.2, 0.9)) == [1, 2, 3]
    assert straddling(costs, chance, (0.99,)) == [3], "none is so likely: the likeliest"
    assert straddling(costs[:1], chance[:1], (0.5, 0.9)) == [0]
    assert straddling(costs[:0], chance[:0], (0.5,)) == []


def test_the_last_ones_gain_most_together() -> None:
    costs = np.array([0.25, 0.5, 0.6, 0.9])
    assert promising(costs, np.array([0.1, 0.9, 0.9, 1.0]), 1.0, 1) == [1]
    sure = np.array([0.0, 1.0, 0.9, 1.0])
    assert promising(costs, sure, 1.0, 2)[0] == 1
    bold = np.array([0.2, 1.0, 0.9, 1.0])
    assert promising(costs, bold, 1.0, 2) == [1, 0], "what is sure needs nothing safer beside it"
    unsure = np.array([0.2, 0.5, 0.9, 1.0])
    assert promising(costs, unsure, 1.0, 3) == [2, 0, 1], "it has a fifth of a chance of far more"
    assert promising(costs[:0], sure[:0], 1.0, 2) == []


def test_chances_follow_a_normal() -> None:
    found = chance_within(np.array([0.0, 0.01, 1.0]), np.array([0.01, 0.01, 0.0]), 0.01)
    assert found == pytest.approx([0.8413, 0.5, 0.0], abs=1e-4)


def test_noise_of_drops_is_halved_where_losses_say_more() -> None:
    rng = np.random.default_rng(0)
    losses = np.linspace(0.4, 0.8, 24)
    true = 0.3 * (losses - 0.4)
    noisy = true + rng.normal(0.0, 0.006, len(losses))
    likely = losses <= np.quantile(losses, 0.75)
    found = smoothed(noisy, losses)
    assert np.std((found - true)[likely]) < 0.65 * np.std((noisy - true)[likely])
    assert found[~likely].tolist() == noisy[~likely].tolist(), "beyond, no line is known"
    assert smoothed(noisy[:4], losses[:4]) is not None
    assert np.isnan(smoothed(np.append(noisy, np.nan), np.append(losses, 1.0))[-1])
