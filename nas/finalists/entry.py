"""Which network files are made of: a candidate, with shared weights or with its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.problem.trial import Trial
from search_spaces import Candidate, SearchSpace
from supernets.checkpoint import read_tensors
from supernets.network import PlainNetwork


@dataclass(frozen=True)
class Entry:
    """A candidate to make files of.

    Attributes:
        candidate: Which.
        name: What the report calls it.
        is_reference: Whether it is shown beside the front instead of competing for it.
        finetuned: Its own weights, if it was trained further; else it has the supernet's.
    """

    candidate: Candidate
    name: str
    is_reference: bool = False
    finetuned: "Finetuned | None" = None

    @property
    def key(self) -> str:
        """Name of its folder: the candidate's key, and which fine-tuning it has been through."""
        return self.finetuned.key if self.finetuned else self.candidate.key


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


def trained_network(space: SearchSpace, entry: Entry) -> PlainNetwork | None:
    """The network of an entry that was trained further; None for shared weights."""
    if entry.finetuned is None:
        return None
    network = PlainNetwork(space.slots(entry.candidate.encoding))
    network.load_state_dict(read_tensors(entry.finetuned.weights)[0])
    return network.eval()
