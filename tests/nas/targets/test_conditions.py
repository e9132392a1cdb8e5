"""What is noticed of a machine while files are timed; one test with a process that is really busy."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from nas.system.environment import usable_cores
from nas.system.load import frequency_mhz, processor_time
from nas.targets._conditions import Block, drift, is_noticed, said_of, undisturbed, watched


@pytest.fixture
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts as loaded depends on how many there are."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)


def block(kernel_ms: float = 1.0, others: float | None = 0.0) -> Block:
    return Block(kernel_ms=kernel_ms, others=others, seconds=0.5)


@contextmanager
def busy_process() -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield
        finally:
            process.kill()


@pytest.mark.skipif(processor_time() is None, reason="the system does not say what others do")
def test_a_process_that_is_busy_beside_the_measurement_is_noticed(two_processors: None) -> None:
    with busy_process():
        time.sleep(0.1)  # it starts
        found = watched(partial(time.sleep, 0.6))
    # It had a core of its own, or others had that: in either case somebody else worked.
    assert found.is_loaded, found
    assert found.kernel_ms > 0
    assert "others kept" in said_of([found])[0]


def test_a_machine_of_many_processors_is_not_loaded_by_one_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    assert not is_noticed(1.0)
    assert is_noticed(7.0)
    assert not is_noticed(None)


def test_all_processes_count_where_too_few_were_undisturbed(two_processors: None) -> None:
    blocks = [block(others=others) for others in (0.0, 1.0, 0.1, None)]
    assert undisturbed(blocks, 3) == [0, 2, 3]
    assert undisturbed(blocks, 4) == [0, 1, 2, 3]


def test_the_frequency_is_the_mean_of_the_cores_that_may_be_used(tmp_path: Path) -> None:
    assert frequency_mhz(tmp_path) is None
    cores = usable_cores()
    for number, core in enumerate(cores):
        folder = tmp_path / f"cpu{core}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_cur_freq").write_text(f"{2_000_000 + 1000 * number}\n")
    assert frequency_mhz(tmp_path) == 2000 + (len(cores) - 1) / 2


def test_nothing_is_said_of_a_quiet_machine() -> None:
    assert said_of([block()] * 9) == []
    assert said_of([block(others=None)] * 9) == []


def test_others_are_counted_by_the_processors_that_they_kept_busy(two_processors: None) -> None:
    (sentence,) = said_of([block(others=1.7), block(others=2.1)])
    assert sentence.startswith("measured beside 2 other processes: others kept 1.9 processors busy")
    (sentence,) = said_of([block(others=0.4)] * 5)
    assert sentence.startswith("measured beside 1 other process:")


def test_drift_is_told_from_noise_of_the_machine() -> None:
    slower = [block(1.0 + 0.01 * i) for i in range(12)]
    assert drift(slower) == pytest.approx(1.095 / 1.015 - 1.0)
    assert said_of(slower)[0].startswith("drift: the machine was 8% slower")
    unsteady = [block(1.0 if i % 2 else 1.3) for i in range(12)]
    assert said_of(unsteady)[0].startswith("the machine's own speed varied by 30%")
    assert drift(slower[:5]) == 0.0
