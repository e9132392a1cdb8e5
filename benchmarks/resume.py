"""Is a killed search the same as one that was never interrupted? Kills one at random and looks.

    python benchmarks/resume.py --kills 10
    python benchmarks/resume.py --kills 10 --compress

A small search, or `nas compress` of a small network, is killed with SIGKILL at random moments,
spread over its phases, and continued with the same command each time until it finishes. Then the
same command runs once without interruption in another directory that is given only what was
*measured* (plan, profile, latencies). Nothing that was recorded at a kill may have changed, and
both must end with the same trials and the same front.
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

SMALL = (
    " --data digits --resolution 16 --time 10s --trials 16 --threads 1"
    " --set steps=120 --set checkpoint_s=0.2 --set finalists=2 --set random_references=0"
    " --set images_per_score=200 --set finetune_s=4 --set least_steps=1"
)
SEARCH = f"search --space toy --set max_macs=0 {SMALL}"
COMPRESS = (
    f"compress MODEL.py:network --sparsity 0,0.25,0.5 --budget 80%MACs --max-drop 100% {SMALL}"
)
MODEL = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)
        self.conv2, self.norm2 = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)

    def forward(self, x):
        return torch.relu(x + self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x))))))

def network():
    torch.manual_seed(0)
    stem = nn.Conv2d(1, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU()
    end = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)
    return nn.Sequential(*stem, Block(16), Block(16), *end)
"""
"""Written beside the runs of `COMPRESS`."""

MEASURED = (
    "config.toml",
    "env.json",
    "sizes.json",
    "plan.json",
    "search_plan.json",
    *("space.json", "pays.json"),
    "profile/*",
    "timings/*",
    "finetune_plan*.json",
    "finetunes/*/plan.json",
    "finetunes/*/round*/plan.json",
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
    parser.add_argument("--compress", action="store_true", help="`nas compress`, not a search")
    parser.add_argument("--keep", type=Path, help="where the two runs are kept")
    arguments = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        killed, whole = folder / "killed" / "run", folder / "whole" / "run"
        asked = compressing(folder) if arguments.compress else SEARCH
        kills = list(killed_search(asked, killed, arguments.kills, arguments.seed))
        uninterrupted(asked, killed, whole)
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


def compressing(folder: Path) -> str:
    """The command that compresses `MODEL`, which is written into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.py").write_text(MODEL)
    return COMPRESS.replace("MODEL.py", str(folder / "model.py"))


def killed_search(asked: str, out: Path, num_kills: int, seed: int) -> Iterator[Kill]:
    """Kills a command as often as asked for, phase after phase, and lets it finish."""
    rng = np.random.default_rng(seed)
    for number in range(num_kills):
        phase = PHASES[number * len(PHASES) // num_kills]
        yield _killed(asked, out, phase, delay_s=float(rng.uniform(0.0, LONGEST_S[phase])))
    command(asked, out)


def uninterrupted(asked: str, killed: Path, out: Path) -> None:
    """The same command in a directory that has only what the killed one measured."""
    for path in itertools.chain.from_iterable(map(killed.glob, MEASURED)):
        to = out / path.relative_to(killed)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, to)
    for judged in killed.glob("finetunes/*/round*/judged.json"):
        place = out / judged.relative_to(killed).parent
        if not (place / "plan.json").exists():  # that training became the candidate's last one
            place.mkdir(exist_ok=True)
            (place.parent / "plan.json").replace(place / "plan.json")
    command(asked, out)


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


def command(asked: str, out: Path) -> None:
    """Runs a command to its end.

    Raises:
        RuntimeError: If it fails.
    """
    done = subprocess.run(_line(asked, out), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"nas ended with code {done.returncode}: {done.stderr[-2000:]}")


def _killed(asked: str, out: Path, phase: str, *, delay_s: float) -> Kill:
    """Starts a command and kills it some time after the phase has begun."""
    quiet = subprocess.DEVNULL
    events = out / "events.jsonl"
    known = len(_events(events))
    with subprocess.Popen(
        _line(asked, out), stdout=quiet, stderr=quiet, start_new_session=True
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


def _line(asked: str, out: Path) -> list[str]:
    return [sys.executable, "-c", PROGRAM, *asked.split(), "--out", str(out)]


if __name__ == "__main__":
    sys.exit(main())
