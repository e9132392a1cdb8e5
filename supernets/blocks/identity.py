"""What leaves a map as it is; source in search_spaces/operators/identity.py."""

from typing import ClassVar, final

from torch import nn

from search_spaces import Signature
from supernets.blocks._base import BLOCKS
from supernets.blocks._unweighted import AbstractUnweighted


class PlainIdentity(nn.Identity):
    """(B, width, *size), as it came in."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()


@final
@BLOCKS.register
class ElasticIdentity(AbstractUnweighted):
    """Any width."""

    plain: ClassVar[type[nn.Module]] = PlainIdentity
