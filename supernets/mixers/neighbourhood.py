"""Neighbourhood attention; sources and departures in search_spaces/operators/neighbourhood.py."""

from typing import final

from supernets.mixers._base import MIXERS
from supernets.mixers._blocked import AbstractElasticBlockedAttention


@final
@MIXERS.register
class ElasticNeighbourhood(AbstractElasticBlockedAttention):
    """Elastic width, heads, kernel, dilation and stride."""
