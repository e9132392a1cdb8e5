"""Which teachers a recipe names: networks that a network that is trained further may learn from."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from nas.finalists.entry import Entry, trained_network
from nas.prepare.phases import BROUGHT, LARGEST, NO_TEACHER
from nas.prepare.reopen import Trained
from nas.problem.feasible import largest_member
from nas.run.own_files import kept_model
from search_spaces import DEFAULT_TASK, SearchSpace, UserError
from supernets.teachers import AbstractTeacher, EnsembleTeacher, LiveTeacher

NAMED = (BROUGHT, LARGEST, NO_TEACHER)
"""Teachers that are no files."""

AND = " + "
"""Between the names of several."""

MODEL = "model.onnx"
"""The file of a folder, such as one of a run's members, that can teach."""


def make_teacher(names: str, trained: Trained) -> AbstractTeacher | None:
    """The teacher that a recipe names, or the mean of several.

    Raises:
        UserError: If a file is missing or does not fit the data, nothing was brought, or several
            are named whose mean means nothing.
    """
    if names == NO_TEACHER:
        return None
    teachers = tuple(LiveTeacher(_network(name, trained)) for name in names.split(AND))
    if len(teachers) == 1:
        return teachers[0]
    if trained.data.task != DEFAULT_TASK:
        raise UserError(
            f"teachers '{names}' are {len(teachers)}, and their mean is one of probabilities of "
            f"classes; run '{trained.run.path}' is of task '{trained.data.task}'. Name one."
        )
    return EnsembleTeacher(teachers)


def _network(name: str, trained: Trained) -> Callable[[Tensor], Tensor]:
    """One teacher, in evaluation mode."""
    problem, scorer = trained.problem, trained.scorer
    if name == NO_TEACHER:
        raise UserError(f"teacher '{NO_TEACHER}' is named beside others. Leave it out.")
    if name not in NAMED:
        return OnnxTeacher.load(Path(name), problem.space)
    entry = Entry(largest_member(problem), name)
    if name == BROUGHT:
        kept = kept_model(trained.run.path, trained.config)
        if kept is None:
            raise UserError(
                f"teacher '{BROUGHT}' is the network that a run of nas compress was given, and run "
                f"'{trained.run.path}' is of a space. Its '{LARGEST}' member can teach."
            )
        entry = replace(entry, brought=kept)
    network = scorer.compressed(entry.candidate, *trained_network(problem.space, entry)).fp32
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@final
class OnnxTeacher:
    """An ONNX file from normalised images to logits, run by onnxruntime."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._input = session.get_inputs()[0].name

    @staticmethod
    def load(path: Path, space: SearchSpace) -> "OnnxTeacher":
        """Open a file and see that it answers for images of this space's shape.

        Raises:
            UserError: If it is missing, is no model, or answers in another shape.
        """
        import onnxruntime

        network = space.network
        assert network is not None
        path = path / MODEL if path.is_dir() else path
        if not path.is_file():
            raise UserError(
                f"teacher '{path}' is not there. Give the path of an ONNX file, of a folder with "
                f"{MODEL}, or {', '.join(NAMED)}."
            )
        images = np.zeros((2, network.channels, *network.sides), np.float32)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
            shape = session.run(None, {session.get_inputs()[0].name: images})[0].shape
        except Exception as error:  # onnxruntime raises a dozen unrelated classes
            raise UserError(
                f"teacher '{path}' does not run on two images of shape {images.shape[1:]}: "
                f"{' '.join(str(error).split())} Give an ONNX file made for this data, for "
                "batches of any size."
            ) from error
        wanted = (2, *network.output_shape)
        if shape != wanted:
            raise UserError(
                f"teacher '{path}' answers in shape {shape}, not {wanted}. Give an ONNX file made "
                "for this data."
            )
        return OnnxTeacher(session)

    def __call__(self, images_BCHW: Tensor) -> Tensor:
        """Outputs, (B, outputs), or images."""
        images = images_BCHW.float().cpu().contiguous().numpy()
        outputs_BK = torch.from_numpy(self._session.run(None, {self._input: images})[0])
        return outputs_BK.to(images_BCHW.device)
