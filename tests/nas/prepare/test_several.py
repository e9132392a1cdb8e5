"""Several devices: what is refused before anything is measured."""

from dataclasses import replace

import pytest

from nas.executors._base import MOST_PER_CORE
from nas.prepare.several import check_are_here, check_devices
from nas.run.config import Config
from nas.system.environment import num_cores
from search_spaces import UserError

TWO = Config(devices=2)


def test_as_many_devices_as_there_are_batches_are_fine() -> None:
    check_devices(TWO)
    check_devices(Config(devices=8, set={"shards": 8}))


def test_as_many_devices_as_there_are_are_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    check_are_here(TWO)
    check_are_here(Config())
    monkeypatch.setattr("supernets.device.devices", lambda: ["cpu", "xpu:0", "xpu:1"])
    monkeypatch.setattr("nas.executors._base.devices", lambda: ["cpu", "xpu:0", "xpu:1"])
    check_are_here(replace(TWO, device="xpu"))
    with pytest.raises(UserError, match="devices is 3, and this machine has 2 of kind 'xpu'"):
        check_are_here(Config(devices=3, device="xpu", set={"shards": 3}))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            Config(devices=3),
            "a step has 2 batches .*1 would have nothing to do. Add --set shards=3",
        ),
        (Config(devices=9, set={"shards": 8}), "Add --set shards=9, or ask for 8"),
        (replace(TWO, device="cuda:1"), "'cuda:1', which is one of several.*--device cuda:"),
        (replace(TWO, supernet="runs/a"), "supernet 'runs/a' is trained already"),
    ],
)
def test_devices_that_would_have_nothing_to_do_are_refused(config: Config, words: str) -> None:
    with pytest.raises(UserError, match=words):
        check_devices(config)


def test_more_devices_than_a_machine_can_switch_between_are_refused() -> None:
    most = MOST_PER_CORE * num_cores()
    if most >= 64:
        pytest.skip("a step cannot have more batches")
    with pytest.raises(UserError, match=f"this machine has {most} of kind 'cpu'"):
        check_are_here(Config(devices=most + 1))


def test_no_devices_are_none() -> None:
    with pytest.raises(UserError, match="devices is 0. It must be at least 1"):
        Config(devices=0)
    with pytest.raises(UserError, match="devices is 65. It must be at most 64"):
        Config(devices=65)


def test_processes_of_torchrun_are_not_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="torchrun has started 2 processes already"):
        check_devices(TWO)
    check_devices(Config())
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UserError, match="torchrun has started 3 processes, and a step has 2"):
        check_devices(Config())


def test_devices_rename_no_run_and_may_change() -> None:
    assert Config(devices=2).digest == Config().digest
