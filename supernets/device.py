"""Where networks compute. This module alone knows devices by their names.

A device is written "cpu", "cuda:0", "mps" or "xpu:1"; "auto" stands for the accelerator that torch
finds, or else the CPU. Networks, images and files are at home on the CPU: a training or a score
takes what it computes with to its device (`at_work`, `moved`) and brings back what it made. So who
exports, verifies or sends networks to other processes knows nothing of devices. Random numbers are
drawn on the CPU from (seed, step), so that every device sees the same images in the same order.

What is made of a tensor is made where that tensor is: an index, a mask or a factory takes its
`device`, and what belongs to a module is a buffer. `nas.testing.placement` checks it.
"""

import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from search_spaces import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

CPU, AUTO = "cpu", "auto"
ACCELERATORS = ("cuda", "mps", "xpu")
"""Of torch's names; ROCm's devices are called "cuda", too."""

KNOWN = (AUTO, CPU, *ACCELERATORS)

COMPILED_FOR = (CPU, "cuda", "xpu")
"""Kinds of devices that torch's inductor compiles for."""

TF32 = "tf32"
"""Precision in which matrix products and convolutions of fp32 round their factors to 10 bits."""

FP16 = "fp16"
"""Precision of autocast whose gradients need a scale (`supernets/loss_scale.py`)."""

HALVES = {"bf16": "bfloat16", FP16: "float16"}
"""Precisions of autocast, and what torch calls their numbers."""

FAST_FP16, FIRST_TF32 = (7, 0), (8, 0)
"""Compute capabilities of NVIDIA, from which on products of fp16 and TF32 are fast."""

RANK, LOCAL_RANK, NUM_RANKS = "RANK", "LOCAL_RANK", "WORLD_SIZE"
"""Of torchrun's environment."""

WORKSPACE = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
"""Without it sums of cuBLAS may come in another order; read when it is first used."""


def checked_device(text: str) -> str:
    """The text, if it is written as a device is.

    Raises:
        UserError: If it is not; whether there is such a device is for `chosen_device` to say.
    """
    kind, colon, number = text.partition(":")
    if kind not in KNOWN:
        raise UserError(
            f"device {text!r} is not known. Name cpu, cuda (NVIDIA or AMD), mps (Apple), xpu "
            "(Intel), or auto for what torch finds."
        )
    if colon and (kind in (AUTO, CPU) or not re.fullmatch("[0-9]{1,3}", number)):
        raise UserError(
            f"device {text!r} is not known. The number of an accelerator may follow its name, as "
            "in cuda:1."
        )
    return text


def chosen_device(text: str) -> str:
    """The device that a text stands for, with its number if there may be several.

    Raises:
        UserError: If it is not here.
    """
    kind, _, number = checked_device(text).partition(":")
    if kind == CPU:
        return CPU
    here = devices()
    if kind == AUTO:
        return here[1] if len(here) > 1 else CPU
    wanted = f"{kind}:{int(number or 0)}"
    if wanted not in here:
        raise UserError(
            f"device '{text}' is asked for, and torch finds {', '.join(here)}. Name one of these, "
            f"or leave --device out for {CPU}."
        )
    return wanted


def devices() -> list[str]:
    """The devices that torch finds here: the CPU first, then accelerators that are known."""
    import torch  # which takes seconds

    if not torch.accelerator.is_available():
        return [CPU]
    accelerator = torch.accelerator.current_accelerator()
    if accelerator is None or accelerator.type not in ACCELERATORS:
        return [CPU]
    count = torch.accelerator.device_count()
    return [CPU, *(f"{accelerator.type}:{number}" for number in range(count))]


def num_launched() -> int:
    """Processes that torchrun has started, with this one; 1 without it."""
    return int(os.environ.get(NUM_RANKS, "1"))


def is_helper() -> bool:
    """Whether this process is there to compute for another one (`supernets/ranks.py`)."""
    return num_launched() > 1 and os.environ.get(RANK, "0") != "0"


def local_rank() -> int:
    """The number among those on this machine that torchrun has given this process."""
    return int(os.environ.get(LOCAL_RANK, "0"))


def numbered(device: str, number: int) -> str:
    """The device of this number and of the kind of another one."""
    return CPU if is_cpu(device) else f"{kind_of(device)}:{number}"


def number_of(device: str) -> int:
    """1 of "cuda:1", and 0 where no number is said."""
    return int(device.partition(":")[2] or 0)


