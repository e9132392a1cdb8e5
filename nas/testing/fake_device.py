"""A device without hardware: what computes on it with tensors of the CPU is refused.

Tensors on it have shapes and types, and no values (torch's fake tensors, on the backend that torch
keeps for accelerators of others). A forgotten buffer, an index or a factory on the CPU raises as
on any accelerator, and whatever the host reads of the device is seen. Values that are read are 1.

It takes private parts of torch, which register something for the life of a process: it is for
processes of their own (`placement.py`). Not covered: numbers, autocast, and what kernels support.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from supernets.device import CPU, is_cpu, kind_of

NAME = "fakegpu"
DEVICE = f"{NAME}:0"
ROOT = Path(__file__).parents[2]
LIBRARIES = "site-packages"
"""Also in an environment that stands in the tree."""
HELPERS = {"fake_device.py", "device.py"}
"""Files that read for others, who are asked why."""

READ_BY_THE_HOST = {
    "supernets/methods/_lessons.py:read_losses": "losses, for logs and to see a divergence: once a "
    "batch",
    "supernets/methods/elastic_student.py:ElasticStudent.step": "the mean of answers, which its "
    "state keeps: once a batch",
    "supernets/steps.py:AloneBatches.__call__": "likewise",
    "supernets/train.py:advance": "whether the gradient is finite: once a step",
    "supernets/optimizers/muon.py:_extents": "which blocks of shared matrices were trained: once a "
    "step",
    "supernets/traced/fragment.py:ElasticFragment.sizes": "members that pruning keeps, of which "
    "positions on axes are worked out with numpy",
}
"""Where a step of training waits for its device, and why. `placement.py` fails on any other."""

aten: Any = torch.ops.aten


class HostReadError(AssertionError):
    """A step of training waits for its device where it is not listed."""


class FakeDevice(TorchDispatchMode):
    """Answers for values that are read of the device, and notes who reads.

    Attributes:
        is_training: Whether only places of `READ_BY_THE_HOST` may read.
        readers: Those that did while it was.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_training = False
        self.readers: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Every operation comes by."""
        answer, device = ANSWERS.get(func), (kwargs or {}).get("device")
        if func is aten._to_copy.default and _is_name(device):
            args = (_valueless(args[0]), *args[1:])
        is_copy = func is aten._to_copy.default and _is_for_cpu(device)
        is_copy |= func is aten.copy_.default and not _is_there(args[0])
        if func in INDEXING and _is_there(args[0]):
            _refuse_indices_of_the_cpu(args[1])
        if (answer or is_copy) and any(map(_is_there, args)):
            self._note(str(func))
            if answer:
                return answer(*args)
        return func(*args, **(kwargs or {}))

    @contextmanager
    def training(self) -> Iterator[None]:
        """In this context reads are noted, and refused where they are not listed."""
        self.is_training = True
        try:
            yield
        finally:
            self.is_training = False

    def _note(self, what: str) -> None:
        if not self.is_training:
            return
        reader = _reader()
        if reader not in READ_BY_THE_HOST:
            raise HostReadError(
                f"{reader} reads a value of the device by {what}, for which every step waits. "
                "Leave it on the device, or list it in nas/testing/fake_device.py with the reason."
            )
        self.readers.add(reader)


@contextmanager
def fake_device() -> Iterator[FakeDevice]:
    """In this context `DEVICE` is a device, and networks are taken there without their values.

    What has been there has no values any more. torch refuses to swap what has weak references;
    those of its cache of fake tensors are of no use then.
    """
    with (
        _mode(),
        FakeDevice() as device,
        patch("supernets.device.take", take),
        patch("nas.scoring.scorer.take", take),
        patch.object(Tensor, "numpy", _numpy),
        patch.object(Tensor, "__deepcopy__", _deepcopy),
        patch("weakref.getweakrefs", lambda _: []),
    ):
        yield device


@cache
def _mode() -> FakeTensorMode:
    """One for the process: what is cached outlives a context."""
    _setup_privateuseone_for_python_backend(rename=NAME)
    return FakeTensorMode(allow_non_fake_inputs=True)


def take(device: str, *networks: nn.Module) -> None:
    """What `supernets.device.take` does, for tensors without values."""
    for network in networks:
        for tensor in (*network.parameters(), *network.buffers()):
            tensor.grad = None
            if is_cpu(device) != is_cpu(tensor.device.type):
                torch.utils.swap_tensors(tensor, _like(tensor, device))


def _like(tensor: Tensor, device: str) -> Tensor:
    """Another one of that shape and kind, without looking at the first."""
    shape, strides = tuple(tensor.shape), tensor.stride()
    fresh = torch.empty_strided(shape, strides, dtype=tensor.dtype, device=device)
    if not isinstance(tensor, nn.Parameter):
        return fresh
    return nn.Parameter(fresh, requires_grad=tensor.requires_grad)


def _is_there(value: Any) -> bool:
    return isinstance(value, Tensor) and value.device.type == NAME


def _valueless(tensor: Tensor) -> Any:
    """As fake tensors are; of numbers that the program has written down they know the value."""
    found: Any = tensor if _is_fake(tensor) else _mode().from_tensor(tensor)
    found.constant = None
    return found


def _is_fake(value: Any) -> bool:
    return isinstance(value, FakeTensor)


def _is_name(device: Any) -> bool:
    return device is not None and kind_of(str(device)) == NAME


def _is_for_cpu(device: Any) -> bool:
    return device is not None and kind_of(str(device)) == CPU


def _one(tensor: Tensor) -> float | bool:
    return True if tensor.dtype is torch.bool else 1.0 if tensor.is_floating_point() else 1


ANSWERS: dict[Any, Callable[..., Any]] = {
    aten._local_scalar_dense.default: _one,
    aten.equal.default: lambda *_: True,
}
"""What is read of values, and the answer; operations whose shapes follow from values have none."""

INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default}

_real_numpy = Tensor.numpy


def _refuse_indices_of_the_cpu(indices: Iterable[Tensor | None]) -> None:
    """Accelerators take them, and copy them in every call."""
    if any(index is not None and not _is_there(index) for index in indices):
        raise HostReadError("an index of the CPU is copied to the device in every call")


def _numpy(tensor: Tensor, *args: Any, **kwargs: Any) -> np.ndarray:
    """As of an accelerator: only what was brought to the CPU has an array."""
    if not _is_fake(tensor):
        found: np.ndarray = _real_numpy(tensor, *args, **kwargs)
        return found
    if _is_there(tensor):
        raise TypeError(f"a tensor on {DEVICE} has no array. Bring it to the CPU first: .cpu()")
    return np.ones(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))


_real_deepcopy = Tensor.__deepcopy__


def _deepcopy(tensor: Tensor, memo: dict[int, Any]) -> Tensor:
    """Of what has no memory."""
    if not _is_fake(tensor):
        return _real_deepcopy(tensor, memo)
    known: Tensor | None = memo.get(id(tensor))
    if known is None:
        known = memo[id(tensor)] = _like(tensor, str(tensor.device))
    return known


def _reader() -> str:
    """The place in our code that an operation comes from: "supernets/train.py:advance"."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(ROOT) and LIBRARIES not in file.parts and file.name not in HELPERS:
            function, *_ = frame.f_code.co_qualname.split(".<locals>")
            return f"{file.relative_to(ROOT).as_posix()}:{function}"
        frame = frame.f_back
    return "a place outside of this program"
