"""The contract of a teacher. Shapes: B batch, C channels, H W space, K outputs."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from supernets.augmentations import MixedLabels
from supernets.images import Drawing, Images


class Asked(NamedTuple):
    """A batch that a teacher answers for.

    Attributes:
        images_BCHW: Normalised, as the student sees them, where it computes.
        images: What they were drawn from.
        drawing: How.
        turn: Number of the batch.
    """

    images_BCHW: Tensor
    images: Images
    drawing: Drawing
    turn: int


class AbstractTeacher(ABC):
    """Answers for batches of training images; goes to other processes by pickle."""

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """Those that it computes with; they go to the device of the training."""
        return ()

    def batch(
        self, images: Images, drawing: Drawing, turn: int
    ) -> tuple[Tensor, Tensor | MixedLabels]:
        """The images (B, C, H, W) and labels of a batch that it is asked about.

        A teacher that has answered before shows the images for which it did.

        Args:
            images: To train on.
            drawing: What the training would do by itself.
            turn: Number of the batch.
        """
        return drawing.batch(images, turn)

    @abstractmethod
    def __call__(self, asked: Asked) -> Tensor:
        """Outputs (B, K), without gradients; a function of the argument."""
