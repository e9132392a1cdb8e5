"""Kinds of networks: which slots there are, what fills them, and which feeds which."""

from search_spaces.networks._base import NETWORKS, AbstractNetwork, SlotRule

__all__ = ["NETWORKS", "AbstractNetwork", "SlotRule"]
