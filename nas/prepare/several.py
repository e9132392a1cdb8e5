"""Several devices: whether they are here, and the processes that share steps of training on them.

torchrun may have started the processes (`nas/cli/app.py`); with `devices` we start them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nas.executors import make_executor
from nas.run.config import Config
from nas.run.directory import WEIGHTS
from search_spaces import UserError
from supernets.device import chosen_device, is_cpu, kind_of, num_launched, number_of
from supernets.plan import TrainPlan


def check_devices(config: Config) -> None:
    """Refuse devices that would have nothing to do.

    Args:
        config: With settings that are checked.

    Raises:
        UserError: Saying what to ask for.
    """
    asked, launched = config.devices, num_launched()
    if asked > 1 and launched > 1:
        raise UserError(
            f"devices is {asked}, and torchrun has started {launched} processes already. "
            "Leave out --devices, or torchrun."
        )
    num = max(asked, launched)
    if num == 1:
        return
    what = f"devices is {asked}" if asked > 1 else f"torchrun has started {launched} processes"
    if number_of(config.device):
        raise UserError(
            f"device is '{config.device}', which is one of several, and {what}. Name the kind "
            f"alone, --device {kind_of(config.device)}: the first {num} are used."
        )
    if config.supernet:
        raise UserError(
            f"{what}, and supernet '{config.supernet}' is trained already. Devices share the steps "
            "of a supernet's training alone. Ask for one."
        )
    shards = int(config.set.get("shards", TrainPlan.shards))
    if num > shards:
        raise UserError(
            f"{what}, and a step has {shards} batches (shards), which they share: "
            f"{num - shards} would have nothing to do. Add --set shards={num}, or ask for "
            f"{shards}. More shards are more images a step, whoever computes them."
        )


def check_are_here(config: Config) -> None:
    """See that there are as many devices as are asked for.

    Raises:
        UserError: Naming how many there are.
    """
    device = chosen_device(config.device)
    if config.devices == 1:
        return
    executor = make_executor(config)
    most = executor.num_devices(device)
    if config.devices <= most:
        return
    kind, is_per_core = kind_of(device), is_cpu(device) and executor.is_local
    per_core = ", some for each core" if is_per_core else ""
    raise UserError(
        f"devices is {config.devices}, and {executor.place} has {most} of kind '{kind}'{per_core}. "
        f"Ask for at most {most}."
    )


@contextmanager
def sharing(config: Config, out: Path) -> Iterator[None]:
    """In this context as many processes as there are devices share the steps of training.

    Args:
        config: Says how many, and where.
        out: The run; one that has its supernet needs nobody.
    """
    if config.devices == 1 or (out / WEIGHTS).exists():
        yield
        return
    device = chosen_device(config.device)
    with make_executor(config).ranks(config.devices, device):
        yield
