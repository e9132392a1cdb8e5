"""How much of the machine others use while something is measured, and how fast its cores run."""

import os
import statistics
from dataclasses import dataclass
from pathlib import Path

from nas.system.environment import usable_cores

STAT = Path("/proc/stat")
CPUS = Path("/sys/devices/system/cpu")
IDLE_FIELDS = (3, 4)
"""Of a line of `/proc/stat`: idle, and waiting for disks."""

COUNTED_FIELDS = 8
"""User, nice, system, idle, waiting, two kinds of interrupts, stolen; guests are in "user"."""


@dataclass(frozen=True)
class ProcessorTime:
    """What all processors together did up to a moment.

    Attributes:
        busy: Ticks in which they worked, or another virtual machine had them.
        ticks: All of them.
        own_s: Seconds of the processor that this process and those of its children that have ended
            took.
        num: How many processors there are.
    """

    busy: int
    ticks: int
    own_s: float
    num: int


def processor_time(stat: Path = STAT) -> ProcessorTime | None:
    """What the processors did so far; None where the system does not say.

    Args:
        stat: In the format of `/proc/stat`.
    """
    try:
        lines = stat.read_text().splitlines()
        ticks = [int(word) for word in lines[0].split()[1 : 1 + COUNTED_FIELDS]]
    except (OSError, ValueError, IndexError):
        return None
    if not any(ticks):
        return None
    idle = sum(ticks[field] for field in IDLE_FIELDS)
    own = os.times()
    own_s = own.user + own.system + own.children_user + own.children_system
    num = sum(line.startswith("cpu") for line in lines) - 1
    return ProcessorTime(sum(ticks) - idle, sum(ticks), own_s, max(1, num))


def others_between(
    before: ProcessorTime | None, after: ProcessorTime | None, elapsed_s: float
) -> float | None:
    """How many processors others kept busy between two moments; None where it is not known.

    Args:
        before: The first one.
        after: The second one; children that worked in between have ended.
        elapsed_s: Seconds between them.
    """
    if before is None or after is None or after.ticks <= before.ticks or elapsed_s <= 0.0:
        return None
    busy = after.num * (after.busy - before.busy) / (after.ticks - before.ticks)
    return max(0.0, busy - (after.own_s - before.own_s) / elapsed_s)


def frequency_mhz(cpus: Path = CPUS) -> float | None:
    """Mean frequency of the cores that this process may use; None where the system does not say.

    Args:
        cpus: In the layout of `/sys/devices/system/cpu`.
    """
    found = []
    for core in usable_cores():
        try:
            found.append(int((cpus / f"cpu{core}/cpufreq/scaling_cur_freq").read_text()) / 1e3)
        except (OSError, ValueError):
            return None
    return statistics.fmean(found) if found else None
