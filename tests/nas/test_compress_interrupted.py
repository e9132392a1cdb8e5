"""`nas compress` that is begun twice at once, and interrupted: one message, and it continues."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.run.directory import read_front
from tests.nas.test_search import SHORTER, TIMED_TWICE, resume

INTERRUPTED, WRONG_USE = 130, 2
PATIENCE_S, PATIENCE_OF_USERS_S = 300.0, 2.0


class Command:
    """A process of its own group, as a shell starts it."""

    def __init__(self, asked: str, out: Path) -> None:
        self._out, self._known = out, len(self._phases(out))
        self.process = subprocess.Popen(
            resume._line(asked, out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def is_in(self, phase: str) -> bool:
        """Whether it has begun this phase."""
        return phase in self._phases(self._out)[self._known :]

    def interrupt(self) -> None:
        """Ctrl-C, which a terminal sends to the whole group.

        Again if it came in a moment in which a process is started, which must ignore it. What is
        ending by then, with its message said, may end by that signal.
        """
        while self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE_OF_USERS_S)

    def ended(self) -> tuple[int, str]:
        """Its code, and the last line of what went wrong."""
        _, said = self.process.communicate(timeout=PATIENCE_S)
        assert "Traceback" not in said
        return self.process.returncode, said.strip().rpartition("\n")[2]

    @staticmethod
    def _phases(out: Path) -> list[str]:
        events = resume._events(out / "events.jsonl")
        return [event["phase"] for event in events if event["event"] == "start"]


def wait_until(claim: Callable[..., bool], *given: object) -> None:

    deadline = time.monotonic() + PATIENCE_S
    while not claim(*given):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.long
def test_one_of_two_is_sent_away_and_what_is_interrupted_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = resume.compressing(tmp_path / "model")
    for long, short in SHORTER.items():
        if "finetune_s" not in long:  # else it could end before Ctrl-C is given again
            asked = asked.replace(long, short)
    monkeypatch.setattr(resume, "PROGRAM", TIMED_TWICE + resume.PROGRAM)
    out = tmp_path / "run"
    two = [Command(asked, out) for _ in range(2)]
    wait_until(lambda: any(command.process.poll() is not None for command in two))
    first, second = sorted(two, key=lambda command: command.process.poll() is not None)
    code, said = second.ended()
    assert (code, f"process {first.process.pid} " in said) == (WRONG_USE, True), said
    seen = []
    for phase in ("train", "finalists"):
        wait_until(first.is_in, phase)
        time.sleep(0.3)
        first.interrupt()
        code, said = first.ended()
        # NOTE: the last phase may be over, or the interpreter ending, before it is heard of.
        if phase == "train" or code not in (0, -signal.SIGINT):
            assert said == "nas: interrupted; the same command continues."
            assert code in (INTERRUPTED, -signal.SIGINT)
        seen.append(resume.records(out))
        first = Command(asked, out)
    assert first.ended()[0] == 0
    final = resume.records(out)
    assert [resume.Kill("", 0.0, records).lost(final) for records in seen] == [[], []]
    assert read_front(out)["members"]
