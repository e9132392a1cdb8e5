"""Choosing the front: who is measured first, who is replaced, and on which numbers."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nas.data import DataSet
from nas.finalists.entry import Entry, Finetuned
from nas.finalists.order import MARGIN, NEARLY, covering_order, finalist_order
from nas.front.contest import (
    MAX_ROUNDS,
    Contest,
    Measured,
    choose_front,
    over_limit,
    why_empty,
)
from nas.front.measure import Exporter
from nas.problem.drop import DROP, drop_limit
from nas.problem.pareto import hypervolume
from nas.problem.problem import Limit, Objective, Problem
from nas.problem.trial import Trial
from nas.targets import Timing
from search_spaces import DEFAULT_TASK, Candidate, CandidateError, Choice, SearchSpace, task_of

SPACE = SearchSpace("line", (Choice("width", tuple(range(1, 41))),))
ACCURACY = task_of(DEFAULT_TASK).shown
NO_DATA = cast(DataSet, None)
"""Nobody may be guessing, so nobody asks."""

TIMING = Timing(
    median_ms=1.0,
    interval_ms=(1.0, 1.0),
    process_medians_ms=(1.0,) * 5,
    runs=5,
    processes=5,
    discarded=0,
    measured_at="",
    threads=1,
    batch=1,
    is_bimodal=False,
    runtime="none",
    version="1",
    cpu="none",
    instruction_set="none",
)


def problem(*limits: Limit) -> Problem:
    names = ("log_loss", "latency_ms", "size_bytes")
    return Problem(
        space=SPACE, objectives=tuple(Objective(name, "minimize") for name in names), limits=limits
    )


def trial(number: int, *, loss: float, predicted_ms: float, failure: str | None = None) -> Trial:
    return Trial(
        number=number,
        candidate=SPACE.candidate((number,)),
        metrics={} if failure else {"log_loss": loss, "accuracy": 0.5},
        predicted={"latency_ms": predicted_ms, "size_bytes": 1.0, "macs": 1.0, "params": 1.0},
        failure=failure,
    )


class Bench:
    """Stands for an exporter: says what would be measured, and remembers who was.

    Args:
        of: Candidates and limits.
        measured_ms: Measured latency by trial number; None fails. Default: as predicted.
        trials: All trials.
    """

    def __init__(
        self, of: Problem, trials: Sequence[Trial], measured_ms: dict[int, float | None]
    ) -> None:
        self.problem, self.run = of, Namespace(path=Path("runs/x"))
        self.data = NO_DATA
        self.known = {t.candidate.key: t for t in trials}
        self.measured_ms = measured_ms
        self.right: dict[int, int] = {}
        self.files: dict[int, dict[str, Any]] = {}
        self.partly: set[int] = set()
        self.order: list[int] = []

    def cards(
        self, entries: Sequence[Entry], progress: Callable[[str], None]
    ) -> list[dict[str, Any] | CandidateError]:
        return [self._card(entry.candidate) for entry in entries]

    def trial(self, number: int, candidate: Candidate, card: dict[str, Any]) -> Trial:
        metrics = {
            "log_loss": self.known[candidate.key].metrics["log_loss"],
            "latency_ms": card["files"]["model.onnx"]["latency"]["median_ms"],
            "size_bytes": 1.0,
        }
        return Trial(number=number, candidate=candidate, metrics=metrics, predicted={})

    def is_judged_on_all(self, card: dict[str, Any]) -> bool:
        return card["number"] not in self.partly

    def _card(self, candidate: Candidate) -> dict[str, Any] | CandidateError:
        of = self.known[candidate.key]
        self.order.append(of.number)
        latency_ms = self.measured_ms.get(of.number, of.predicted["latency_ms"])
        if latency_ms is None:
            return CandidateError("file 'runs/x/front/model.onnx' cannot be loaded")
        files = {"model.onnx": file(latency_ms, self.right.get(of.number, 80))}
        return {
            "number": of.number,
            "key": candidate.key,
            "encoding": list(candidate.encoding),
            "files": {**files, **self.files.get(of.number, {})},
            "classes": [str(i) for i in range(10)],
        }


def file(latency_ms: float, right: int = 80) -> dict[str, Any]:
    """What a card says of an ONNX file."""
    medians = {"median_ms": latency_ms, "process_medians_ms": [latency_ms] * 5}
    timing = TIMING.to_json() | medians
    search = {"correct": right, "total": 100, "fraction": right / 100}
    return {"latency": timing, "accuracy": {"search": search}}


class Namespace:
    """Some attributes."""

    def __init__(self, **attributes: object) -> None:
        self.__dict__.update(attributes)


def front_of(
    trials: Sequence[Trial],
    *limits: Limit,
    num_finalists: int = 3,
    measured_ms: dict[int, float | None] | None = None,
) -> tuple[dict[str, Any], list[int]]:
    """front.json, and the numbers of the trials in the order in which they were measured."""
    bench = Bench(problem(*limits), trials, measured_ms or {})
    contest = Contest(finalist_order(bench.problem, trials), num_finalists)
    return choose_front(cast(Exporter, bench), contest), bench.order


LINE = [trial(i, loss=10.0 - i, predicted_ms=1.0 + i) for i in range(8)]
"""A front: each slower and better than the one before."""

FIRST = [0, 7, 3]
"""Finalists of the line, in their order."""


def keys(*numbers: int) -> list[str]:
    return [SPACE.candidate((number,)).key for number in numbers]


losses = st.lists(st.tuples(*[st.integers(1, 30)] * 3), min_size=1, max_size=40, unique=True)


@given(losses)
def test_a_covering_order_is_a_permutation_with_both_ends_first(
    rows: list[tuple[int, ...]],
) -> None:
    losses_FM = np.array(rows, float)
    order = covering_order(losses_FM)
    assert sorted(order) == list(range(len(rows)))
    scaled_FM = np.log(losses_FM) - np.log(losses_FM).min(axis=0)
    nearly_M = NEARLY * scaled_FM.max(axis=0)
    assert scaled_FM[order[0], 1] <= nearly_M[1]
    is_best = scaled_FM[:, 0] <= nearly_M[0]
    assert is_best[order[:2]].any()


@given(losses, st.integers(1, 8))
def test_the_first_of_a_covering_order_have_most_of_the_hypervolume(
    rows: list[tuple[int, ...]], k: int
) -> None:
    scaled_FM = np.log(np.array(rows, float))
    scaled_FM = (scaled_FM - scaled_FM.min(axis=0)) / np.maximum(np.ptp(scaled_FM, axis=0), 1e-9)
    reference_M = np.full(3, 1.0 + MARGIN)
    order = covering_order(np.array(rows, float))
    found = hypervolume(scaled_FM[order[: k + 2]], reference_M)
    some = np.random.default_rng(0).permuted(np.tile(np.arange(len(rows)), (20, 1)), axis=1)[:, :k]
    best = max(hypervolume(scaled_FM[chosen], reference_M) for chosen in some)
    assert found >= (1 - 1 / np.e) * best - 1e-9


def test_of_networks_that_are_about_as_good_the_cheap_one_is_the_best() -> None:
    slow, fast = (0.694, 0.210, 1_046.0), (0.695, 0.146, 780.0)
    others = [(0.898, 0.047, 116.0), (0.712, 0.290, 70.0)]
    assert covering_order(np.array([slow, *others, fast]))[:2] == [1, 3]


def test_beyond_the_most_the_order_is_given() -> None:
    losses_FM = np.array([(10.0 - i, 1.0 + i) for i in range(9)])
    assert covering_order(losses_FM, 0) == list(range(9))
    assert sorted(covering_order(losses_FM, 4)) == list(range(9))
    assert covering_order(losses_FM, 4)[4:] == sorted(covering_order(losses_FM, 4)[4:])


def test_one_objective_is_ordered_by_it() -> None:
    assert covering_order(np.array([[3.0]])) == [0]


def test_the_first_to_be_measured_span_the_front() -> None:
    dominated = [trial(20 + i, loss=20.0, predicted_ms=1.0 + i) for i in range(3)]
    failed = trial(30, loss=0.0, predicted_ms=0.1, failure="too small")
    order = [t.number for t in finalist_order(problem(), [*dominated, failed, *LINE])]
    assert order[:3] == FIRST
    assert sorted(order[:8]) == list(range(8))
    assert order[8:] == [20, 21, 22]


def test_members_are_sorted_by_measured_latency() -> None:
    front, measured = front_of(LINE, measured_ms={0: 1.5, 3: 1.2, 7: 9.0})
    assert measured == [0, 7, 3]
    assert front["members"] == keys(3, 7)
    assert front["replaced"] == [{"key": keys(0)[0], "reason": "dominated once measured"}]


def test_members_over_a_measured_limit_are_replaced_by_the_next() -> None:
    front, measured = front_of(LINE, Limit("latency_ms", 6.0), measured_ms={5: 6.5})
    assert measured[:3] == [0, 5, 2]
    assert front["members"] == keys(*sorted(set(measured) - {5}))
    assert len(front["members"]) == 3
    reason = "measured latency_ms 6.5 is over the limit 6"
    assert front["replaced"] == [{"key": keys(5)[0], "reason": reason}]


def test_members_that_cannot_run_are_replaced_and_the_reason_names_no_folder() -> None:
    front, _ = front_of(LINE, measured_ms={0: None})
    assert len(front["members"]) == 3
    (row,) = front["replaced"]
    assert row["key"] == keys(0)[0]
    assert row["reason"] == "file 'front/model.onnx' cannot be loaded"


def test_networks_that_may_be_guessing_are_no_results() -> None:
    bench = Bench(problem(), LINE, {})
    bench.right = {0: 12, 1: 20, 2: 80}  # of 100, 10 classes: 1 in 3, 1 in 500 and never by luck
    contest = Contest(queue=LINE[:3], num_finalists=3)
    front = choose_front(cast(Exporter, bench), contest)
    assert front["members"] == keys(2)
    reasons = {row["key"]: row["reason"] for row in front["replaced"]}
    assert reasons[keys(0)[0]].startswith("may be guessing: 12 of 100 right")


def test_replacing_ends_after_some_rounds_with_an_empty_front() -> None:
    slow: dict[int, float | None] = {t.number: 30.0 for t in LINE}
    front, measured = front_of(LINE, Limit("latency_ms", 20.0), num_finalists=1, measured_ms=slow)
    assert front["members"] == []
    assert front["knee"] is None
    assert len(measured) == len(front["replaced"]) == MAX_ROUNDS
    assert front["failure"] == (
        "no network is on the front, of 4 that were measured. Budget '20 ms': the smallest "
        "latency_ms is 30 ms. Use '30 latency_ms' or more."
    )


def test_an_empty_front_says_which_budget_would_do_beside_the_others() -> None:
    small, fast = (
        Limit(n, 2.0, text=f"2{u}") for n, u in (("size_bytes", "B"), ("latency_ms", "ms"))
    )
    of = problem(small, fast)
    found = Measured()
    found.able = [sized(0, 1.0, 2.34e-3 + 2), sized(1, 5.0, 1.0)]
    assert why_empty(of, found, NO_DATA) == (
        "no network is on the front, of 0 that were measured. Budget '2B': the smallest size_bytes "
        "of those within the other budgets is 5 B. Use '5B' or more. Budget '2ms': the smallest "
        "latency_ms of those within the other budgets is 2 ms. Use '2.01ms' or more."
    )
    found.able = [sized(0, 3.0, 3.0)]
    found.replaced = [{"key": "a", "reason": "too slow"}] * 2
    assert why_empty(of, found, NO_DATA).endswith(
        "measured: too slow. Raise --time, or the budget."
    )
    found.replaced = [{"key": "a", "reason": f"no better: {number} dB"} for number in range(5)]
    assert ": no better: 0 dB; no better: 1 dB; and 3 more such reasons. Raise" in why_empty(
        of, found, NO_DATA
    )


def brought_in(bench: Bench, number: int) -> Entry:
    """The network that was brought, which stands for a trial."""
    candidate = bench.known[SPACE.candidate((number,)).key].candidate
    return Entry(candidate, "brought fp32", is_reference=True, brought=Path("brought"))


def test_what_loses_too_much_against_the_network_that_was_brought_is_left_out() -> None:
    bench = Bench(problem(drop_limit("5%", ACCURACY)), LINE, {})
    bench.right = {0: 84, 1: 85, 7: 90}  # of 100
    contest = Contest(queue=LINE[:2], num_finalists=2, references=[brought_in(bench, 7)])
    front = choose_front(cast(Exporter, bench), contest)
    assert front["members"] == [*keys(1), *(f"{key}-brought" for key in keys(7))]
    assert front["replaced"] == [
        {"key": keys(0)[0], "reason": "it is 6% worse than as brought, over max-drop 5%"}
    ]


def test_an_empty_front_says_which_drop_would_do() -> None:
    bench = Bench(problem(drop_limit("1%", ACCURACY), Limit("latency_ms", 2.0)), LINE, {})
    bench.right = {0: 70, 1: 75, 7: 90}
    contest = Contest(queue=LINE[:2], num_finalists=2, references=[brought_in(bench, 7)])
    failure = choose_front(cast(Exporter, bench), contest)["failure"]
    assert (
        "'max-drop 1%': the smallest drop of those within the other budgets is 15%. "
        "Use --max-drop 15% or more."
    ) in failure


def test_scores_over_the_drop_alone_are_measured_last_the_least_first() -> None:
    drops = {0: 0.3, 3: 0.0, 5: 0.2, 7: 0.5}
    trials = [replace(LINE[i], metrics={**LINE[i].metrics, DROP: d}) for i, d in drops.items()]
    order = finalist_order(problem(drop_limit("10%", ACCURACY)), trials)
    assert [trial.number for trial in order] == [3, 5, 0, 7]


def sized(number: int, size: float, latency_ms: float) -> Trial:
    """A measured trial."""
    metrics = {"size_bytes": size, "latency_ms": latency_ms}
    return replace(trial(number, loss=1.0, predicted_ms=1.0), metrics=metrics)


def test_indistinguishable_neighbours_are_marked_as_ties() -> None:
    front, _ = front_of(LINE, measured_ms={0: 1.0, 3: 1.0001, 7: 9.0})
    assert front["ties"] == [keys(0, 3)]


def tuned(number: int) -> Entry:
    """A trial's candidate that was trained further."""
    candidate = SPACE.candidate((number,))
    own = Finetuned(f"{candidate.key}-ft0", Path("network.safetensors"), {})
    return Entry(candidate, "front member", finetuned=own)


