"""The contract of a norm's declaration: what follows a convolution that has an activation.

A name is norm and activation together, because some are one formula. `supernets/norms/` has the
implementations, under the same names. Blocks read it as the dimension "norm".
"""

from abc import ABC, abstractmethod
from typing import ClassVar

from search_spaces._choice import Option, Options
from search_spaces._registry import Registry
from search_spaces._slot import Cost

NORM = "norm"
"""The dimension of blocks whose options are norms."""

DEFAULT_NORM = "bn-relu6"
"""The norm of a stage that offers none."""


class AbstractNorm(ABC):
    """What a norm costs. Plug-ins have no state."""

    is_batch_norm: ClassVar[bool]
    """Whether it is a batch norm and an activation, and so folds into the convolution."""

    has_batch_statistics: ClassVar[bool]
    """Whether it divides by statistics of the batch, as batch norm does. If so, every extracted
    network measures them anew; if not, what it makes of an image does not depend on others."""

    @abstractmethod
    def cost(self, n: int, width: int) -> Cost:
        """Of one application to `width` channels at `n` positions, without the convolution."""


NORMS = Registry("search_spaces.norms", "norm", AbstractNorm)


def norm_name(pick: Options) -> str:
    """The norm of a block's pick."""
    return str(pick.get(NORM, DEFAULT_NORM))


def norm_of(pick: Options) -> AbstractNorm:
    """Its declaration.

    Raises:
        UserError: If there is no such norm.
    """
    found = NORMS.get(norm_name(pick))()
    assert isinstance(found, AbstractNorm)
    return found


def normalised_norm(pick: Options) -> dict[str, Option]:
    """What a normalised pick says of its norm: nothing of the default.

    So a block with it has the signature, the weights and the records of one without the choice.
    """
    name = norm_name(pick)
    return {} if name == DEFAULT_NORM else {NORM: name}
