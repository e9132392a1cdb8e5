"""Devices: how they are written, what is not here, and that the CPU notices nothing of them."""

import pytest
import torch
from torch import nn

from search_spaces import UserError
from supernets import device
from supernets.device import (
    AUTO,
    CPU,
    accelerated_precisions,
    at_work,
    autocast,
    checked_device,
    chosen_device,
    computing,
    devices,
    is_out_of_memory,
    moved,
    widest,
)


@pytest.mark.parametrize("text", ["auto", "cpu", "cuda", "cuda:0", "cuda:12", "mps", "xpu:1"])
def test_a_device_has_a_name_and_perhaps_a_number(text: str) -> None:
    assert checked_device(text) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gpu", "device 'gpu' is not known. Name cpu, cuda"),
        ("cdua", "or auto for what torch finds"),
        ("cuda:x", "device 'cuda:x' is not known. The number of an accelerator may follow"),
        ("cuda:", "as in cuda:1"),
        ("cpu:0", "as in cuda:1"),
        ("a\nb", r"device 'a\\nb'"),
    ],
)
def test_anything_else_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        checked_device(text)


def test_the_accelerator_that_is_there_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "devices", lambda: ["cpu", "cuda:0", "cuda:1"])
    for text, expected in (
        ("auto", "cuda:0"), ("cpu", "cpu"), ("cuda", "cuda:0"), ("cuda:1", "cuda:1"),
    ):  # fmt: skip
        assert chosen_device(text) == expected
    with pytest.raises(UserError, match=r"'cuda:2' .* finds cpu, cuda:0, cuda:1\. .*--device out"):
        chosen_device("cuda:2")
    monkeypatch.setattr(device, "devices", lambda: ["cpu"])
    assert chosen_device(AUTO) == CPU
    with pytest.raises(UserError, match="device 'mps' is asked for, and torch finds cpu"):
        chosen_device("mps")


def test_the_cpu_is_always_there() -> None:
    assert devices()[0] == CPU


def test_nothing_moves_on_the_cpu() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    network(torch.zeros(1, 1, 4, 4)).sum().backward()
    before = [(id(t), t.data_ptr(), t.grad) for t in (*network.parameters(), *network.buffers())]
    deterministic = torch.are_deterministic_algorithms_enabled()
    with at_work(CPU, network), computing(CPU), autocast(CPU, "fp32"):
        inside = [
            (id(t), t.data_ptr(), t.grad) for t in (*network.parameters(), *network.buffers())
        ]
        assert torch.are_deterministic_algorithms_enabled() == deterministic
        assert not torch.is_autocast_enabled(CPU)
    assert [entry[:2] for entry in inside] == [entry[:2] for entry in before]
    assert all(a[2] is b[2] for a, b in zip(inside, before, strict=True))
    images = torch.zeros(2)
    assert moved(images, CPU) is images
    assert widest(images).dtype == torch.float64


@pytest.mark.parametrize(("precision", "kind"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_numbers_of_16_bits_are_autocast(precision: str, kind: torch.dtype) -> None:
    with autocast(CPU, precision):
        assert nn.Linear(2, 2)(torch.zeros(1, 2)).dtype == kind


@pytest.mark.parametrize(
    ("version", "has_bf16", "is_amd", "expected"),
    [
        ((6, 1), False, False, ["fp32"]),
        ((7, 5), False, False, ["fp16", "fp32"]),
        ((9, 0), True, False, ["bf16", "fp16", "tf32", "fp32"]),
        ((9, 4), True, True, ["bf16", "fp16", "fp32"]),
    ],
)
def test_precisions_are_tried_that_a_device_has_kernels_for(
    monkeypatch: pytest.MonkeyPatch,
    version: tuple[int, int],
    has_bf16: bool,
    is_amd: bool,
    expected: list[str],
) -> None:
    monkeypatch.setattr(torch.version, "hip", "6.4" if is_amd else None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: version)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: has_bf16)
    assert accelerated_precisions("cuda:0") == expected
    assert accelerated_precisions("mps") == ["bf16", "fp16", "fp32"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("can't allocate memory"), False),
    ],
)
def test_lack_of_memory_is_told_from_other_failures(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) == expected
