"""The timing protocol: statistics of simulated samples, the loop on plain functions, processes."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nas.system.environment import (
    cpu_model,
    environment,
    has_bf16_products,
    instruction_set,
    int8_products_saturate,
)
from nas.targets import Timing, _timing, _worker, is_tie, measure, paired_ratio
from nas.targets._timing import summarise
from nas.targets._worker import Samples, time_calls
from search_spaces import CandidateError, UserError
from tests.nas.targets.test_conditions import block

ROOT = Path(_timing.__file__).parents[2]


def timing(medians_ms: Any, iqr_ms: float = 0.1) -> Timing:
    rows = [{"median_ms": median, "iqr_ms": iqr_ms, "runs": 10} for median in medians_ms]
    return summarise(rows, threads=1, batch=1, runtime="simulated", version="1")


def width_ms(of: Timing) -> float:
    low, high = of.interval_ms
    return high - low


# Statistics


def test_the_latency_is_the_median_of_the_process_medians_and_runs_are_summed() -> None:
    of = timing([3.0, 1.0, 2.0])
    assert (of.median_ms, of.runs, of.processes) == (2.0, 30, 3)
    assert of.process_medians_ms == (3.0, 1.0, 2.0)


def test_the_interval_of_five_processes_is_their_range() -> None:
    assert timing([5.0, 1.0, 3.0, 2.0, 4.0]).interval_ms == (1.0, 5.0)


def test_the_interval_does_not_change_when_computed_again() -> None:
    medians_ms = np.random.default_rng(0).normal(10, 1, 12)
    assert timing(medians_ms) == timing(medians_ms)


def test_more_processes_and_more_samples_narrow_the_interval() -> None:
    rng = np.random.default_rng(0)

    def mean_width_ms(processes: int, samples: int) -> float:
        draws = rng.normal(10, 1, (100, processes, samples))
        return float(np.mean([width_ms(timing(medians)) for medians in np.median(draws, axis=2)]))

    base = mean_width_ms(processes=5, samples=10)
    # Both widths fall with the square root; 0.7 leaves ten standard errors.
    assert mean_width_ms(processes=20, samples=10) < 0.7 * base
    assert mean_width_ms(processes=5, samples=40) < 0.7 * base


def test_processes_that_run_at_two_speeds_are_called_bimodal() -> None:
    assert timing([8.9, 14.9, 15.2, 15.1], iqr_ms=0.55).is_bimodal
    assert not timing([15.51, 15.7, 15.9, 16.1], iqr_ms=0.2).is_bimodal


def test_one_process_of_many_is_no_second_latency() -> None:
    medians_ms = [10.0 + 0.01 * i for i in range(20)]
    assert not timing([*medians_ms, 13.0]).is_bimodal
    assert timing([*medians_ms, 13.0, 13.1, 13.2]).is_bimodal


def test_one_process_or_a_wide_spread_within_processes_is_not_called_bimodal() -> None:
    assert not timing([8.9]).is_bimodal
    assert not timing([8.9, 14.9, 15.2, 15.1], iqr_ms=4.0).is_bimodal


@pytest.mark.parametrize("noise", [0.002, 0.01, 0.05])
def test_a_file_against_itself_is_a_tie_in_at_least_95_of_100(noise: float) -> None:
    # All five ratios beyond 1 % on one side: at most 2 * P(z > 0.01 / (sqrt(2) * 0.05))^5 = 3.4 %.
    # Of 1,000 draws with this seed; 5 % would be 2.8 sigma away.
    rng = np.random.default_rng(1)
    template = timing([1.0])
    ties = 0
    for _ in range(1000):
        machine = rng.normal(1, 0.2, 5).clip(0.5)
        a, b = (machine * np.exp(rng.normal(0, noise, 5)) for _ in range(2))
        ties += is_tie(
            dataclasses.replace(template, process_medians_ms=tuple(a)),
            dataclasses.replace(template, process_medians_ms=tuple(b)),
        )
    assert ties >= 950


def test_a_file_ten_percent_slower_is_no_tie_though_processes_differ_by_more() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        machine = rng.normal(1, 0.2, 5).clip(0.5)
        a, b = (machine * np.exp(rng.normal(0, 0.01, 5)) for _ in range(2))
        assert not is_tie(timing(a), timing(1.1 * b))
        assert not is_tie(timing(1.1 * b), timing(a))


def test_a_difference_below_one_percent_is_a_tie_however_often_it_is_seen() -> None:
    assert is_tie(timing([1.0] * 5), timing([1.009] * 5))
    assert not is_tie(timing([1.0] * 5), timing([1.011] * 5))


def test_the_ratio_of_two_files_is_that_within_processes() -> None:
    machine = np.array([1.0, 3.0, 1.0, 2.0, 1.0])
    ratio, (low, high) = paired_ratio(timing(2.0 * machine), timing(machine))
    assert (ratio, low, high) == pytest.approx((2.0, 2.0, 2.0))


def test_timings_of_different_numbers_of_processes_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="cannot be paired"):
        is_tie(timing([1.0, 1.0]), timing([1.0]))


def test_a_timing_comes_back_from_json_and_names_a_field_that_is_missing() -> None:
    of = timing([1.0, 2.0, 3.0])
    fields = json.loads(json.dumps(of.to_json()))
    assert Timing.from_json(fields) == of
    del fields["runs"]
    with pytest.raises(UserError, match="'runs' is missing"):
        Timing.from_json(fields)


# The loop inside a process


class SimulatedTime:
    """A clock that advances only when a call says so."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.order: list[str] = []

    def clock(self) -> int:
        return self.now_ns

    def opener(self, milliseconds: float, name: str = "") -> Callable[[], Callable[[], None]]:
        def call() -> None:
            self.now_ns += round(milliseconds * 1e6)
            self.order.append(name)

        return lambda: call

    def samples(self, openers: list[Any], **options: Any) -> list[Samples]:
        options = {"seed": 0, "budget_s": 100.0, "clock": self.clock, **options}
        results = time_calls(openers, **options)
        assert all(isinstance(result, Samples) for result in results)
        return [result for result in results if isinstance(result, Samples)]


