"""What has trained a run's supernet: a device, and how many processes, for people.

An event of the phase "train" each time training begins or continues:

    device        as in plan.json
    accelerator   its name and memory; only of accelerators
    processes     that shared the steps
    machines      that they were on
"""

from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from nas.run.directory import Run
from nas.system.files import read_log

EVENT = "trained_by"


def record(run: Run, *, processes: int, machines: int, device: str, accelerator: str = "") -> None:
    """Write down what trains from now on."""
    named = {"accelerator": accelerator} if accelerator else {}
    run.event("train", EVENT, device=device, **named, processes=processes, machines=machines)


def trained_by(run: Path) -> str:
    """Read back from a run: "cpu, 2 processes"; "" where it was not recorded."""
    return in_words(read_log(run / "events.jsonl", dict))


def in_words(events: Iterable[Mapping[str, Any]]) -> str:
    """What has trained, by the lines of events.jsonl; who continued alike is not repeated."""
    named = [_named(event) for event in events if event.get("event") == EVENT]
    return ", then ".join(name for name, _ in groupby(named))


def _named(event: Mapping[str, Any]) -> str:
    """ "cuda:0 (NVIDIA H200, 150.0 GB) and 7 more, 8 processes on 2 machines"."""
    processes, machines = event.get("processes", 1), event.get("machines", 1)
    accelerator = event.get("accelerator")
    parts = [f"{event.get('device', '')}{f' ({accelerator})' if accelerator else ''}"]
    parts.append("1 process" if processes == 1 else f"{processes} processes")
    on = f" on {machines} machines" if machines != 1 else ""
    return f"{', '.join(parts)}{on}"