def test_networks_trained_further_compete_under_their_own_keys() -> None:
    bench = Bench(problem(), LINE, {0: 1.0, 3: 4.0, 7: 8.0})
    contest = Contest(
        finalist_order(bench.problem, LINE), 3, others=[tuned(2)], references=[reference(5)]
    )
    front = choose_front(cast(Exporter, bench), contest)
    own = f"{keys(2)[0]}-ft0"
    assert front["members"] == [keys(0)[0], own, *keys(3, 5, 7)]
    assert front["references"] == [{"key": keys(5)[0], "name": "random 1"}]
    assert bench.order == [5, 2, 0, 7, 3], "all in one call, references first"


def test_a_reference_that_does_not_belong_on_the_front_is_beside_it_without_a_reason() -> None:
    limit = Limit("latency_ms", 5.5)
    for number, partly in ((5, set()), (2, {2})):  # over the limit; seen on fewer images
        bench = Bench(problem(limit), LINE, {})
        bench.partly = partly
        contest = Contest([LINE[0], LINE[3]], 2, references=[reference(number)])
        front = choose_front(cast(Exporter, bench), contest)
        assert front["members"] == keys(0, 3)
        assert front["replaced"] == []
        assert front["references"] == [{"key": keys(number)[0], "name": "random 1"}]