@pytest.mark.parametrize("is_exclusive", [False, True])
def test_calls_of_known_duration_are_timed_exactly_on_an_undisturbed_machine(
    is_exclusive: bool,
) -> None:
    known_ms = (0.001, 0.02, 0.3, 3.0, 700.0)
    simulated = SimulatedTime()
    openers = [simulated.opener(milliseconds) for milliseconds in known_ms]
    measured = simulated.samples(openers, is_exclusive=is_exclusive)
    assert [sample.to_json()["median_ms"] for sample in measured] == pytest.approx(known_ms)
    assert [sample.to_json()["iqr_ms"] for sample in measured] == pytest.approx([0.0] * 5)


def test_a_sleep_is_timed_in_real_milliseconds() -> None:
    (result,) = time_calls([lambda: lambda: time.sleep(0.004)], seed=0, budget_s=0.0)
    assert isinstance(result, Samples)
    # A busy machine wakes sleepers late, never early.
    assert 4.0 <= result.to_json()["median_ms"] < 40.0


def test_calls_shorter_than_a_tenth_of_a_millisecond_are_timed_in_groups_that_last_it() -> None:
    simulated = SimulatedTime()
    short, long = simulated.samples([simulated.opener(0.013), simulated.opener(0.1)])
    assert short.runs == 8 * len(short.sample_ms)
    assert long.runs == len(long.sample_ms)


def test_a_used_up_budget_still_gives_three_rounds_over_all_files_in_changing_order() -> None:
    simulated = SimulatedTime()
    results = simulated.samples([simulated.opener(3.0, name) for name in "abcdef"], budget_s=0.0)
    # A visit of a 3 ms call is one untimed call and one sample.
    assert [sample.runs for sample in results] == [3] * 6
    visits = simulated.order[-36::2]
    rounds = [visits[start : start + 6] for start in (0, 6, 12)]
    assert all(sorted(names) == list("abcdef") for names in rounds)
    assert len(set(map(tuple, rounds))) > 1


def test_a_budget_bounds_the_time_that_a_process_takes() -> None:
    simulated = SimulatedTime()
    simulated.samples([simulated.opener(20.0) for _ in range(10)], budget_s=5.0)
    one_round_s = 10 * 2 * 0.020
    assert 5.0 <= simulated.now_ns / 1e9 <= 5.0 + one_round_s


def test_a_slow_start_is_warmed_away() -> None:
    simulated = SimulatedTime()
    slow_starts = iter([90.0, 50.0, 20.0, 8.0, 4.0, 2.5])

    def call() -> None:
        simulated.now_ns += round(1e6 * next(slow_starts, 2.0))

    (result,) = simulated.samples([lambda: call])
    assert set(result.sample_ms) == {2.0}


def test_only_one_exclusive_call_is_alive_at_any_time() -> None:
    simulated = SimulatedTime()
    alive: weakref.WeakSet[Any] = weakref.WeakSet()

    class Session:
        def __call__(self) -> None:
            assert len(alive) == 1
            simulated.now_ns += 1_000_000

    def opener() -> Callable[[], None]:
        assert not alive
        session = Session()
        alive.add(session)
        return session

    assert len(simulated.samples([opener, opener, opener], is_exclusive=True)) == 3


