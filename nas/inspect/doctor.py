"""What works on this machine, with a proof of about a second where there is one: for `nas doctor`.

What is missing or broken is a fact like any other, so packages are imported where they are tried.
"""

import importlib.metadata
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from nas.controllers import CONTROLLERS
from nas.data import DATA
from nas.data._load import DEFAULT_CACHE
from nas.executors import EXECUTORS, make_timer
from nas.latency.peaks import kept_peaks
from nas.problem.problem import Objective, Problem
from nas.run.config import Config
from nas.system.environment import (
    cpu_model,
    environment,
    has_bf16_products,
    instruction_sets,
    int8_products_saturate,
    load_average,
    num_cores,
    said_of_load,
    version_of,
)
from nas.targets import TARGETS, AbstractRuntime, AbstractTarget, Timing, choose
from search_spaces import (
    FORMATS,
    FULL_PRECISION,
    Choice,
    SearchSpace,
    Slot,
    UserError,
    format_of,
    import_all_installed,
    load_space,
)

OURS = "pareto-nas"
INSTALL = "Run in the checkout: pip install -c constraints.txt -e"
AGAIN = f"If it worked before, install it again. {INSTALL} . --force-reinstall"
PROOF_S = 0.2


@dataclass(frozen=True)
class Fact:
    """Something that was looked at.

    Attributes:
        kind: What it is, such as "target".
        name: Which one.
        about: What was found; if it does not work, why, and what to do.
        works: Whether it can be used here.
        is_needed: Whether a search without any flag needs it.
    """

    kind: str
    name: str
    about: str
    works: bool = True
    is_needed: bool = False

    @property
    def state(self) -> str:
        """In a word."""
        return "ok" if self.works else "broken" if self.is_needed else "missing"

    def to_json(self) -> dict[str, Any]:
        """The fields and the state as JSON values."""
        return {**asdict(self), "state": self.state}


def diagnose(cache: Path = DEFAULT_CACHE) -> list[Fact]:
    """Looks at everything.

    Args:
        cache: Folder for decoded images; not created.
    """
    sections = (
        *(_packages, _extras, _machine, _devices, partial(_folder, cache), _installed_plugins),
        *(_targets, partial(_peaks, cache), _executors, _controllers, _data_sets),
    )
    return [fact for section in sections for fact in section()]


def _packages() -> Iterator[Fact]:
    version = version_of(OURS)
    about = version or f"a checkout that is not installed. {INSTALL} ."
    yield Fact("package", OURS, about, works=version is not None)
    yield Fact("package", "python", platform.python_version())
    for package, extra in _requirements():
        if not extra:
            version = version_of(package)
            about = version or f"not installed. {INSTALL} ."
            yield Fact("package", package, about, works=version is not None, is_needed=True)


def _extras() -> Iterator[Fact]:
    packages: dict[str, list[str]] = {}
    for package, extra in _requirements():
        if extra:
            packages.setdefault(extra, []).append(package)
    for extra, of in packages.items():
        missing = [package for package in of if version_of(package) is None]
        about = ", ".join(f"{package} {version_of(package)}" for package in of)
        if missing:
            about = f"not installed: {', '.join(missing)}. {INSTALL} '.[{extra}]'"
        yield Fact("extra", extra, about, works=not missing)


def _requirements() -> list[tuple[str, str]]:
    """Packages, each with the extra that it belongs to; "" where it is needed in any case."""
    if version_of(OURS) is None:
        return [(package, "") for package in environment()["versions"]]
    found = []
    for line in importlib.metadata.requires(OURS) or ():
        extra = re.search(r"extra == ['\"]([^'\"]+)", line)
        name = re.match(r"[A-Za-z0-9._-]+", line)
        assert name, line
        found.append((name[0], extra[1] if extra else ""))
    return found


def _machine() -> Iterator[Fact]:
    facts, load = environment(), load_average()
    sets = ", ".join(instruction_sets()) or "instruction sets unknown"
    sums = "int8 sums may saturate" if int8_products_saturate() else "int8 sums are exact"
    bf16 = "bf16 products" if has_bf16_products() else "no bf16 products"
    memory = facts["memory_bytes"]
    yield Fact("machine", "system", facts["platform"])
    yield Fact("machine", "processor", f"{cpu_model()}: {sets}; {sums}, {bf16}")
    yield Fact("machine", "cores", f"{num_cores()} of {os.cpu_count()} may be used")
    yield Fact("machine", "memory", f"{memory / 1e9:.1f} GB" if memory else "not known")
    now = "not known" if load is None else f"{load:.1f} processes in the last minute"
    yield Fact("machine", "load", said_of_load(load) or now)


def _devices() -> Iterator[Fact]:
    """Accelerators; nothing needs one."""
    from supernets.device import devices

    _, *accelerators = devices()
    if not accelerators:
        yield Fact("device", "accelerator", "torch finds none", works=False)
    for device in accelerators:
        yield _tried("device", device, partial(_multiplied_on, device), is_needed=False)


def _multiplied_on(device: str) -> str:
    import torch

    from supernets.device import about, accelerated_precisions, computing

    with computing(device):
        ones = torch.ones(64, 64, device=device)
        assert float((ones @ ones).sum()) == 64.0**3, "it multiplies wrongly"
    return f"{about(device)}; training in {', '.join(accelerated_precisions(device))}"


def _folder(cache: Path) -> Iterator[Fact]:
    places = (cache.absolute(), *cache.absolute().parents)
    there = next(place for place in places if os.path.exists(place))
    works = os.path.isdir(there) and os.access(there, os.W_OK)
    about = f"{shutil.disk_usage(there).free / 1e9:.1f} GB free"
    if not works:
        about = (
            f"'{there}' cannot be written into. Work in another folder, or name one with --cache"
        )
    yield Fact("cache", str(cache), about, works=works, is_needed=True)