def test_a_finalist_that_is_a_reference_is_measured_once_and_takes_its_place() -> None:
    bench = Bench(problem(), LINE, {})
    contest = Contest(finalist_order(bench.problem, LINE), 2, references=[reference(0)])
    front = choose_front(cast(Exporter, bench), contest)
    assert bench.order == [0, 7]
    assert front["members"] == keys(0, 7)


def quantizable(precisions: tuple[str, ...] = ("int8", "fp32")) -> SearchSpace:
    """The line, with a format."""
    return SearchSpace("line", (*SPACE.choices, Choice("stage1.precision", precisions)))


def twins_of(
    space: SearchSpace,
    fp32_ms: float,
    *,
    entries: Sequence[Entry] = (),
    others: Sequence[Entry] = (),
) -> tuple[list[str], dict[str, Any]]:
    """Key of the one trial, which is in int8 and takes 2 ms, and front.json."""
    one = replace(LINE[0], candidate=space.candidate((0, 0)))
    same = replace(one, number=1, candidate=space.candidate((0, len(space.choices[1].options) - 1)))
    bench = Bench(replace(problem(), space=space), [one, same], {0: 2.0, 1: 2.0})
    files = {"model.fp32.onnx": file(fp32_ms), "model.fp32.safetensors": {}}
    bench.files = {0: files, 1: files}
    contest = Contest([one], 1, references=entries, others=others)
    return [one.candidate.key, same.candidate.key], choose_front(cast(Exporter, bench), contest)


