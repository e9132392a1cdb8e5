"""Writing the files of a network, and what its module answers, for parity with them."""

from pathlib import Path

from compress.export import export_onnx
from compress.store import save_network
from nas.finalists.entry import Entry, trained_network
from nas.front.folders import CHECKPOINT, DEPLOYED, UNQUANTIZED
from nas.scoring.scorer import Scorer
from nas.system.files import make_folder, write_json
from supernets.files import replacing


def export(entry: Entry, folder: Path, answers: Path, scorer: Scorer) -> None:
    """Write the files of a network.

    Args:
        entry: The network.
        folder: Where they go.
        answers: Where the answers of its module go.
        scorer: Cuts out and compresses.

    Raises:
        CandidateError: If the network cannot be exported.
    """
    space = scorer.supernet.space
    assert space.network is not None
    size = {"channels": space.network.channels, "resolution": space.network.resolution}
    compressed = scorer.compressed(entry.candidate, trained_network(space, entry))
    if compressed.plan.is_quantized:
        with replacing(folder / UNQUANTIZED) as file:
            export_onnx(compressed.fp32, file, **size)
    save_network(compressed.network, space.slots(entry.candidate.encoding), folder / CHECKPOINT)
    with replacing(folder / DEPLOYED) as file:
        export_onnx(compressed.network, file, **size)
    make_folder(answers.parent)
    write_json(answers, {"search": scorer.answers(compressed.network)})
