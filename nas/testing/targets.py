"""What every target keeps to: what it takes is timed right, and left alone."""

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, fields, is_dataclass, replace
from pathlib import Path
from typing import get_type_hints

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from nas.latency.measure import export_random
from nas.system.typed import TYPE_NAMES
from nas.targets import (
    ONNX,
    TARGETS,
    AbstractDevice,
    AbstractRuntime,
    AbstractTarget,
    TimesNodes,
    choose,
    target_name,
)
from nas.targets._worker import Samples, time_calls
from nas.testing._drawn import signature
from nas.testing._expect import refused, require
from search_spaces import (
    FULL_PRECISION,
    CandidateError,
    Options,
    Shape,
    Slot,
    format_of,
    load_space,
)

BUSY_MS, TRIES = 2.0, 3


def check_it_says_what_it_is(name: str) -> None:
    """It is a runtime or a device, and says its name and version."""
    target = _target(name)
    is_either = isinstance(target, AbstractRuntime | AbstractDevice)
    require(is_either, "it derives neither from AbstractRuntime nor from AbstractDevice")
    about = target.describe()
    require(set(about) == {"runtime", "version"}, f"describe() gives {sorted(about)}")
    require(about["version"][:1].isdigit(), f"the version is '{about['version']}'")


def check_its_options_can_be_written(name: str) -> None:
    """Its own options are numbers, words or truth values, and have defaults."""
    cls = TARGETS.get(target_name(name))
    kinds = get_type_hints(cls) if is_dataclass(cls) else {}
    for field in fields(cls) if is_dataclass(cls) else ():
        kind = kinds[field.name]
        require(kind in TYPE_NAMES, f"its option '{field.name}' is a {kind}")
        require(field.default is not MISSING, f"its option '{field.name}' has no default")
    require(choose(name).text == name, f"without options it is called '{choose(name).text}'")


def check_full_precision_runs_on_it(name: str) -> None:
    """It has the kernels for networks in full precision."""
    lacking = format_of(FULL_PRECISION).kernels - _target(name).own_kernels
    require(not lacking, f"it has no kernels {', '.join(sorted(lacking))}")


def check_its_own_terms_are_amounts_of_every_network(name: str) -> None:
    """What it says networks pay for is a number of at least 0 for every one of several."""
    space = load_space("toy", resolution=16, channels=1, num_classes=10)
    space = space.with_policy((FULL_PRECISION,), (0.0,))
    encodings_NC = np.array([[k % n for n in space.cardinalities] for k in range(3)])
    for term, units in _target(name).context_terms.items():
        found_N = np.asarray(units(space, encodings_NC))
        require(found_N.shape == (3,), f"of 3 networks, '{term}' has the shape {found_N.shape}")
        is_amount = bool(np.isfinite(found_N).all() and (found_N >= 0).all())
        require(is_amount, f"'{term}' is {found_N.tolist()}")


def check_an_added_wait_is_what_the_timing_grows_by(name: str) -> None:
    """A wait of known duration is what the timing grows by, where calls are timed here.

    In one of three tries at least: what else runs on the machine takes caches away from calls.
    """
    target = _target(name)
    if not isinstance(target, AbstractRuntime):
        return
    with _folder() as folder:
        file = _network(target, folder)

        def plain() -> Callable[[], None]:
            return target.prepare(file, threads=1, batch=1)

        def slowed() -> Callable[[], None]:
            call = target.prepare(file, threads=1, batch=1)

            def call_and_wait() -> None:
                call()
                _busy(BUSY_MS)

            return call_and_wait

        for _ in range(TRIES):
            # The clock counts what this thread computes, so that a busy machine is no failure.
            clock = time.thread_time_ns
            fast, slow = time_calls([plain, slowed], seed=0, budget_s=0.8, clock=clock)
            if not isinstance(fast, Samples) or not isinstance(slow, Samples):
                raise AssertionError(f"a network of one convolution is refused: {fast}, {slow}")
            grown_ms = float(np.median(slow.sample_ms) - np.median(fast.sample_ms))
            if abs(grown_ms - BUSY_MS) <= 0.1 * BUSY_MS:
                return
    raise AssertionError(
        f"a call that takes {BUSY_MS} ms more is measured to take {grown_ms:.3g} ms more"
    )


def check_the_file_stays_as_it_is(name: str) -> None:
    """Timing and counting leave the file and its folder as they are."""
    target = _target(name)
    with _folder() as folder:
        file = _network(target, folder, "int8" if target.offers("int8") else FULL_PRECISION)
        before = _content(folder)
        _run(target, file)
        target.integer_kernels(file)
        require(_content(folder) == before, "the file's folder has changed")


def check_integer_kernels_are_found_in_a_quantized_network_only(name: str) -> None:
    """Integer kernels are found in a quantized network, if it has such, and in no other."""
    target = _target(name)
    with _folder() as folder:
        plain = target.integer_kernels(_network(target, folder))
        require(plain == 0, f"a network in {FULL_PRECISION} has {plain} integer kernels")
        if target.offers("int8"):
            found = target.integer_kernels(_network(target, folder, "int8"))
            require(found > 0, "a quantized network has none")