def test_the_fp32_file_of_a_quantized_network_competes_with_the_numbers_it_has() -> None:
    (own, _), front = twins_of(quantizable(), 1.0)
    assert front["members"] == [f"{own}-fp32"], "as small and as good here, and faster"
    assert front["replaced"] == [{"key": own, "reason": "dominated once measured"}]
    (own, _), front = twins_of(quantizable(), 3.0)
    assert (front["members"], front["replaced"]) == ([own], [])
    (own, _), front = twins_of(quantizable(("int8",)), 1.0)
    assert front["members"] == [own], "the space has no fp32"


def test_a_twin_that_is_measured_under_its_own_key_competes_once() -> None:
    space = quantizable()
    in_fp32 = space.candidate((0, 1))
    (own, same), front = twins_of(space, 2.0, entries=[Entry(in_fp32, "largest fp32", True)])
    assert sorted(front["members"]) == sorted([own, same])
    weights = Finetuned(f"{in_fp32.key}-ft0", Path("network.safetensors"), {})
    tuned = Entry(in_fp32, "front member", finetuned=weights)
    (own, same), front = twins_of(space, 2.0, others=[tuned])
    assert sorted(front["members"]) == sorted([own, f"{own}-fp32", f"{same}-ft0"])


def test_others_take_no_finalists_place() -> None:
    bench = Bench(problem(Limit("latency_ms", 6.0)), LINE, {5: 6.5})
    contest = Contest(
        finalist_order(bench.problem, LINE),
        3,
        finalist=lambda t: tuned(t.number),
        others=[tuned(1)],
    )
    front = choose_front(cast(Exporter, bench), contest)
    finalists = set(front["members"]) - {tuned(1).key}
    assert len(finalists) == 3
    assert {row["key"] for row in front["replaced"]} == {tuned(5).key}
    assert all(key.endswith("-ft0") for key in front["members"])
    assert front["knee"] is None or front["knee"] in front["members"]


def reference(number: int) -> Entry:
    return Entry(SPACE.candidate((number,)), "random 1", is_reference=True)


def test_the_limit_itself_is_allowed_and_unknown_values_are_not() -> None:
    limited = problem(Limit("latency_ms", 2.0))
    assert over_limit(limited, trial(0, loss=1.0, predicted_ms=2.0)) is None
    assert over_limit(limited, trial(0, loss=1.0, predicted_ms=2.001)) is not None
    assert over_limit(limited, trial(0, loss=1.0, predicted_ms=float("nan"))) is not None
