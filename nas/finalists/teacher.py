"""What a network that is trained further may learn from besides labels."""

from dataclasses import replace
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from nas.finalists.entry import Entry, trained_network
from nas.prepare.reopen import Trained
from nas.problem.feasible import largest_member
from nas.run.own_files import kept_model
from nas.standalone.train import Teacher
from search_spaces import SearchSpace, UserError

BROUGHT, LARGEST, NO_TEACHER = "brought", "largest", "none"
NAMED = (BROUGHT, LARGEST, NO_TEACHER)
"""Teachers that are no files."""


def make_teacher(name: str, trained: Trained) -> Teacher | None:
    """The teacher that a recipe names.

    Raises:
        UserError: If its file is missing or does not fit the data, or nothing was brought.
    """
    problem, scorer = trained.problem, trained.scorer
    if name == NO_TEACHER:
        return None
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
        if not path.is_file():
            raise UserError(
                f"teacher '{path}' is not there. Give the path of an ONNX file, or "
                f"{', '.join(NAMED)}."
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
                f"{error}. Give an ONNX file made for this data, for batches of any size."
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
