"""The executorch target: a network as ExecuTorch runs it on processors, by XNNPACK.

It makes a program of each checkpoint: what XNNPACK has no kernel for, ExecuTorch's own ones run.
Making a program takes seconds, so processes that time the same files share programs: the first one
makes them.
"""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, final

from nas.system.environment import version_of
from nas.system.files import digest_of
from nas.targets._base import TARGETS
from nas.targets._checkpoints import AbstractTorchRuntime, network_and_images
from search_spaces import CandidateError, UserError

PROGRAMS = "NAS_EXECUTORCH_PROGRAMS"
"""Names a folder of finished programs."""


@TARGETS.register
@final
class ExecuTorch(AbstractTorchRuntime):
    """ExecuTorch from Python, which hands its runtime the same memory in every call."""

    compiled_in: ClassVar[str] = PROGRAMS

    def prepare(self, file: Path, *, threads: int, batch: int) -> Callable[[], None]:
        """See `AbstractRuntime.prepare`. The process has this many threads from then on."""
        network, images = network_and_images(file, threads=threads, batch=batch)
        folder = os.environ.get(PROGRAMS)
        known = Path(folder, f"{digest_of(file)}-{batch}.pte") if folder else None
        try:
            program = known.read_bytes() if known and known.exists() else _program(network, images)
            runtime = _runtime()
            if runtime._threadpool_get_thread_count() != threads:
                # NOTE: this frees the threads of programs that are loaded already.
                runtime._unsafe_reset_threadpool(threads)
            module = runtime._load_for_executorch_from_buffer(program)
            module.forward((images,), clone_outputs=False)
        except Exception as error:  # of export, lowering and the runtime, of no common class
            raise CandidateError(
                f"file '{file}' cannot be run by executorch: {error!s:.500}"
            ) from error
        if known and not known.exists():
            known.write_bytes(program)

        def call(_kept: bytes = program) -> None:  # the module reads it where it lies
            module.forward((images,), clone_outputs=False)

        return call

    def describe(self) -> dict[str, str]:
        """See `AbstractTarget.describe`."""
        version = version_of("executorch")
        if version is None:
            raise UserError(
                "target 'executorch' is not installed. Run in the checkout: pip install -c "
                "constraints.txt -e '.[executorch]'"
            )
        return {"runtime": "executorch", "version": version}


def _program(network: Any, images: Any) -> bytes:
    """Of a network for batches of this size."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that its interfaces may change
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower
        from executorch.exir.passes.constant_prop_pass import constant_prop_pass

        with torch.no_grad():
            # XNNPACK takes weights that are constants, not those that each call makes of integers.
            exported = constant_prop_pass(torch.export.export(network, (images,)))
        lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
        return bytes(lowered.to_executorch().buffer)


def _runtime() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from executorch.extension.pybindings import portable_lib
    return portable_lib
