"""Losses of the first 20 steps of training a supernet: a refactoring leaves them as they are.

Sums of floats depend on the machine, so the record names where it was made and is compared only
there; `pytest --golden-update` makes it anew on this machine.
"""

import json
import platform
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.system.environment import environment
from supernets.images import Images
from supernets.methods.sandwich import Sandwich
from supernets.plan import TrainPlan
from supernets.steps import SupernetBatches
from supernets.supernet import Supernet
from supernets.train import train, turns_of
from tests.strategies import mini_space

FILE = Path(__file__).with_name("training.json")
STEPS = 20


def here() -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "machine": f"{platform.system()} {platform.machine()}",
        "cpu": environment()["cpu"],
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__.partition("+")[0],
        "threads": torch.get_num_threads(),
    }


def losses(folder: Path) -> list[dict[str, float]]:
    """Of each step: the mean, the largest member's and the smallest member's."""
    folder.mkdir()
    space = mini_space().with_policy(("fp32",), (0, 0.5))
    generator = torch.Generator().manual_seed(0)
    images = Images(
        images_NCHW=torch.randint(0, 256, (64, 1, 16, 16), generator=generator, dtype=torch.uint8),
        labels_N=torch.arange(64) % 10,
        mean=(0.5,),
        std=(0.3,),
        can_flip=True,
        crop_padding=1,
    )
    plan = TrainPlan(steps=STEPS, batch_size=8)
    method = Sandwich(space=space, sparse_from=turns_of(plan.rank_step, plan)[0])
    seen: list[dict[str, float]] = []
    names = ("loss", "loss_largest", "loss_smallest")
    supernet = Supernet(space)
    train(
        supernet, images, plan, SupernetBatches(plan, method), directory=folder,
        before_step=lambda step: supernet.rank() if step == plan.rank_step else None,
        on_step=lambda numbers: seen.append({name: round(numbers[name], 6) for name in names}),
    )  # fmt: skip
    return seen


def test_the_first_steps_of_training_are_what_they_always_were(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if request.config.getoption("--golden-update", default=False):
        text = json.dumps({"made_with": here(), "losses": losses(tmp_path / "new")}, indent=1)
        FILE.write_text(text + "\n", encoding="utf-8")
    golden = json.loads(FILE.read_text(encoding="utf-8"))
    if golden["made_with"] != here():
        pytest.skip(f"recorded with {golden['made_with']}, this is {here()}")
    found = losses(tmp_path / "now")
    assert len(found) == len(golden["losses"]) == STEPS
    for step, (now, before) in enumerate(zip(found, golden["losses"], strict=True)):
        assert now == pytest.approx(before, rel=1e-4), f"step {step}"
