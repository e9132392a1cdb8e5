"""Attention with halos; source and departures in search_spaces/operators/halo.py."""

from typing import final

from supernets.mixers._base import MIXERS
from supernets.mixers._blocked import AbstractElasticBlockedAttention


@final
@MIXERS.register
class ElasticHalo(AbstractElasticBlockedAttention):
    """Elastic width, heads and halo."""
