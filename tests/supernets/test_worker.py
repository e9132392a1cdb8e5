"""Processes that work for this one, and look for modules in their packages alone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from search_spaces import CandidateError
from supernets._worker import _without_interrupts, in_processes

PROGRAM = """
import sys
import time
from pathlib import Path
from nas.targets import measure
from nas.testing.controllers import check_a_fresh_process_proposes_the_same
from supernets._worker import Worker

print("begins")
worker = Worker(len)
worker.send("four")
print(worker.receive())
worker.close()
check_a_fresh_process_proposes_the_same("random")
print(measure("onnxruntime", [Path("absent.onnx")], processes=1)[0])
"""


@pytest.mark.long
def test_files_called_like_modules_and_an_unguarded_program_change_nothing(tmp_path: Path) -> None:
    traps, program = tmp_path / "traps", tmp_path / "program/search.py"
    for folder in (traps, program.parent):
        folder.mkdir()
    for name in ("random", "json", "nas", "search_spaces", "numpy"):
        (traps / f"{name}.py").write_text(f"raise SystemExit('{name}.py was imported')")
    program.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(program)],
        cwd=traps,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    begins, answer, timing = done.stdout.splitlines()
    assert (begins, answer) == ("begins", "4")
    assert "absent.onnx" in timing


def halved(number: int) -> tuple[float, int]:
    """Half of an even number, and who says so."""
    if number % 2:
        raise CandidateError(f"{number} is odd")
    return number / 2, os.getpid()


def test_work_is_shared_by_processes_and_its_results_keep_their_order() -> None:
    numbers = list(range(0, 40, 2))
    found = list(in_processes(halved, numbers, processes=2))
    assert [half for half, _ in found] == [number / 2 for number in numbers]
    assert len({process for _, process in found}) == 2
    assert os.getpid() not in {process for _, process in found}


def test_without_company_this_process_does_the_work() -> None:
    assert list(in_processes(halved, [4], processes=8)) == [(2.0, os.getpid())]
    assert list(in_processes(halved, [], processes=8)) == []


def halved_late(number: int) -> tuple[float, int]:
    """Half of an even number, later than an odd one fails."""
    if number % 2 == 0:
        time.sleep(0.5)
    return halved(number)


@pytest.mark.parametrize("processes", [1, 2])
def test_what_work_raises_is_raised_here_in_its_turn(processes: int) -> None:
    answers = in_processes(halved_late, [2, 3, 4], processes=processes)
    assert next(answers)[0] == 1.0
    with pytest.raises(CandidateError, match="3 is odd"):
        list(answers)


def test_work_that_finds_nothing_more_is_no_end_of_the_results() -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        list(in_processes(next, [iter(())], processes=1))


def test_an_interrupt_while_a_process_is_started_is_heard_afterwards_and_only_here() -> None:
    says = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    seen = []

    def start() -> None:
        with _without_interrupts():
            os.kill(os.getpid(), signal.SIGINT)
            done = subprocess.run([sys.executable, "-c", says], capture_output=True, text=True)
            seen.append(done.stdout.strip())

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            start()
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == ["True"]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
