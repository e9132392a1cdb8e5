"""Where latency is measured: one file per runtime, and the one protocol that times them all."""

from nas.targets._base import (
    ONNX,
    TARGETS,
    TORCH_CHECKPOINT,
    AbstractDevice,
    AbstractRuntime,
    AbstractTarget,
    Artefact,
    NodeTime,
    Timer,
    TimesFiles,
    TimesNodes,
    Timing,
)
from nas.targets._timing import is_tie, measure, paired_ratio, timed_together

__all__ = [
    "ONNX",
    "TARGETS",
    "TORCH_CHECKPOINT",
    "AbstractDevice",
    "AbstractRuntime",
    "AbstractTarget",
    "Artefact",
    "NodeTime",
    "Timer",
    "TimesFiles",
    "TimesNodes",
    "Timing",
    "is_tie",
    "measure",
    "paired_ratio",
    "timed_together",
]
