"""Where latency is measured: one file per runtime, and the one protocol that times them all."""

from nas.targets._base import (
    BY_ONNXRUNTIME,
    ONNX,
    TARGETS,
    TORCH_CHECKPOINT,
    AbstractDevice,
    AbstractRuntime,
    AbstractTarget,
    Answering,
    Artefact,
    NodeTime,
    ProcessAnswers,
    Timer,
    TimesFiles,
    TimesNodes,
    TimesProcesses,
    Timing,
)
from nas.targets._chosen import ChosenTarget, choose, one_text_each, target_name
from nas.targets._timing import is_tie, measure, paired_ratio, timed_together

__all__ = [
    "BY_ONNXRUNTIME",
    "ONNX",
    "TARGETS",
    "TORCH_CHECKPOINT",
    "AbstractDevice",
    "AbstractRuntime",
    "AbstractTarget",
    "Answering",
    "Artefact",
    "ChosenTarget",
    "NodeTime",
    "ProcessAnswers",
    "Timer",
    "TimesFiles",
    "TimesNodes",
    "TimesProcesses",
    "Timing",
    "choose",
    "is_tie",
    "measure",
    "one_text_each",
    "paired_ratio",
    "target_name",
    "timed_together",
]
