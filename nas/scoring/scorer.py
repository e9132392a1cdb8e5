"""Scoring a candidate: cut it out, compress it, and look at its answers on the search split.

Deterministic: the same candidate gets the same score in any process, on one kind of device. Scored
on one thread, because sums depend on how many there are, in fp32 without autocast; quantized
networks through the module that is exported.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from compress.apply import Compressed, Learnt, compress
from compress.sparse import sparsify_
from nas.data._base import DataSet
from nas.problem.trial import Score
from nas.system.environment import int8_products_saturate
from search_spaces import (
    CALIBRATION_ERROR,
    DEFAULT_CALIBRATION,
    Candidate,
    CandidateError,
    Slot,
    expected_calibration_error,
    task_of,
)
from supernets.device import CPU, at_work, computing, is_cpu, moved, take
from supernets.network import PlainNetwork
from supernets.supernet import Supernet

BATCH = 128
CALIBRATION_BATCH = 128
CALIBRATION_IMAGES = 256
"""Enough for statistics of maps; more changes log-losses in the third digit only."""

MOST_SCORES = 5
"""Images that a network is judged on once it is trained further, at most, in those of a score."""


class Scorer:
    """Compresses and scores candidates of one trained supernet.

    Args:
        supernet: With trained weights.
        data: Calibration and search splits are used.
        images_per_score: Images of the search split that a score looks at.
        needs_reduced_range: Whether int8 weights must keep to 7 bits; as this machine's processor
            needs it if None.
        calibrated_by: Name of the calibration of integer grids.
        device: Where networks are recalibrated, calibrated and asked; they come from the CPU and go
            back there.
    """

    def __init__(
        self,
        supernet: Supernet,
        data: DataSet,
        images_per_score: int,
        *,
        needs_reduced_range: bool | None = None,
        calibrated_by: str = DEFAULT_CALIBRATION,
        device: str = CPU,
    ) -> None:
        self.supernet, self.device = supernet, device
        self.task = task_of(data.task)
        self._is_balanced = data.is_balanced
        subset = data.search.take(images_per_score)
        self._images = _batches(data.normalised(subset.images_NCHW), BATCH)
        self._labels_N = subset.labels_N
        calibration = data.calibration.take(CALIBRATION_IMAGES)
        normalised = data.normalised(calibration.images_NCHW)
        self.calibration = _batches(normalised, CALIBRATION_BATCH)
        if needs_reduced_range is None:
            needs_reduced_range = int8_products_saturate()
        self.needs_reduced_range = needs_reduced_range
        self.calibrated_by = calibrated_by

    @property
    def num_images(self) -> int:
        """How many images a score looks at."""
        return len(self._labels_N)

    def __call__(self, candidate: Candidate) -> Score:
        """The task's metrics, or why there are none."""
        try:
            found = self.quality(self.compressed(candidate).network)
        except CandidateError as error:
            return Score({}, failure=str(error))
        loss = self.task.loss
        if not math.isfinite(found[loss.name]):
            return Score({}, failure=f"{loss.title} is {found[loss.name]}")
        return Score(found)

    def extracted(self, slots: Sequence[Slot]) -> PlainNetwork:
        """A network with shared weights, of which its patterns have left what they leave."""
        network = self.supernet.extract(slots)
        with _one_thread():
            sparsify_(network, slots, self.calibration)
        return network

    def compressed(
        self,
        candidate: Candidate,
        trained: PlainNetwork | None = None,
        learnt: Learnt | None = None,
    ) -> Compressed:
        """The candidate's networks before and after quantization.

        Args:
            candidate: Which.
            trained: The candidate's own network, trained further, in place of shared weights; it is
                changed.
            learnt: What that training has decided besides weights.
        """
        slots = self.supernet.space.slots(candidate.encoding)
        with _one_thread():
            network = trained or self.supernet.extract(slots)
            with at_work(self.device, network), computing(self.device):
                found = compress(
                    network,
                    slots,
                    [moved(images, self.device) for images in self.calibration],
                    calibrated_by=self.calibrated_by,
                    needs_reduced_range=self.needs_reduced_range,
                    learnt=learnt,
                )
                if not is_cpu(self.device):
                    take(CPU, found.fp32, found.network)
        return found

    def quality(self, network: nn.Module) -> dict[str, float]:
        """The task's metrics, by name, of the network's answers on the search split."""
        losses_N, shown_N = self._judged(network)
        return self.task.means(losses_N, shown_N, self._labels_N, is_balanced=self._is_balanced)

    def quality_and_confidence(self, network: nn.Module) -> dict[str, float]:
        """As `quality`, and the calibration error where answers say how probable they are."""
        outputs_NK, labels_N = self._outputs(network), self._labels_N
        found = self.task.metrics(outputs_NK, labels_N, is_balanced=self._is_balanced)
        confidences_N = self.task.confidences(outputs_NK)
        if confidences_N is not None:
            is_right_N = self.task.answers(outputs_NK) == labels_N
            found[CALIBRATION_ERROR] = expected_calibration_error(confidences_N, is_right_N)
        return found

    def shown(self, network: nn.Module) -> np.ndarray:
        """The metric that people are shown of each of the images, (N,)."""
        return self._judged(network)[1]

    def answers(self, network: nn.Module) -> list[int]:
        """What the network says of each of the images."""
        answers: list[int] = self.task.answers(self._outputs(network)).tolist()
        return answers

    def calibration_outputs(self, network: nn.Module) -> np.ndarray:
        """What the network gives for the images of the calibration split that are used, (N, K)."""
        return self._outputs_of(network, self.calibration)

    @torch.no_grad()
    def _judged(self, network: nn.Module) -> tuple[np.ndarray, np.ndarray]:
        """Both metrics of every image, batch by batch: answers may be maps."""
        losses, shown = [], []
        with _one_thread(), at_work(self.device, network), computing(self.device):
            for number, images in enumerate(self._images):
                labels_B = self._labels_N[BATCH * number : BATCH * (number + 1)]
                outputs_BK = network(moved(images, self.device)).cpu().numpy()
                losses_B, shown_B = self.task.judge(outputs_BK, labels_B)
                losses.append(losses_B)
                shown.append(shown_B)
        return np.concatenate(losses), np.concatenate(shown)

    def _outputs(self, network: nn.Module) -> np.ndarray:
        return self._outputs_of(network, self._images)

    @torch.no_grad()
    def _outputs_of(self, network: nn.Module, batches: Sequence[Tensor]) -> np.ndarray:
        device = self.device
        with _one_thread(), at_work(device, network), computing(device):
            outputs_NK = torch.cat([network(moved(images, device)) for images in batches])
            found: np.ndarray = outputs_NK.cpu().numpy()
        return found


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _batches(images_NCHW: np.ndarray, size: int) -> Sequence[Tensor]:
    """Batches in the memory format in which depthwise convolutions and linear layers are fast.

    Copied: torch aligns its memory, numpy does not, and last digits of products depend on that.
    """
    return torch.from_numpy(images_NCHW).clone(memory_format=torch.channels_last).split(size)