def about(device: str) -> str:
    """An accelerator's name and memory, as far as torch says them."""
    import torch

    module = torch.get_device_module(device)
    name = module.get_device_name(device) if hasattr(module, "get_device_name") else kind_of(device)
    try:
        _, total = torch.accelerator.get_memory_info(device)
    except (RuntimeError, NotImplementedError, AttributeError):  # which some accelerators lack
        return str(name)
    return f"{name}, {total / 1e9:.1f} GB"


def kind_of(device: str) -> str:
    """ "cuda" of "cuda:1"."""
    return device.partition(":")[0]


def is_cpu(device: str) -> bool:
    """Whether nothing has to be taken anywhere."""
    return kind_of(device) == CPU


def accelerated_precisions(device: str) -> list[str]:
    """Precisions that are worth a speed test on an accelerator, the likely fastest first."""
    import torch

    if kind_of(device) != "cuda":
        return ["bf16", FP16, "fp32"]
    is_nvidia, version = torch.version.hip is None, torch.cuda.get_device_capability(device)
    has = {
        "bf16": torch.cuda.is_bf16_supported(including_emulation=False),
        FP16: not is_nvidia or version >= FAST_FP16,
        TF32: is_nvidia and version >= FIRST_TF32,
        "fp32": True,
    }
    return [name for name, is_there in has.items() if is_there]


def autocast(device: str, precision: str) -> AbstractContextManager[None]:
    """bf16 or fp16 where it is safe, or nothing; for what goes forward."""
    if precision not in HALVES:
        return nullcontext()
    import torch

    return torch.autocast(kind_of(device), getattr(torch, HALVES[precision]))


@contextmanager
def computing(device: str, precision: str = "fp32") -> Iterator[None]:
    """In this context equal work has equal results on the device, and fp32 is what its name says.

    On "cuda" operations take their reproducible forms, which cost time, and torch warns of those
    that have none; products are rounded to TF32 only if that is the precision. The settings are
    torch's for the whole process, and as before afterwards. Elsewhere there is nothing to set.
    """
    if kind_of(device) != "cuda":
        yield
        return
    import torch

    os.environ.setdefault(*WORKSPACE)
    backends: Any = torch.backends
    deterministic: Any = torch.utils.deterministic
    products, convolutions = backends.cuda.matmul, backends.cudnn.conv
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        deterministic.fill_uninitialized_memory,
        products.fp32_precision,
        convolutions.fp32_precision,
    )
    rounding = TF32 if precision == TF32 else "ieee"
    try:
        torch.use_deterministic_algorithms(True, warn_only=True)
        deterministic.fill_uninitialized_memory = False
        products.fp32_precision = convolutions.fp32_precision = rounding
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        deterministic.fill_uninitialized_memory = before[2]
        products.fp32_precision, convolutions.fp32_precision = before[3:]


@contextmanager
def at_work(device: str, *networks: "nn.Module") -> Iterator[None]:
    """In this context the weights and buffers of networks are on the device, in place.

    They come back whatever happens; gradients stay behind. Each tensor remains the object that it
    is, for whoever else holds it.
    """
    if is_cpu(device):
        yield
        return
    try:
        take(device, *networks)
        yield
    finally:
        take(CPU, *networks)


def take(device: str, *networks: "nn.Module") -> None:
    """Moves weights and buffers of networks to a device for good, in place, without gradients."""
    for network in networks:
        for tensor in (*network.parameters(), *network.buffers()):
            tensor.grad = None
            tensor.data = tensor.data.to(device)


def moved(tensor: "Tensor", device: str) -> "Tensor":
    """The tensor on the device, in its memory format; on its way while this process goes on."""
    if is_cpu(device):
        return tensor
    if kind_of(device) == "cuda" and is_cpu(tensor.device.type):
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def widest(tensor: "Tensor") -> "Tensor":
    """In fp64, on the CPU where its device has none."""
    return tensor.cpu().double() if tensor.device.type == "mps" else tensor.double()


def wait(device: str) -> None:
    """Returns when the device has done all that it was told: for clocks."""
    if not is_cpu(device):
        import torch

        torch.accelerator.synchronize(device)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this is what torch raises for lack of memory, on any device."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def free_memory(device: str) -> None:
    """Gives back what torch keeps of a device's memory for later."""
    if not is_cpu(device):
        import torch

        torch.accelerator.empty_cache()
