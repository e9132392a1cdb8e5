"""What one network learns from besides labels, and how much of it."""

from dataclasses import dataclass
from typing import Any, final

from torch import nn

from supernets.likenesses import AbstractLikeness
from supernets.teachers._base import AbstractTeacher
from supernets.teachers.discriminator import Discriminator


@final
@dataclass(frozen=True)
class Teaching:
    """All that teaches a network that is trained alone.

    Attributes:
        teacher: Whose answers it learns; None for labels only.
        share: Of the teacher in the loss; the rest is the labels'.
        likenesses: What is compared of its maps with those of others.
        discriminator: Tells its answers from the teacher's; None for none.
    """

    teacher: AbstractTeacher | None = None
    share: float = 0.5
    likenesses: tuple[AbstractLikeness[Any], ...] = ()
    discriminator: Discriminator | None = None

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """Those that compute."""
        asked = self.teacher.networks if self.teacher else ()
        return (*asked, *(likeness.guide for likeness in self.likenesses))


LABELS_ONLY = Teaching()