def check_its_nodes_are_those_of_the_file(name: str) -> None:
    """A runtime that times nodes finds the integer kernels of a network among them."""
    target = _target(name)
    if not isinstance(target, TimesNodes):
        return
    with _folder() as folder:
        for precision in (FULL_PRECISION, "int8"):
            if not target.offers(precision):
                continue
            file = _network(target, folder, precision)
            nodes = target.node_times(file, threads=1, batch=1, budget_s=0.05)
            found = sum(node.is_integer for node in nodes)
            counted = target.integer_kernels(file)
            require(bool(nodes), f"no node of a network in {precision} is timed")
            require(min(node.ms for node in nodes) >= 0, "a node takes less than no time")
            require(any(node.has_weights for node in nodes), "no node is said to read weights")
            require(
                found == counted,
                f"{found} nodes in {precision} compute on integers, and integer_kernels says "
                f"{counted}",
            )


def check_a_corrupt_file_is_a_failure_of_the_candidate(name: str) -> None:
    """A corrupt file is a failure of the candidate, and named."""
    target = _target(name)
    with _folder() as folder:
        file = folder / f"corrupt{target.artefact}"
        file.write_bytes(b"\x08\x07this is no network")
        with refused("timing a corrupt file", CandidateError, r"corrupt\."):
            _run(target, file)
        if target.offers("int8"):
            with refused("integer_kernels of a corrupt file", CandidateError, r"corrupt\."):
                target.integer_kernels(file)


def check_a_model_of_one_batch_size_is_refused_for_another(name: str) -> None:
    """An ONNX file for one batch size is refused for another by a runtime that takes such."""
    target = _target(name)
    if not isinstance(target, AbstractRuntime) or target.artefact != ONNX:
        return
    with _folder() as folder:
        file = fp32_file(folder, batch=1)
        target.prepare(file, threads=1, batch=1)()
        with refused("prepare with 4 images", CandidateError, "batches of 4"):
            target.prepare(file, threads=1, batch=4)


CHECKS: tuple[Callable[[str], None], ...] = (
    check_it_says_what_it_is,
    check_its_options_can_be_written,
    check_full_precision_runs_on_it,
    check_its_own_terms_are_amounts_of_every_network,
    check_an_added_wait_is_what_the_timing_grows_by,
    check_the_file_stays_as_it_is,
    check_integer_kernels_are_found_in_a_quantized_network_only,
    check_its_nodes_are_those_of_the_file,
    check_a_corrupt_file_is_a_failure_of_the_candidate,
    check_a_model_of_one_batch_size_is_refused_for_another,
)


def fp32_file(folder: Path, batch: str | int = "batch") -> Path:
    """A model of one convolution, (batch, 3, 8, 8) to (batch, 8, 6, 6)."""
    weight = numpy_helper.from_array(np.full((8, 3, 3, 3), 0.1, np.float32), "weight")
    conv = helper.make_node("Conv", ["images", "weight"], ["logits"])
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, 8, 8])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 8, 6, 6])
    graph = helper.make_graph([conv], "model", [images], [logits], [weight])
    opset = helper.make_opsetid("", 20)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), folder / "fp32.onnx")
    return folder / "fp32.onnx"


def _network(target: AbstractTarget, folder: Path, precision: str = FULL_PRECISION) -> Path:
    """What the target takes of a network of one convolution, for images of 8 px in 3 channels."""
    stem = signature("stem", Options({"stride": 1}), Shape.square(8, 8, 3, 8))
    file = folder / f"{precision}{target.artefact}"
    export_random([Slot("stem", replace(stem, precision=precision))], file, target.artefact)
    return file


def _run(target: AbstractTarget, file: Path) -> None:
    """Has a target run a file.

    Raises:
        CandidateError: If it cannot.
    """
    if isinstance(target, AbstractRuntime):
        target.prepare(file, threads=1, batch=2)()
        return
    assert isinstance(target, AbstractDevice)
    found = target.time([file, file], threads=1, processes=2)
    for timing in found:
        if isinstance(timing, CandidateError):
            raise timing
        require(timing.median_ms > 0, f"its latency is {timing.median_ms} ms")
        numbers = len(timing.process_medians_ms)
        require(numbers == 2, f"a file that is timed twice has {numbers} medians")


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="nas-") as folder:
        yield Path(folder)


def _target(name: str) -> AbstractTarget:
    """The target of a name, or of a text that says where it is."""
    return choose(name).target


def _content(folder: Path) -> dict[str, str]:
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(folder.iterdir())}


def _busy(milliseconds: float) -> None:
    end = time.process_time_ns() + milliseconds * 1e6
    while time.process_time_ns() < end:
        pass
