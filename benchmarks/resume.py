"""Is a killed search the same as one that was never interrupted? Kills one at random and looks.

    python benchmarks/resume.py --kills 10

A small search is killed with SIGKILL at random moments, spread over its phases, and continued with
the same command each time until it finishes. Then the same search runs once without interruption in
another directory that is given only what was *measured* (plan, profile, latencies). Nothing that
was recorded at a kill may have changed, and both must end with the same trials and the same front.
"""

import argparse
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SEARCH = (
    "search --space toy --data digits --resolution 16 --time 10s --trials 16 --threads 1"
    " --set steps=120 --set checkpoint_s=0.2 --set finalists=2 --set random_references=0"
    " --set images_per_score=200 --set finetune_s=4 --set least_steps=1 --set max_macs=0"
)
MEASURED = (
    "config.toml",
    "env.json",
    "sizes.json",
    "plan.json",
    "search_plan.json",
    "space.json",
    "profile/*",
    "timings/*",
    "finetune_plan.json",
    "finetunes/*/plan.json",
)
NOT_RECORDS = ("train_state", "report")
PHASES = ("profile", "train", "search", "finetune", "finalists")
LONGEST_S = {"profile": 2.5, "train": 5.0, "search": 0.8, "finetune": 8.0, "finalists": 6.0}
"""A kill comes at a uniformly random time of this many seconds into its phase."""

PATIENCE_S = 300.0
PROGRAM = "from nas.cli.app import main; main()"


@dataclass(frozen=True)
class Kill:
    """One SIGKILL.

    Attributes:
        phase: The last one that had begun.
        seconds: Between the begin of the phase meant and the kill.
        records: Name -> content of every finished file of the run, at the kill.
    """

    phase: str
    seconds: float
    records: dict[str, bytes]

    @property
    def num_trials(self) -> int:
        """Trials recorded at the kill."""
        return self.records.get("trials.jsonl", b"").count(b"\n")

    def lost(self, final: dict[str, bytes]) -> list[str]:
        """Names of records that are not in the final run as they were: lines may be added."""
        return [
            name
            for name, content in self.records.items()
            if not (
                final.get(name, b"").startswith(whole_lines(content))
                if name.endswith(".jsonl")
                else final.get(name) == content
            )
        ]


def main() -> int:
    """Prints a table; returns 1 if anything differs."""
    parser = argparse.ArgumentParser(description="Kill a search at random and compare.")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="where the two runs are kept")
    arguments = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        killed, whole = folder / "killed" / "run", folder / "whole" / "run"
        kills = list(killed_search(killed, arguments.kills, arguments.seed))
        uninterrupted(killed, whole)
        differing = differences(killed, whole)
        final = records(killed)
    print(f"{'kill':>4}  {'phase':10} {'after s':>8} {'records':>8} {'trials':>7}  lost")
    for number, kill in enumerate(kills, start=1):
        lost = kill.lost(final)
        numbers = f"{kill.seconds:8.2f} {len(kill.records):8} {kill.num_trials:7}"
        print(f"{number:4}  {kill.phase:10} {numbers}  {', '.join(lost) or 'nothing'}")
    num_trials = final["trials.jsonl"].count(b"\n")
    print(f"uninterrupted: {num_trials} trials; differing files: {', '.join(differing) or 'none'}")
    print(f"{time.monotonic() - started:.0f} s in all")
    return 1 if differing or any(kill.lost(final) for kill in kills) else 0


def killed_search(out: Path, num_kills: int, seed: int) -> Iterator[Kill]:
    """Kills a search as often as asked, phase after phase, and lets it finish."""
    rng = np.random.default_rng(seed)
    for number in range(num_kills):
        phase = PHASES[number * len(PHASES) // num_kills]
        yield _killed(out, phase, delay_s=float(rng.uniform(0.0, LONGEST_S[phase])))
    command(out)


def uninterrupted(killed: Path, out: Path) -> None:
    """The same search in a directory that has only what the killed one measured."""
    for path in itertools.chain.from_iterable(map(killed.glob, MEASURED)):
        to = out / path.relative_to(killed)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, to)
    command(out)


def differences(killed: Path, whole: Path) -> list[str]:
    """Names of records that differ, but for those with wall clock or speed in them."""
    one, other = records(killed), records(whole)
    return sorted(
        name
        for name in one.keys() | other.keys()
        if Path(name).name not in ("events.jsonl", "train_log.jsonl")
        and one.get(name) != other.get(name)
    )


def records(run: Path) -> dict[str, bytes]:
    """Content of every finished file of a run; not checkpoints and reports, which are replaced.

    Finalists count as where they end up: members of the front move there.
    """
    return {
        str(path.relative_to(run)).replace("finalists/", "front/"): path.read_bytes()
        for path in sorted(run.rglob("*"))
        if path.is_file()
        and not path.name.startswith(".")
        and not set(NOT_RECORDS).intersection(path.relative_to(run).parts)
    }


def whole_lines(content: bytes) -> bytes:
    """Without what the kill left of the line that was being written."""
    return content[: content.rfind(b"\n") + 1]


def command(out: Path) -> None:
    """Runs the search to its end.

    Raises:
        RuntimeError: If it fails.
    """
    done = subprocess.run(_line(out), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"nas ended with code {done.returncode}: {done.stderr[-2000:]}")


def _killed(out: Path, phase: str, *, delay_s: float) -> Kill:
    """Starts the search and kills it some time after the phase has begun."""
    quiet = subprocess.DEVNULL
    events = out / "events.jsonl"
    known = len(_events(events))
    with subprocess.Popen(
        _line(out), stdout=quiet, stderr=quiet, start_new_session=True
    ) as process:
        deadline = time.monotonic() + PATIENCE_S
        while process.poll() is None and time.monotonic() < deadline:
            begun = [e["phase"] for e in _events(events)[known:] if e["event"] == "start"]
            if phase in begun:
                break
            time.sleep(0.02)
        begun_at = time.monotonic()
        while process.poll() is None and time.monotonic() < begun_at + delay_s:
            time.sleep(0.005)
        process.kill()
        seconds = time.monotonic() - begun_at
        process.wait()
        found = records(out)
        begun = [e["phase"] for e in _events(events) if e["event"] == "start"]
        _end_group(process.pid)
    return Kill(begun[-1], seconds, found)


def _end_group(group: int) -> None:
    """Workers end by themselves when their parent is gone; not waiting for that saves time."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def _events(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in whole_lines(path.read_bytes()).splitlines()]


def _line(out: Path) -> list[str]:
    return [sys.executable, "-c", PROGRAM, *SEARCH.split(), "--out", str(out)]


if __name__ == "__main__":
    sys.exit(main())
