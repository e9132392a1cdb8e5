"""How busy others keep the machine, from the counters of the system."""

from pathlib import Path

import pytest

from nas.system.load import ProcessorTime, others_between, processor_time


def stat(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_idle_ticks_and_those_that_wait_for_disks_are_not_busy(tmp_path: Path) -> None:
    text = "cpu  100 10 40 800 50 0 5 20 7 7\ncpu0 1 1 1 1\ncpu1 1 1 1 1\nintr 5\n"
    found = processor_time(stat(tmp_path / "stat", text))
    assert found is not None
    assert (found.busy, found.ticks, found.num) == (175, 1025, 2)


@pytest.mark.parametrize("text", ["", "cpu", "cpu a b c", "cpu 0 0 0 0 0 0 0 0"])
def test_a_system_that_does_not_count_is_not_known(text: str, tmp_path: Path) -> None:
    assert processor_time(stat(tmp_path / "stat", text)) is None
    assert processor_time(tmp_path / "absent") is None


def test_what_is_not_ours_is_others() -> None:
    before = ProcessorTime(busy=0, ticks=0, own_s=3.0, num=4)
    after = ProcessorTime(busy=600, ticks=1600, own_s=3.9, num=4)  # 4 processors, 1.5 of them busy
    assert others_between(before, after, elapsed_s=1.0) == pytest.approx(0.6)
    assert others_between(before, after, elapsed_s=0.1) == 0.0
    assert others_between(None, after, elapsed_s=1.0) is None
    assert others_between(before, before, elapsed_s=1.0) is None
