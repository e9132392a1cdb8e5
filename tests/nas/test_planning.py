"""The phase plan: fits the time given, obeys what the user fixed, and can be read back."""

from dataclasses import replace

import pytest

from nas.config import Config
from nas.data import DataSet
from nas.planning import MIN_STEPS, MIN_TRIALS, checked_settings, decide, plans_of, profile_sizes
from search_spaces import SearchSpace, UserError

CONFIG = Config(
    space="toy", data="digits", set={"images_per_score": 32, "batch_size": 8, "precision": "fp32"}
)


def test_short_searches_time_fewer_files_but_enough_to_fit() -> None:
    sizes = [profile_sizes(Config(time=time)) for time in ("1s", "60s", "5m", "10h")]
    assert sizes == sorted(sizes)
    assert sizes[0] == (14, sizes[0][1])
    assert sizes[0][1] >= 6
    assert sizes[2] == sizes[3]


def test_unknown_settings_are_refused_with_a_suggestion() -> None:
    with pytest.raises(UserError, match=r"unknown setting 'learning_rat'.*'learning_rate'"):
        checked_settings(Config(set={"learning_rat": 0.1}))
    assert checked_settings(CONFIG) == CONFIG.set


@pytest.mark.parametrize("name", ["seed", "threads", "trials"])
def test_what_has_a_flag_is_no_setting(name: str) -> None:
    with pytest.raises(UserError, match=f"unknown setting '{name}'"):
        checked_settings(Config(set={name: 1}))


def test_without_time_the_plan_is_the_smallest_that_makes_sense(
    mini: SearchSpace, digits: DataSet
) -> None:
    train, phases = plans_of(decide(CONFIG, mini, digits, remaining_s=0.0, is_trained=False))
    assert train.steps == 2 * MIN_STEPS
    assert phases.trials == MIN_TRIALS
    assert (train.batch_size, train.precision, phases.images_per_score) == (8, "fp32", 32)


def test_what_the_user_fixed_is_kept(mini: SearchSpace, digits: DataSet) -> None:
    fixed = replace(CONFIG, trials=7, set={**CONFIG.set, "steps": 50, "channels_last": False})
    train, phases = plans_of(decide(fixed, mini, digits, remaining_s=1e4, is_trained=False))
    assert (train.steps, train.channels_last, phases.trials) == (50, False, 7)
    assert 0 <= train.full_from < 50


def test_a_trained_supernet_leaves_the_time_to_the_search(
    mini: SearchSpace, digits: DataSet
) -> None:
    train, phases = plans_of(decide(CONFIG, mini, digits, remaining_s=1000.0, is_trained=True))
    assert train.steps == 1
    assert phases.trials > MIN_TRIALS


def test_a_plan_without_a_field_is_refused() -> None:
    with pytest.raises(KeyError):
        plans_of({"schema": 1})
