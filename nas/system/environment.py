"""What a number was measured on: interpreter, processor, memory and versions.

Reads `/proc` and installed metadata; imports none of the packages it reports.
"""

import datetime
import importlib.metadata
import os
import platform
import socket
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

LOADED = 1.5
"""Processes per processor that are more than our own, which are up to one."""

_PACKAGES = ("torch", "onnx", "onnxruntime", "numpy")

# Best first: what 8-bit kernels pick on such a processor -> the flag in /proc/cpuinfo.
_INSTRUCTION_SETS = {
    "amx_int8": "amx_int8",
    "avx512_vnni": "avx512_vnni",
    "avx_vnni": "avx_vnni",
    "avx512bw": "avx512bw",
    "avx2": "avx2",
    "avx": "avx",
    "sse4_1": "sse4_1",
    "arm_i8mm": "i8mm",
    "arm_dotprod": "asimddp",
    "arm_neon": "asimd",
}

_BF16_FLAGS = {"amx_bf16", "avx512_bf16", "bf16"}
WITHOUT_SATURATION = {
    "amx_int8",
    "avx512_vnni",
    "avx_vnni",
    "arm_i8mm",
    "arm_dotprod",
    "arm_neon",
}
"""Instruction sets on which sums of two 8-bit products are exact."""


def now() -> str:
    """The time, ISO 8601 in UTC, to the millisecond."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def environment() -> dict[str, Any]:
    """What this process runs on, as JSON types.

    Returns:
        `python`, `platform`, `cpu`, `instruction_set`, `num_cores` (those this process may use),
        `memory_bytes` (None where the system does not say) and `versions` (package -> version, None
        where it is not installed).
    """
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_model(),
        "instruction_set": instruction_set(),
        "num_cores": num_cores(),
        "memory_bytes": _memory_bytes(),
        "versions": {package: version_of(package) for package in _PACKAGES},
    }


def load_average() -> float | None:
    """Processes that ran or waited during the last minute; None where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def said_of_load(load: float | None) -> str:
    """That others use the machine, too, if the load says so; we use one process per processor."""
    processors = os.cpu_count() or 1
    if load is None or load <= LOADED * processors:
        return ""
    return f"the machine was loaded: {load:.1f} processes for {processors} processors"


@cache
def this_host() -> Mapping[str, Any]:
    """Where a score was made: `name`, `python`, `cpu`, `instruction_set` and `versions`."""
    facts = environment()
    kept = ("python", "cpu", "instruction_set", "versions")
    return {"name": socket.gethostname(), **{name: facts[name] for name in kept}}


def this_machine() -> dict[str, str]:
    """What files are timed on here: `cpu`, `instruction_set` and `host`."""
    return {
        "cpu": cpu_model(),
        "instruction_set": instruction_set(),
        "host": socket.gethostname(),
    }


def cpu_model(cpuinfo: str | None = None) -> str:
    """Model name of the processor; "unknown" where the system does not say.

    Args:
        cpuinfo: Text in the format of `/proc/cpuinfo`; read from there when absent.
    """
    fields = _cpu_fields(_read_cpuinfo() if cpuinfo is None else cpuinfo)
    return fields.get("model name") or platform.processor() or "unknown"


def instruction_set(cpuinfo: str | None = None) -> str:
    """Best instruction set for 8-bit integer products; "unknown" where `/proc/cpuinfo` is absent.

    Args:
        cpuinfo: Text in the format of `/proc/cpuinfo`; read from there when absent.
    """
    return next(iter(instruction_sets(cpuinfo)), "unknown")


def instruction_sets(cpuinfo: str | None = None) -> list[str]:
    """Instruction sets for 8-bit integer products, best first; as `instruction_set`."""
    flags = _flags(_read_cpuinfo() if cpuinfo is None else cpuinfo)
    return [name for name, flag in _INSTRUCTION_SETS.items() if flag in flags]


def int8_products_saturate(cpuinfo: str | None = None) -> bool:
    """Whether sums of two 8-bit products may saturate at 16 bits; True where it is not known.

    So on x86 without any "vnni" or "amx_int8": weights there must keep to 7 bits.

    Args:
        cpuinfo: Text in the format of `/proc/cpuinfo`; read from there when absent.

    Source: onnxruntime.ai/docs/performance/model-optimizations/quantization.html, U8S8.
    """
    return instruction_set(cpuinfo) not in WITHOUT_SATURATION


def has_bf16_products(cpuinfo: str | None = None) -> bool:
    """Whether the processor multiplies numbers of bf16; True where the system does not say.

    Args:
        cpuinfo: Text in the format of `/proc/cpuinfo`; read from there when absent.
    """
    flags = _flags(_read_cpuinfo() if cpuinfo is None else cpuinfo)
    return not flags or not flags.isdisjoint(_BF16_FLAGS)


def _flags(cpuinfo: str) -> set[str]:
    fields = _cpu_fields(cpuinfo)
    return set((fields.get("flags") or fields.get("Features") or "").split())


def _read_cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


def _cpu_fields(cpuinfo: str) -> dict[str, str]:
    first_core = cpuinfo.strip().split("\n\n")[0]
    pairs = (line.partition(":") for line in first_core.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def num_cores() -> int:
    """How many cores this process may use."""
    return len(usable_cores())


def usable_cores() -> list[int]:
    """Numbers of the cores that this process may use; all where the system does not say."""
    if sys.platform == "linux":
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def resident_bytes() -> int | None:
    """Memory that this process has now; None where the system does not say."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def version_of(package: str) -> str | None:
    """The installed version of a package; None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
