"""One canonical point of a search space."""

import hashlib
from array import array
from dataclasses import dataclass
from functools import cached_property

from search_spaces._choice import Options
from search_spaces._treatment import treatments_in


@dataclass(frozen=True)
class Candidate:
    """One point: architecture and compression policy together.

    Built by `SearchSpace.candidate`, which canonicalises: equal networks have equal keys.

    Attributes:
        encoding: Option index of every choice of the space; 0 where a choice is inactive.
        arch: The active architecture choices and their options.
        policy: The active policy choices (precision, sparsity, ...) and their options.
    """

    encoding: tuple[int, ...]
    arch: Options
    policy: Options

    @cached_property
    def code(self) -> bytes:
        """The encoding as 64-bit integers: bytes remember their hash, tuples do not."""
        return array("q", self.encoding).tobytes()

    @cached_property
    def key(self) -> str:
        """12 hexadecimal digits that name this network and policy, whatever space it came from.

        Made of the readable options, not of indices, so that a space from which options were
        trimmed, or that offers patterns or ranks, gives the same network the same key.
        """
        text = self.arch.to_json() + treatments_in(self.policy).to_json()
        return hashlib.sha256(text.encode()).hexdigest()[:12]
