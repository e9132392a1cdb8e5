"""How far `nas train --dry-run` is from what a training then takes: memory, disk and steps.

    python benchmarks/dry_run.py

Each row is a training with one process and a batch that is set, in a process of its own. Its memory
is the most that it had at any time (`ru_maxrss`), as the system counts it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROGRAM = "from nas.cli.app import main; main()"
TRAININGS: tuple[tuple[str, str, int], ...] = (
    ("toy", "16", 32),
    ("toy", "16", 256),
    ("mobile", "32", 32),
    ("mixer", "32", 32),
)
"""Space, resolution and batch."""


def nas(arguments: Sequence[str]) -> tuple[str, float, float]:
    """What a command prints, its memory in bytes, and its seconds."""
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, printed
    return printed, 1024.0 * usage.ru_maxrss, time.perf_counter() - began


def said(document: dict[str, Any], part: str, about: str) -> float:
    """A number of a dry run."""
    lines = document["lines"]
    (found,) = [x["value"] for x in lines if x["part"] == part and x["about"].startswith(about)]
    return float(found)


def row(space: str, resolution: str, batch: int, seconds: int) -> str:
    """A line of the table."""
    asked = [
        *("train", "--space", space, "--data", "digits", "--resolution", resolution, "--json"),
        *("--time", f"{seconds}s", "--threads", "1", "--set", f"batch_size={batch}"),
        *("--set", "max_macs=0", "--set", "precision=fp32"),
    ]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "run")
        printed, _, dry_s = nas([*asked, "--out", str(out), "--dry-run"])
        document = json.loads(printed)
        printed, memory, _ = nas([*asked, "--out", str(out)])
        steps = json.loads(printed)["steps"]
        disk = sum(file.stat().st_size for file in out.rglob("*.safetensors"))
    memory_said = said(document, "memory", "of the first process")
    weights, checkpoint = (said(document, "disk", x) for x in ("supernet", "checkpoint"))
    disk_said = weights + checkpoint / 2
    steps_said = said(document, "time", "steps of")
    cells = [
        f"`{space}` {resolution} px, {batch}",
        f"{memory_said / 1e6:.0f} / {memory / 1e6:.0f} MB ({memory_said / memory - 1:+.0%})",
        f"{disk_said / 1e6:.1f} / {disk / 1e6:.1f} MB ({disk_said / disk - 1:+.0%})",
        f"{steps_said:.0f} / {steps} ({steps_said / steps - 1:+.0%})",
        f"{dry_s:.1f} s",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=15, help="Of every training.")
    parser.add_argument("--rows", type=int, default=len(TRAININGS), help="Trainings of the list.")
    asked = parser.parse_args()
    print("| training, images of a batch | memory, said / taken | disk | steps | dry run took |")
    print("|---|---|---|---|---|")
    for space, resolution, batch in TRAININGS[: asked.rows]:
        print(row(space, resolution, batch, asked.seconds), flush=True)


if __name__ == "__main__":
    main()
