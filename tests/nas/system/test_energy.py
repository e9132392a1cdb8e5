"""Counters of energy, made as the system's are."""

import itertools
from functools import partial
from pathlib import Path

import pytest

from nas.system.energy import energy_uj, joules_between
from nas.targets import Timing
from nas.targets import _worker as worker
from nas.targets._timing import summarise
from nas.targets._worker import time_calls

RANGE_UJ = 262_143_328_850


def zone(folder: Path, place: str, name: str, microjoules: int) -> Path:
    path = folder / place
    path.mkdir(parents=True, exist_ok=True)
    (path / "name").write_text(f"{name}\n")
    (path / "energy_uj").write_text(f"{microjoules}\n")
    (path / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
    return path


def test_packages_are_added_and_their_parts_are_not(tmp_path: Path) -> None:
    (tmp_path / "intel-rapl").mkdir()
    zone(tmp_path, "intel-rapl:0", "package-0", 1_000)
    zone(tmp_path, "intel-rapl:1", "package-1", 5_000)
    zone(tmp_path, "intel-rapl:0:0", "core", 900)
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 1_000)
    before = energy_uj(tmp_path)
    zone(tmp_path, "intel-rapl:0", "package-0", 2_001_000)
    zone(tmp_path, "intel-rapl:1", "package-1", 505_000)
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 2_001_000)
    assert joules_between(before, energy_uj(tmp_path)) == pytest.approx(2.5)


def test_a_counter_that_began_again_is_followed(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", RANGE_UJ - 300_000)
    before = energy_uj(tmp_path)
    zone(tmp_path, "intel-rapl:0", "package-0", 700_000)
    assert joules_between(before, energy_uj(tmp_path)) == pytest.approx(1.0)


def test_there_is_none_where_nothing_counts_or_may_be_read(tmp_path: Path) -> None:
    assert energy_uj(tmp_path / "powercap") is None
    zone(tmp_path, "intel-rapl:0", "psys", 1)
    assert energy_uj(tmp_path) is None
    counted = zone(tmp_path, "intel-rapl:1", "package-0", 1)
    (counted / "energy_uj").write_text("")
    assert energy_uj(tmp_path) is None
    assert joules_between(None, {tmp_path: 1}) is None
    assert joules_between({tmp_path: 1}, None) is None


@pytest.mark.parametrize("is_exclusive", [False, True])
def test_a_file_has_the_energy_of_its_own_calls(
    is_exclusive: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls of 3 and of 40 mJ, on a counter that begins again meanwhile."""
    used_uj = itertools.accumulate(itertools.repeat(1_000), initial=RANGE_UJ - 50_000)
    now = [0]
    ticks = itertools.count(step=1_000_000)

    def call(millijoules: int) -> None:
        for _ in range(millijoules):
            now[0] = next(used_uj)
        zone(tmp_path, "intel-rapl:0", "package-0", now[0] % RANGE_UJ)

    call(1)
    monkeypatch.setattr(worker, "energy_uj", partial(energy_uj, tmp_path))
    openers = [lambda mj=mj: partial(call, mj) for mj in (3, 40)]
    arguments = {"seed": 0, "budget_s": 0.0, "is_exclusive": is_exclusive}
    found = time_calls(openers, counts_energy=True, clock=lambda: next(ticks), **arguments)
    assert [samples.energy_mj for samples in found] == pytest.approx([3.0, 40.0])
    (uncounted,) = time_calls(openers[:1], clock=lambda: next(ticks), **arguments)
    assert "energy_mj" not in uncounted.to_json()


def test_a_timing_has_the_median_of_its_processes_or_no_such_field() -> None:
    rows = [{"median_ms": 1.0, "iqr_ms": 0.0, "runs": 1, "energy_mj": mj} for mj in (2.0, 9.0, 3.0)]
    about = {"threads": 1, "batch": 1, "runtime": "r", "version": "1"}
    timing = summarise(rows, **about)
    assert timing.energy_mj == 3.0
    assert Timing.from_json(timing.to_json()) == timing
    without = summarise(
        [{k: row[k] for k in ("median_ms", "iqr_ms", "runs")} for row in rows], **about
    )
    assert "energy_mj" not in without.to_json()
    assert Timing.from_json(without.to_json()) == without
