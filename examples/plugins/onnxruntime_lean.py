"""A target: onnxruntime that gives memory back after every call, as where memory is scarce."""

from collections.abc import Callable
from pathlib import Path
from typing import final

import numpy as np
import onnxruntime as ort

from nas.targets import TARGETS, AbstractRuntime
from search_spaces import CandidateError

PROVIDERS = ["CPUExecutionProvider"]


@final
@TARGETS.register
class OnnxRuntimeLean(AbstractRuntime):
    """One session without memory arena and memory pattern."""

    kernels = TARGETS.get("onnxruntime").kernels

    def prepare(self, file: Path, *, threads: int, batch: int) -> Callable[[], None]:
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.enable_cpu_mem_arena = options.enable_mem_pattern = False
        options.log_severity_level = 3
        options.add_session_config_entry("session.force_spinning_stop", "1")
        try:
            session = ort.InferenceSession(str(file), options, providers=PROVIDERS)
        except Exception as error:  # onnxruntime raises a dozen unrelated classes
            raise CandidateError(f"file '{file}' cannot be loaded: {error}") from error
        (images,) = session.get_inputs()
        if isinstance(images.shape[0], int) and images.shape[0] != batch:
            raise CandidateError(
                f"file '{file}': input has shape {images.shape}; batches of {batch} need another."
            )
        shape = (batch, *images.shape[1:])
        feed = {images.name: np.random.default_rng(0).standard_normal(shape, dtype=np.float32)}

        def call() -> None:
            session.run(None, feed)

        try:
            call()
        except Exception as error:
            raise CandidateError(f"file '{file}' cannot be run: {error}") from error
        return call

    def describe(self) -> dict[str, str]:
        return {"runtime": "onnxruntime without arena", "version": ort.__version__}

    def integer_kernels(self, file: Path) -> int:
        return int(TARGETS.get("onnxruntime")().integer_kernels(file))  # the same kernels
