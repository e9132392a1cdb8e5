"""Energy that the processor has used, where the system counts it (RAPL, `/sys/class/powercap`).

    <zone>/name                    "package-0", "core", "dram", "psys"
    <zone>/energy_uj               microjoules so far, back to 0 beyond max_energy_range_uj
    <zone>/max_energy_range_uj

Packages count, with all that runs on them. Where there are none, or reading them needs rights that
this process lacks, there is no energy.
"""

import re
from collections.abc import Mapping
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
PACKAGE = re.compile(r"package-\d+")


def energy_uj(folder: Path = POWERCAP) -> dict[Path, int] | None:
    """Of each package the counter now; None where one cannot be read, or there is none.

    Args:
        folder: With a folder or link for each zone. A package that two drivers count counts once.
    """
    found: dict[str, tuple[Path, int]] = {}
    try:
        for zone in sorted(folder.glob("*:*")):
            name = (zone / "name").read_text(encoding="ascii").strip()
            if PACKAGE.fullmatch(name) and name not in found:
                found[name] = zone, int((zone / "energy_uj").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return dict(found.values()) or None


def joules_between(
    before: Mapping[Path, int] | None, after: Mapping[Path, int] | None
) -> float | None:
    """What all packages used between two readings; None where it is not known.

    Between them no counter may go through its whole range twice, which takes a minute and more.
    """
    if not before or not after or before.keys() != after.keys():
        return None
    try:
        return sum(_used_uj(zone, before[zone], after[zone]) for zone in before) / 1e6
    except (OSError, ValueError):
        return None


def _used_uj(zone: Path, before: int, after: int) -> int:
    if after >= before:
        return after - before
    range_uj = int((zone / "max_energy_range_uj").read_text(encoding="ascii"))
    return after + range_uj - before
