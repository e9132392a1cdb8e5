"""Which network files are made of: a candidate, with shared weights or with its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress.apply import Learnt
from compress.bring.bring import network_as_brought
from nas.problem.trial import Trial
from nas.standalone.train import give_trained
from search_spaces import FULL_PRECISION, Candidate, SearchSpace
from supernets.checkpoint import read_tensors
from supernets.network import PlainNetwork

TWIN = f"-{FULL_PRECISION}"
"""What the key of a twin ends with."""

AS_BROUGHT = "-brought"
"""What the key of a network ends with that has the weights that it was brought with."""


@dataclass(frozen=True)
class Entry:
    """A candidate to make files of.

    Attributes:
        candidate: Which.
        name: What the report calls it.
        is_reference: Whether it is shown even if it is not on the front.
        finetuned: Its own weights, if it was trained further; else it has the supernet's.
        twin_of: Key of the quantized network whose weights before quantization these are; "" for
            any other network.
        brought: File of the weights that it was brought with; None for those of the supernet.
    """

    candidate: Candidate
    name: str
    is_reference: bool = False
    finetuned: "Finetuned | None" = None
    twin_of: str = ""
    brought: Path | None = None

    @property
    def key(self) -> str:
        """Name of its folder: the candidate's key, and which weights it has, if not shared ones.

        That of a twin is its source's with `TWIN`: its candidate may have weights of its own.
        """
        if self.twin_of:
            return f"{self.twin_of}{TWIN}"
        if self.finetuned:
            return self.finetuned.key
        return f"{self.candidate.key}{AS_BROUGHT}" if self.brought else self.candidate.key


@dataclass(frozen=True)
class Finetuned:
    """A candidate that was trained further, alone (`nas/finetune.py`).

    Attributes:
        key: The candidate's and the recipe's.
        weights: File of the trained network.
        facts: The card's `finetuned`.
    """

    key: str
    weights: Path
    facts: Mapping[str, Any]


def inherited(trial: Trial) -> Entry:
    """A finalist with the weights of the supernet."""
    return Entry(trial.candidate, "front member")


def trained_network(
    space: SearchSpace, entry: Entry
) -> tuple[PlainNetwork, Learnt | None] | tuple[None, None]:
    """The network of an entry that has weights of its own, and what else its training has decided.

    Nothing for shared weights.
    """
    if entry.finetuned is None and entry.brought is None:
        return None, None
    slots = space.slots(entry.candidate.encoding)
    if entry.finetuned:
        network = PlainNetwork(slots)
        return network, give_trained(network, entry.finetuned.weights)
    assert entry.brought is not None
    return network_as_brought(slots, read_tensors(entry.brought)[0]), Learnt()
