"""Where trainings are planned, and where those of finished runs go on."""

import pytest

from nas.prepare import placed as module
from nas.prepare.placed import first_plan, placed, precisions_here
from nas.run.config import Config
from search_spaces import UserError
from supernets import device
from supernets.device import CPU
from supernets.plan import TrainPlan

THERE = TrainPlan(steps=9, device="cuda:1", precision="tf32")


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    here = ["cpu", "cuda:0", "cuda:1"]
    for place in (module, device):
        monkeypatch.setattr(place, "devices", lambda: here)
    monkeypatch.setattr(module, "accelerated_precisions", lambda device: ["bf16", "tf32", "fp32"])


@pytest.mark.usefixtures("two_gpus")
def test_a_plan_begins_on_the_device_that_is_asked_for() -> None:
    assert first_plan(Config(device="auto")).device == "cuda:0"
    assert first_plan(Config()).device == CPU
    assert precisions_here("cuda:0") == ["bf16", "tf32", "fp32"]


@pytest.mark.usefixtures("two_gpus")
def test_a_finished_run_goes_on_where_it_was_or_where_it_is_asked_to() -> None:
    assert placed(THERE) == THERE
    assert placed(THERE, "cuda").device == "cuda:0"
    assert placed(THERE, "cuda").precision == "tf32"
    assert placed(TrainPlan(steps=9)) == TrainPlan(steps=9)
    assert placed(TrainPlan(steps=9), "cuda:1").device == "cuda:1"


def test_without_its_device_it_goes_on_by_the_processor_in_a_precision_of_that() -> None:
    found = placed(THERE, CPU)
    assert (found.device, found.precision) == (CPU, "fp32")
    if device.devices() == [CPU]:
        assert placed(THERE) == found
        with pytest.raises(UserError, match="device 'cuda' is asked for, and torch finds cpu"):
            placed(THERE, "cuda")


def test_a_device_that_is_asked_for_decides_what_is_searched_for() -> None:
    assert Config(device=CPU).digest == Config().digest != Config(device="cuda").digest
    with pytest.raises(UserError, match="device 'gpu' is not known"):
        Config(device="gpu")
