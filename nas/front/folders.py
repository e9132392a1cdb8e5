"""Where the files of exported networks lie in a run, and whether they are whole.

    front/<key>/  finalists/<key>/  references/<key>/  exports/<key>/

A folder has `model.onnx` as deployed, `model.fp32.onnx` before quantization (where that is another
file), `model.safetensors` and, once they are measured, `card.json`. For a target that takes other
files than ONNX, also what stands for each of the two there, such as `model.fp32.safetensors`.
"""

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path

from nas.finalists.entry import Entry
from nas.front.card import read_card
from nas.run.directory import Run
from nas.system.files import make_folder
from nas.targets import Artefact

DEPLOYED, UNQUANTIZED, CHECKPOINT = "model.onnx", "model.fp32.onnx", "model.safetensors"
CARD = "card.json"
FRONT, FINALISTS, REFERENCES, EXPORTS = "front", "finalists", "references", "exports"


def folder_of(run: Run, entry: Entry, beside: str) -> Path:
    """The folder of a network's files, made if it is missing.

    Args:
        run: The run.
        entry: The network.
        beside: Where it lies if it is neither a reference nor on the front: `FINALISTS`, or
            `EXPORTS` for one that is not measured for the front.
    """
    if entry.is_reference:
        return run.folder(f"{REFERENCES}/{entry.key}")
    if beside == FINALISTS and (run.path / FRONT / entry.key).exists():
        return run.path / FRONT / entry.key
    return run.folder(f"{beside}/{entry.key}")


def settle(run: Run, members: Iterable[str]) -> None:
    """Move folders so that `front` holds exactly these keys."""
    keys = set(members)
    for key in keys:
        _move(run.path / FINALISTS / key, run.path / FRONT / key)
    for folder in list(run.folder(FRONT).iterdir()):
        if folder.name not in keys:
            _move(folder, run.path / FINALISTS / folder.name)


def is_finished(folder: Path) -> bool:
    """Whether there is a card and the very files that it describes; if not these, starts afresh."""
    if is_whole(folder):
        return True
    if (folder / CARD).exists():
        shutil.rmtree(folder)
        folder.mkdir()
    return False


def is_whole(folder: Path) -> bool:
    """Whether there is a card and the very files that it describes."""
    return (folder / CARD).exists() and all(
        (folder / name).is_file() and digest_of(folder / name) == facts["sha256"]
        for name, facts in read_card(folder / CARD)["files"].items()
    )


def onnx_files(folder: Path) -> list[str]:
    """Names of the ONNX files of an exported candidate."""
    return [name for name in (DEPLOYED, UNQUANTIZED) if (folder / name).exists()]


def timed_file(name: str, artefact: Artefact) -> str:
    """The file that stands for an ONNX file on a target: the same network as what that takes."""
    return Path(name).with_suffix(artefact).name


def without_folder(text: str, folder: Path) -> str:
    """A message with paths relative to the folder."""
    return text.replace(f"{folder.resolve()}/", "").replace(f"{folder}/", "")


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _move(source: Path, to: Path) -> None:
    if source.exists():
        make_folder(to.parent)
        source.replace(to)
