"""Writing the files of a network, and what its module answers, for parity with them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from compress.artefact import write_artefact
from nas.finalists.entry import Entry, trained_network
from nas.front.folders import DEPLOYED, UNQUANTIZED
from nas.scoring.scorer import Scorer
from nas.system.files import make_folder, write_json
from nas.targets import ONNX, TORCH_CHECKPOINT, Artefact
from search_spaces import FULL_PRECISION, CandidateError, Signature, Slot
from supernets.files import replacing


@dataclass(frozen=True)
class Exports:
    """Writes the files of networks, in whichever process.

    Attributes:
        scorer: Cuts out and compresses.
        artefacts: What targets take.
    """

    scorer: Scorer
    artefacts: tuple[Artefact, ...]

    def __call__(self, job: tuple[Entry, Path, Path]) -> CandidateError | None:
        """Why it cannot be exported, if so.

        Args:
            job: The network, the folder of its files, and where the answers of its module go.
        """
        entry, folder, answers = job
        try:
            export(entry, folder, answers, self.scorer, self.artefacts)
        except CandidateError as error:
            return error
        return None


def export(
    entry: Entry, folder: Path, answers: Path, scorer: Scorer, artefacts: Collection[Artefact]
) -> None:
    """Write the files of a network.

    Args:
        entry: The network.
        folder: Where they go.
        answers: Where the answers of its module go.
        scorer: Cuts out and compresses.
        artefacts: What targets take.

    Raises:
        CandidateError: If the network cannot be exported.
    """
    space = scorer.supernet.space
    slots = space.slots(entry.candidate.encoding)
    compressed = scorer.compressed(entry.candidate, *trained_network(space, entry))
    if compressed.plan.is_quantized:
        before = [replace(slot, signature=_unquantized(slot)) for slot in slots]
        _write(folder / UNQUANTIZED, compressed.fp32, before, artefacts)
    _write(folder / DEPLOYED, compressed.network, slots, artefacts)
    make_folder(answers.parent)
    write_json(answers, {"search": scorer.answers(compressed.network)})


def _write(
    path: Path, network: nn.Module, slots: Sequence[Slot], artefacts: Collection[Artefact]
) -> None:
    """The ONNX file, the checkpoint of the same network, and what targets take."""
    for kind in {ONNX, TORCH_CHECKPOINT, *artefacts}:
        with replacing(path.with_suffix(kind)) as file:
            write_artefact(kind, network, slots, file)


def _unquantized(slot: Slot) -> Signature:
    return replace(slot.signature, precision=FULL_PRECISION)