def test_a_call_that_cannot_be_opened_does_not_disturb_the_others() -> None:
    def broken() -> Callable[[], None]:
        raise CandidateError("broken")

    simulated = SimulatedTime()
    openers = [broken, simulated.opener(0.1)]
    for is_exclusive in (False, True):
        first, second = time_calls(
            openers, seed=0, budget_s=1.0, is_exclusive=is_exclusive, clock=simulated.clock
        )
        assert isinstance(first, CandidateError)
        assert isinstance(second, Samples)


def test_a_worker_whose_parent_was_killed_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    simulated = SimulatedTime()
    for lives_for in (2, 4):  # until a file is being loaded, until the first round
        pids = iter([100] * lives_for + [1])
        monkeypatch.setattr(os, "getppid", pids.__next__)
        with pytest.raises(SystemExit):
            simulated.samples([simulated.opener(0.1), simulated.opener(0.1)])


# The processes


@pytest.fixture
def model(tmp_path: Path) -> Path:
    weight = numpy_helper.from_array(np.ones((12, 4), np.float32), "weight")
    nodes = [
        helper.make_node("Flatten", ["images"], ["pixels"]),
        helper.make_node("MatMul", ["pixels", "weight"], ["logits"]),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 2, 2])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 4])
    graph = helper.make_graph(nodes, "model", [images], [logits], [weight])
    opset = helper.make_opsetid("", 20)
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), path)
    return path


def fake_worker(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    monkeypatch.setattr(_timing, "_WORKER_COMMAND", (sys.executable, "-c", script))


def test_files_are_timed_in_fresh_processes_and_a_corrupt_one_costs_only_itself(
    model: Path,
) -> None:
    corrupt = model.with_name("corrupt.onnx")
    corrupt.write_bytes(b"no model")
    done: list[tuple[int, int]] = []
    results = measure(
        "onnxruntime",
        [model, corrupt, model],
        processes=2,
        budget_s=0.2,
        progress=lambda *step: done.append(step),
    )
    assert done == [(1, 2), (2, 2)]
    assert isinstance(results[1], CandidateError)
    assert "corrupt.onnx" in str(results[1])
    for of in (results[0], results[2]):
        assert isinstance(of, Timing)
        assert (of.processes, len(of.process_medians_ms), of.threads) == (2, 2, 1)
        assert 0 < of.interval_ms[0] <= of.median_ms <= of.interval_ms[1]
        assert (of.runtime, of.cpu) == ("onnxruntime", cpu_model())


MACHINE = """
import json, sys
job = json.load(sys.stdin)
factor = {factors}[job["seed"]]
rows = [{{"median_ms": factor * (i + 1), "iqr_ms": 0.01, "runs": 1}} for i in range(len(job["files"]))]
print(json.dumps({{"files": rows}}))
"""


@pytest.mark.parametrize(
    ("factors", "medians", "discarded"),
    [
        ([1.0, 1.1, 1.0, 9, 9], (1.0, 1.1, 1.0), 0),
        ([1.0, 2.0, 1.0, 1.1, 9], (1.0, 1.0, 1.1), 1),
        ([1.0, 2.0, 1.5, 3.0, 1.2], (1.0, 1.5, 1.2), 2),
    ],
)
def test_processes_in_which_the_machine_was_slow_give_way_to_spares_for_all_files_alike(
    monkeypatch: pytest.MonkeyPatch,
    factors: list[float],
    medians: tuple[float, ...],
    discarded: int,
) -> None:
    fake_worker(monkeypatch, MACHINE.format(factors=factors))
    monkeypatch.setattr(_timing, "watched", lambda work: (work(), block())[1])
    first, second = measure("onnxruntime", [Path("a"), Path("b")], processes=3, spares=2)
    assert isinstance(first, Timing)
    assert isinstance(second, Timing)
    assert first.process_medians_ms == medians
    assert second.process_medians_ms == tuple(2 * ms for ms in medians)
    assert (first.processes, first.discarded, second.discarded) == (3, discarded, discarded)
    assert first.measured_at == second.measured_at


def test_processes_beside_which_others_worked_give_way_to_spares_and_that_is_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    fake_worker(monkeypatch, MACHINE.format(factors=[1.0, 1.1, 1.0, 1.05]))
    others = iter([0.0, 1.0, 0.0, 0.1])
    monkeypatch.setattr(_timing, "watched", lambda work: (work(), block(others=next(others)))[1])
    (of,) = measure("onnxruntime", [Path("a")], processes=3, spares=2)
    assert isinstance(of, Timing)
    assert of.process_medians_ms == (1.0, 1.0, 1.05)
    assert of.others == pytest.approx(0.1 / 3)
    assert Timing.from_json(of.to_json()) == of
    assert "others" not in timing([1.0]).to_json()


def test_files_timed_at_different_times_are_no_pair() -> None:
    a = timing([1.0] * 5)
    with pytest.raises(ValueError, match="one call of measure"):
        is_tie(a, dataclasses.replace(a, measured_at="2026-01-01T00:00:00.000+00:00"))


def test_an_unknown_target_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="onnxruntime"):
        measure("onnxruntme", [])


