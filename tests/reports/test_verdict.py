"""One sentence says whether the search decided anything, and it is true."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reports import load_run, verdict, wilson
from reports.intervals import difference
from reports.markdown import markdown
from reports.page import header
from reports.records import FinetuneFacts, Member, RunTables, SplitQuality
from reports.verdict import (
    ALIKE,
    BETTER,
    CLAIMS,
    FASTER,
    GUESSING,
    TRAINED,
    TRAINED_FASTER,
    WORSE,
    Scored,
    claim,
    compared,
    sentence,
    slowest_share,
)
from search_spaces import AbstractClassTask, Metric, task_of

NewRun = Callable[..., Path]
ACCURACY = task_of("classification").shown


def of_2000(correct: int) -> Scored:
    return Scored(value=correct / 2000, interval=wilson(correct, 2000))


def tuned(member: Member) -> Member:
    return replace(member, finetuned=FinetuneFacts(source="0123456789ab"))


def without_random(run: RunTables) -> RunTables:
    kept = [member for member in run.references if not member.role.startswith("random")]
    return replace(run, references=tuple(kept))


@pytest.mark.parametrize(
    ("one", "other", "outcome"),
    [(1500, 1400, BETTER), (1400, 1500, WORSE), (1450, 1430, ALIKE), (2000, 2000, ALIKE)],
)
def test_networks_are_compared_by_the_interval_of_their_difference(
    one: int, other: int, outcome: str
) -> None:
    assert compared(of_2000(one), of_2000(other), ACCURACY) == outcome


def test_a_difference_is_what_newcombe_gives() -> None:
    """Newcombe (1998), table II, method 10, of 56/70 and 48/80: 0.0524 to 0.3339."""
    found = difference(56 / 70, wilson(56, 70), 48 / 80, wilson(48, 80))
    assert found == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_of_a_metric_to_minimise_less_is_better() -> None:
    error = replace(ACCURACY, goal="minimize")
    assert compared(of_2000(100), of_2000(200), error) == BETTER


def test_what_was_found_is_compared_with_the_best_random_network_within_the_limits(
    new_run: NewRun,
) -> None:
    run = load_run(new_run())
    said = sentence(run)
    assert said.startswith(f"{CLAIMS[BETTER]} in accuracy: with shared weights the best trial has ")
    assert "where guessing has 1.0 %" in said
    assert "found has 74.2 % (72.2–76.1) at 1.03 ms; the best random one has 70.6 %" in said
    assert said.endswith("at 1.03 ms (better).")
    assert said in markdown(run)
    assert said.partition(":")[2] in header(run, {})


@pytest.mark.parametrize(
    ("fair", "at_first", "facts", "said"),
    [
        (BETTER, BETTER, {}, CLAIMS[BETTER]),
        (BETTER, BETTER, {"is_faster": True}, CLAIMS[BETTER]),
        (WORSE, WORSE, {"is_faster": True, "is_faster_by_training": True}, CLAIMS[WORSE]),
        ("", "", {"is_faster": True}, CLAIMS[""]),
        (ALIKE, ALIKE, {}, CLAIMS[ALIKE]),
        (ALIKE, WORSE, {}, CLAIMS[ALIKE]),
        (ALIKE, ALIKE, {"is_faster": True, "is_faster_by_training": True}, FASTER),
        (ALIKE, BETTER, {"is_faster": True, "is_faster_by_training": True}, FASTER),
        (ALIKE, BETTER, {"is_faster_by_training": True}, TRAINED),
        (ALIKE, ALIKE, {"is_faster_by_training": True}, TRAINED_FASTER),
        (BETTER, BETTER, {"is_guess": True}, GUESSING),
        (ALIKE, ALIKE, {"is_guess": True, "has_own": False}, GUESSING),
        ("", "", {"has_own": False}, verdict.NONE_OF_ITS_OWN),
    ],
)
def test_the_front_is_weighed_as_a_whole(
    fair: str, at_first: str, facts: dict[str, bool], said: str
) -> None:
    assert claim(fair=fair, at_first=at_first, **facts) == said


def at(member: Member, *, shown: float, ms: float, num_bytes: int) -> Member:
    latency = replace(member.deployed.latency, median_ms=ms, interval_ms=(0.95 * ms, 1.05 * ms))
    found = member.deployed.search
    search = replace(found, shown=shown, correct=round(shown * (found.total or 0)))
    file = replace(member.deployed, latency=latency, search=search, bytes=num_bytes)
    return replace(member, files=(file,))


def test_every_random_network_must_be_beaten_in_latency(new_run: NewRun) -> None:
    one = load_run(new_run()).front[0]
    small, large = at(one, shown=0.7, ms=1.0, num_bytes=9), at(one, shown=0.8, ms=2.0, num_bytes=9)
    drawn = [at(one, shown=0.7, ms=4.0, num_bytes=10), at(one, shown=0.78, ms=5.0, num_bytes=9)]
    assert slowest_share([small, large], drawn) == pytest.approx(0.4)
    assert slowest_share([small], drawn) is None, "less accurate than one of them"
    assert slowest_share([large], [at(one, shown=0.8, ms=2.1, num_bytes=9)]) is None, "not surely"
    assert slowest_share([large], [at(one, shown=0.8, ms=9.0, num_bytes=8)]) is None, "larger"
    assert slowest_share([large], []) is None
    assert slowest_share([tuned(small)], drawn[:1]) == 0.25
    assert slowest_share([tuned(small)], drawn[:1], is_alike=True) is None


def test_faster_networks_of_the_same_accuracy_are_found(new_run: NewRun) -> None:
    run = load_run(new_run())
    fast = tuple(at(m, shown=0.72, ms=1.0, num_bytes=1) for m in run.front)
    slow = tuple(at(m, shown=0.72, ms=3.0, num_bytes=2) for m in run.references)
    said = sentence(replace(run, front=fast, references=slow))
    assert said.startswith(f"{FASTER} in accuracy: ")
    assert "for each random one it found one with at most 33.3 % of its latency" in said


def test_training_further_is_not_taken_for_the_search(new_run: NewRun) -> None:
    run = load_run(new_run())
    few = tuple(replace(trial, shown=0.706) for trial in run.trials)
    said = sentence(replace(run, front=tuple(map(tuned, run.front)), trials=few))
    assert said.startswith(TRAINED)
    assert "1.03 ms, trained further; " in said
    assert "(better; with shared weights alone not told apart)" in said


def test_the_controllers_ranking_is_said_where_it_is_recorded(new_run: NewRun) -> None:
    words = "the controller's predictions rank trials by log-loss with Kendall tau 0.86"
    assert words in sentence(load_run(new_run(extras=True)))
    assert words.partition(" with")[0] not in sentence(load_run(new_run()))


def test_random_networks_on_the_front_were_not_found_by_the_search(new_run: NewRun) -> None:
    run = load_run(new_run())
    (drawn,) = [member for member in run.references if member.role == "random 2"]
    member = replace(drawn, is_reference=False)
    twin = replace(member, key="abc", role=f"fp32 of {member.key}")
    said = sentence(replace(run, front=(member, twin), references=run.references[:2]))
    assert said.startswith(verdict.NONE_OF_ITS_OWN)
    assert "none that it found is on the front; the best random one has 70.6 %" in said


def test_shared_weights_that_guess_give_a_search_nothing_to_go_by(new_run: NewRun) -> None:
    run = load_run(new_run())
    guesses = tuple(replace(trial, shown=0.012) for trial in run.trials)
    assert sentence(replace(run, trials=guesses)).startswith(GUESSING)


def test_what_is_not_known_is_not_claimed(new_run: NewRun) -> None:
    run = load_run(new_run())
    assert sentence(replace(run, trials=())) == verdict.NO_TRIAL
    said = sentence(without_random(run))
    assert said.startswith(CLAIMS[""])
    assert said.endswith("no random one was measured.")
    assert "none that it found is on the front" in sentence(replace(run, front=()))
    assert sentence(replace(without_random(run), front=())).startswith(CLAIMS[""])


class Levels(AbstractClassTask):
    """Of a plug-in: a metric that is no share, and less of it is better."""

    loss = Metric(name="squares", title="squared error")
    shown = Metric(name="levels", title="error", unit="levels")

    def num_outputs(self, num_classes: int) -> int:
        raise NotImplementedError

    def judge(self, outputs_NK: np.ndarray, labels_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError

    def answers(self, outputs_NK: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def guessing(self, labels: Sequence[int]) -> tuple[float, float]:
        return 9.0, 2.5


def test_metrics_are_those_of_the_task(new_run: NewRun) -> None:
    run, task = load_run(new_run()), Levels()

    def answering(member: Member, error: float) -> Member:
        found = SplitQuality(shown=error, deviation=1.0, total=400)
        return replace(member, task=task, files=(replace(member.deployed, search=found),))

    front = tuple(answering(member, 1.0 + i) for i, member in enumerate(run.front))
    references = tuple(answering(member, 0.5) for member in run.references)
    said = sentence(replace(run, task=task, front=front, references=references))
    assert said.startswith(f"{CLAIMS[WORSE]} in error: ")
    assert ", where guessing has 2.5 levels; " in said
    assert "found has 1 levels (0.902–1.1) at " in said
