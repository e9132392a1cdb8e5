"""An ONNX file becomes a network in torch that answers as the file does."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from compress.bring._images import refuse_other_images
from compress.bring.onnx._batch import with_free_batch
from compress.bring.onnx._claims import refuse_large_values
from compress.bring.onnx._file import images_of, read_model
from compress.bring.onnx._graph import OnnxGraph, OnnxNode
from compress.bring.onnx._module import OnnxNetwork
from compress.bring.onnx._simplify import simplified
from search_spaces import Resolution, UserError, read_sides

CHANNELS = (1, 3, 4)
"""That images have: where the last axis is one of these, and the second none, it is theirs."""

SOFTMAX = "Softmax"
ENDS: dict[str, Callable[[Tensor], Tensor]] = {
    SOFTMAX: lambda scores: scores.softmax(-1),
    "LogSoftmax": lambda scores: scores.log_softmax(-1),
}
"""Operators at the end that change no order of classes, and that losses have themselves."""

KINDS = {"tensor(float16)": np.float16, "tensor(double)": np.float64}

ATOL, ATOL_OF_HALF = 1e-3, 3e-2
"""Of the largest score: fp32 in another order, and fp16."""

CHECKED = 2
"""Images that network and file must agree about."""


@dataclass(frozen=True)
class OnnxFile:
    """What was read.

    Attributes:
        network: In evaluation mode, for any number of images.
        notes: What is not as the file has it, a sentence each.
    """

    network: nn.Module
    notes: tuple[str, ...] = ()


def load_onnx(path: Path, *, channels: int, resolution: Resolution) -> OnnxFile:
    """The network of a file. Nothing in it is executed but operators.

    Args:
        path: Of the file; weights may lie beside it.
        channels: Of the images.
        resolution: Height and width of the images in pixels, as they are written.

    Raises:
        UserError: If it is no classifier of such images, cannot be rebuilt, or the network would
            not answer as the file does.
    """
    model = read_model(path)
    sizes, precision = images_of(path, model)
    refuse_other_images(path, sides_of(sizes), channels=channels, resolution=resolution)
    batch, is_channels_last = sizes[0], _is_channels_last(sizes)
    shape = (channels, *read_sides(resolution))
    file = _File(path, batch, is_channels_last, precision)
    notes = []
    with file.refusing():
        graph = OnnxGraph.of_proto(model.graph)
        image = (*shape[1:], channels) if is_channels_last else shape
        refuse_large_values(path, graph, (batch or CHECKED, *image))
        graph = simplified(_channels_first(graph) if is_channels_last else graph)
    if is_channels_last:
        notes.append("the file reads images with channels last, and the network channels first")
    if precision:
        notes.append(f"the file computes in {precision}, and the network in fp32")
    last = graph.makers().get(graph.scores)
    if last is not None and last.op in ENDS:
        graph = replace(graph, scores=last.inputs[0]).without_unused()
        notes.append(f"the {last.op} at its end is left out: scores are what it reads")
    with file.refusing():
        if batch:
            graph = with_free_batch(graph, batch, shape)
        network = OnnxNetwork(graph).eval()
    end = "" if last is None else last.op
    file.refuse_other_answers(network, end, _images(shape))
    return OnnxFile(network, tuple(notes))


def sides_of(sizes: Sequence[int]) -> list[int]:
    """Channels, height and width of the images that an input of these sizes takes."""
    _, *found = sizes
    return [found[2], *found[:2]] if _is_channels_last(sizes) else found


def _is_channels_last(sizes: Sequence[int]) -> bool:
    return sizes[3] in CHANNELS and sizes[1] not in CHANNELS


def _channels_first(graph: OnnxGraph) -> OnnxGraph:
    """What reads images with channels last, reading them with channels first."""
    name = f"{graph.images}, channels first"
    turned = OnnxNode("Transpose", (name,), (graph.images,), {"perm": [0, 2, 3, 1]})
    return replace(graph, nodes=[turned, *graph.nodes], images=name)


def _images(image: Sequence[int]) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(CHECKED, *image, generator=generator)


@dataclass(frozen=True)
class _File:
    """A file as onnxruntime carries it out.

    Attributes:
        path: Of it.
        batch: Images that it takes; 0 for any number.
        is_channels_last: Whether images are (B, H, W, C).
        precision: Of what it reads, where it is another than the network's.
    """

    path: Path
    batch: int
    is_channels_last: bool
    precision: str

    @torch.no_grad()
    def refuse_other_answers(self, network: nn.Module, end: str, images: Tensor) -> None:
        """Scores, or what is made of them at the end, must be those of the file.

        Args:
            network: What the file was read as.
            end: The last operator of the file.
            images: What both are given.

        Raises:
            UserError: If they are not, or onnxruntime cannot carry the file out.
        """
        expected = self.answers(images)
        with self.refusing():
            scores = network(images)
        found = ENDS[end](scores) if end in ENDS else scores
        atol = ATOL_OF_HALF if self.precision else ATOL
        least = 0.0 if end == SOFTMAX else 1.0  # shares of many classes are all small
        allowed = atol * max(least, float(abs(expected).max()))
        is_same = found.shape == expected.shape
        if not is_same or not abs(found.numpy() - expected).max() <= allowed:
            raise self._refused("it would answer otherwise than onnxruntime does")

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Turns what torch raises where the graph cannot be carried out into one message."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:  # torch raises a dozen unrelated classes
            raise self._refused(f"{error!s:.300}") from error

    def _refused(self, fact: str) -> UserError:
        what = f" for any number of images, and is for {self.batch}" if self.batch else ""
        return UserError(
            f"model '{self.path}' cannot be rebuilt{what}: {fact}. Export it with a free number of "
            "images, or bring the network as FILE.py:FUNCTION."
        )

    def answers(self, images: Tensor) -> np.ndarray:
        """What the file makes of images, by onnxruntime."""
        import onnxruntime

        turned = images.permute(0, 2, 3, 1) if self.is_channels_last else images
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 4
        try:
            session = onnxruntime.InferenceSession(
                str(self.path), options, providers=["CPUExecutionProvider"]
            )
            (read,) = session.get_inputs()
            given = turned.contiguous().numpy().astype(KINDS.get(read.type, np.float32))
            if not self.batch:
                return np.asarray(session.run(None, {read.name: given})[0], np.float32)
            batches = [np.repeat(image[None], self.batch, 0) for image in given]
            answers = [session.run(None, {read.name: each})[0][:1] for each in batches]
        except Exception as error:  # onnxruntime's classes derive from nothing but this
            raise UserError(
                f"model '{self.path}' cannot be carried out by onnxruntime: {error!s:.300}. "
                "Export it again."
            ) from error
        return np.concatenate(answers).astype(np.float32)