def _installed_plugins() -> Iterator[Fact]:
    for name, why in import_all_installed().items():
        yield Fact("installed plug-in", name, why, works=False)


def _targets() -> Iterator[Fact]:
    names = TARGETS.names()
    for text in (x for n in names for x in (n, *(f"{n}:{v}" for v in TARGETS.get(n).variants))):
        is_needed = text == Config().target
        found = _tried("target", text, partial(_described, text), is_needed=is_needed)
        yield found
        if found.works:
            yield from _formats(text, choose(text).target, is_needed=is_needed)


def _described(text: str) -> str:
    about = choose(text).target.describe()
    return f"{about['runtime']} {about['version']}"


def _peaks(cache: Path) -> Iterator[Fact]:
    """What the target of a search does at most here, if it was measured before."""
    name = Config().target
    yield _tried("peaks", name, partial(_kept_peaks, name, cache), is_needed=False)


def _kept_peaks(target: str, cache: Path) -> str:
    found = kept_peaks(choose(target), cache)
    if found is None:
        raise UserError("not measured yet: `nas profile MODEL.onnx` does it once")
    return found.said()


def _formats(target: str, has: AbstractTarget, *, is_needed: bool) -> Iterator[Fact]:
    offered = [name for name in FORMATS.names() if has.offers(name)]
    tried = offered
    if isinstance(has, AbstractRuntime) and has.compiled_in:  # which takes many seconds each
        tried = [FULL_PRECISION]
    timed = cache(partial(_time_tiny_networks, target, has, tried))
    for precision in FORMATS.names():
        name = f"{precision} on {target}"
        if precision not in offered:
            lacking = sorted(format_of(precision).kernels - has.own_kernels)
            about = f"the target has no kernels for it: {', '.join(lacking)}"
            yield Fact("format", name, about, works=False)
            continue
        if precision not in tried:
            yield Fact("format", name, f"not tried: it has the kernels of {FULL_PRECISION}")
            continue
        needed = is_needed and precision in Config().precision
        yield _tried("format", name, partial(_proof, timed, precision), is_needed=needed)


def _proof(timed: Callable[[], dict[str, str | Exception]], precision: str) -> str:
    found = timed()[precision]
    if isinstance(found, Exception):
        raise found
    return found


def _time_tiny_networks(
    name: str, target: AbstractTarget, formats: Sequence[str]
) -> dict[str, str | Exception]:
    """What a tiny network takes in each of these formats, in one process; or why it does not."""
    from nas.latency.measure import export_random

    timer = make_timer(Config(), name)
    is_compiled = isinstance(target, AbstractRuntime) and bool(target.compiled_in)
    found: dict[str, str | Exception] = {}
    with tempfile.TemporaryDirectory(prefix="nas-") as folder:
        files = {precision: Path(folder, f"{precision}{timer.artefact}") for precision in formats}
        for precision, file in list(files.items()):
            try:
                slots = _tiny_network(precision, is_compiled=is_compiled)
                export_random(slots, file, timer.artefact)
            except Exception as error:  # what is broken may raise anything
                found[precision] = error
                del files[precision]
        timings = timer(list(files.values()), processes=1, budget_s=PROOF_S)
        for (precision, file), timing in zip(files.items(), timings, strict=True):
            if isinstance(timing, Timing):
                kernels = target.integer_kernels(file)
                took = f"a tiny network takes {timing.median_ms:.3g} ms"
                found[precision] = f"{took}, {kernels} kernels on integers"
            else:
                found[precision] = timing
    return found


def _tiny_network(precision: str, *, is_compiled: bool) -> Sequence[Slot]:
    """The smallest network of a space; its stem alone where compiling a kernel takes seconds."""
    space = load_space("toy", resolution=16, channels=1, num_classes=10)
    space = space.with_policy((precision,), (0.0,))
    assert space.costs is not None
    slots = space.slots(space.canonical(space.costs.minimum("macs")[1]))
    return slots[:1] if is_compiled else slots


def _executors() -> Iterator[Fact]:
    for name in EXECUTORS.names():
        is_needed = name == Config().executor
        yield _tried("executor", name, partial(_ready, name), is_needed=is_needed)


def _ready(name: str) -> str:
    executor = EXECUTORS.get(name)()
    executor.check()
    return f"{executor.at_once} at a time"


def _controllers() -> Iterator[Fact]:
    """Those that need more than our requirements."""
    for name in CONTROLLERS.names():
        if CONTROLLERS.get(name).modules:
            yield _tried("controller", name, partial(_asked, name), is_needed=False)


def _asked(name: str) -> str:
    space = SearchSpace("two", (Choice("width", (8, 16)),))
    problem = Problem(space=space, objectives=(Objective("loss", "minimize"),))
    assert CONTROLLERS.get(name)().ask(problem, [], 1)
    return "proposes candidates"


def _data_sets() -> Iterator[Fact]:
    for name in DATA.names():
        is_needed = name == Config().data
        yield _tried("data set", name, partial(_place, name), is_needed=is_needed)


def _place(name: str) -> str:
    where: str = DATA.get(name)().where(None)
    return where


def _tried(kind: str, name: str, proof: Callable[[], str], *, is_needed: bool) -> Fact:
    """What a proof says, or why it fails."""
    try:
        return Fact(kind, name, proof(), is_needed=is_needed)
    except UserError as error:
        about = str(error)
    except Exception as error:  # what is broken may raise anything
        about = f"{type(error).__name__}: {error}. {AGAIN}"
    return Fact(kind, name, about, works=False, is_needed=is_needed)