@pytest.mark.parametrize("script", ["print('garbage')", "print('[1, 2]')", "raise SystemExit(3)"])
def test_a_worker_that_dies_or_prints_garbage_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, model: Path, script: str
) -> None:
    fake_worker(monkeypatch, script)
    code = 3 if "Exit" in script else 0
    with pytest.raises(RuntimeError, match=f"ended with code {code} and without an answer"):
        measure("onnxruntime", [model], processes=1)


def test_a_file_that_kills_its_process_is_named_and_the_others_are_timed(
    monkeypatch: pytest.MonkeyPatch, model: Path
) -> None:
    fake_worker(
        monkeypatch,
        "import json, os, sys\n"
        "files = json.load(sys.stdin)['files']\n"
        "for number, file in enumerate(files):\n"
        "    print(json.dumps({'opening': number}), flush=True)\n"
        "    if 'killer' in file: os._exit(11)\n"
        "row = {'median_ms': 1.0, 'iqr_ms': 0.0, 'runs': 1}\n"
        "print(json.dumps({'files': [row] * len(files)}))\n",
    )
    before, killer, after = measure(
        "onnxruntime", [model, model.with_name("killer.onnx"), model], processes=2
    )
    assert isinstance(before, Timing)
    assert isinstance(killer, CandidateError)
    assert "killer.onnx' ended the process that loaded it, with code 11" in str(killer)
    assert isinstance(after, Timing)


def test_an_interrupt_kills_the_worker(
    monkeypatch: pytest.MonkeyPatch, model: Path, tmp_path: Path
) -> None:
    note = tmp_path / "pid"
    fake_worker(
        monkeypatch,
        "import os, pathlib, signal, time\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        f"pathlib.Path({str(note)!r}).write_text(str(os.getpid()))\n"
        "time.sleep(60)\n",
    )
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        while not note.exists() or not note.read_text():
            time.sleep(0.01)
        signal.pthread_kill(main, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    # A shell starts background jobs with the signal ignored, and Python leaves it so.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            measure("onnxruntime", [model], processes=1)
    finally:
        signal.signal(signal.SIGINT, before)
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


def test_the_worker_imports_neither_torch_nor_pandas() -> None:
    code = (
        f"import sys, {_worker.__name__}; print({{'torch', 'pandas', 'onnx'}} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


# What a timing is recorded with


def test_the_best_8_bit_instruction_set_is_named() -> None:
    assert instruction_set("flags\t: sse4_1 avx2 avx512bw avx512_vnni\n") == "avx512_vnni"
    assert instruction_set("flags\t: sse4_1 avx avx2\n") == "avx2"
    assert instruction_set("Features\t: fp asimd asimddp\n") == "arm_dotprod"
    assert instruction_set("") == "unknown"


def test_machines_whose_8_bit_products_saturate_are_known() -> None:
    assert not int8_products_saturate("flags\t: sse4_1 avx2 avx512bw avx512_vnni\n")
    assert not int8_products_saturate("Features\t: fp asimd asimddp\n")
    assert int8_products_saturate("flags\t: sse4_1 avx avx2 avx512bw\n")
    assert int8_products_saturate(""), "unknown: weights of 7 bits are right everywhere"


def test_bf16_products_are_found_by_their_flags() -> None:
    assert has_bf16_products("flags\t: avx2 avx512bw avx512_bf16\n")
    assert has_bf16_products("flags\t: avx512bw amx_bf16 amx_tile\n")
    assert has_bf16_products("Features\t: fp asimd bf16\n")
    assert not has_bf16_products("flags\t: sse4_1 avx avx2 avx512bw\n")
    assert has_bf16_products(""), "unknown: it is tried"


def test_the_first_core_gives_the_model_name() -> None:
    assert cpu_model("processor\t: 0\nmodel name\t: Fast: 1\n\nmodel name\t: Slow\n") == "Fast: 1"


def test_the_environment_is_json_and_names_what_is_not_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nas.system.environment._PACKAGES", ("numpy", "no-such-package"))
    found = environment()
    assert json.loads(json.dumps(found)) == found
    assert found["versions"] == {"numpy": np.__version__, "no-such-package": None}
    assert found["num_cores"] >= 1


def test_a_timing_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        timing([1.0]).median_ms = 2.0  # type: ignore[misc]
