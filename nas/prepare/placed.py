"""Plans of training on devices: what they begin with, and where those of a finished run go on."""

from dataclasses import replace
from typing import Any

from nas.run.config import Config
from nas.system.environment import has_bf16_products
from supernets.device import CPU, accelerated_precisions, chosen_device, devices, is_cpu, kind_of
from supernets.plan import TrainPlan


def first_plan(config: Config, **settings: Any) -> TrainPlan:
    """A plan of one step, before speed tests decide the rest, on the device that is asked for.

    Raises:
        UserError: If the device is not here.
    """
    device = chosen_device(config.device)
    return TrainPlan(**{"steps": 1, "seed": config.seed, "device": device, **settings})


def placed(plan: TrainPlan, device: str = "") -> TrainPlan:
    """The plan for a device: the one asked for, or its own if it is here, or else the CPU.

    In a precision that pays there, if it is of another kind.

    Raises:
        UserError: If the device that is asked for is not here.
    """
    if not device and is_cpu(plan.device):
        return plan
    here = chosen_device(device) if device else plan.device if plan.device in devices() else CPU
    is_alike = kind_of(here) == kind_of(plan.device) or plan.precision in precisions_here(here)
    return replace(plan, device=here, precision=plan.precision if is_alike else "fp32")


def precisions_here(device: str) -> list[str]:
    """Precisions in which training may be fast on a device.

    A processor without products of bf16 emulates them, and one step would take many seconds.
    """
    if not is_cpu(device):
        return accelerated_precisions(device)
    return ["bf16", "fp32"] if has_bf16_products() else ["fp32"]
