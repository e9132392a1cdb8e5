"""Where the files of exported networks lie in a run, and whether they are whole.

    front/<key>/  finalists/<key>/  references/<key>/  exports/<key>/

A folder has `model.onnx` as deployed, `model.fp32.onnx` before quantization (where that is another
file), the weights of both, `model.safetensors` and `model.fp32.safetensors`, and, once they are
measured, `card.json`.
"""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nas.finalists.entry import TWIN, Entry
from nas.front.card import read_card
from nas.run.directory import Run
from nas.system.files import digest_of, make_folder
from nas.targets import Artefact

DEPLOYED, UNQUANTIZED = "model.onnx", "model.fp32.onnx"
CHECKPOINT, UNQUANTIZED_CHECKPOINT = "model.safetensors", "model.fp32.safetensors"
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
    if beside == FINALISTS and (run.path / FRONT / entry.key).exists():
        return run.path / FRONT / entry.key
    return run.folder(f"{REFERENCES if entry.is_reference else beside}/{entry.key}")


def measured_folder(run: Run, key: str) -> Path | None:
    """The folder of a network that was measured for the front; None if there is none."""
    folders = (run.path / kind / key for kind in (FRONT, FINALISTS, REFERENCES))
    return next((folder for folder in folders if is_whole(folder)), None)


def settle(run: Run, members: Iterable[str], references: Iterable[str]) -> None:
    """Move folders so that `front` holds these keys only; twins that leave it are deleted.

    Args:
        run: The run.
        members: Keys on the front; the folders of twins are written elsewhere.
        references: Keys of networks that go back to `references`.
    """
    keys, named = set(members), set(references)
    front = run.folder(FRONT)
    for key in keys:
        if not (front / key).exists():
            _move(run.path / FINALISTS / key, front / key)
            _move(run.path / REFERENCES / key, front / key)
    for folder in list(front.iterdir()):
        if folder.name in keys:
            continue
        if folder.name.endswith(TWIN):
            shutil.rmtree(folder)
        else:
            home = REFERENCES if folder.name in named else FINALISTS
            _move(folder, run.path / home / folder.name)


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
    card = folder / CARD
    return card.exists() and is_unchanged(folder, read_card(card)["files"])


def is_unchanged(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a folder has the very files that a card describes."""
    return all(
        (folder / name).is_file() and digest_of(folder / name) == facts["sha256"]
        for name, facts in files.items()
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


def _move(source: Path, to: Path) -> None:
    """Move a folder, if it is there, and replace an older one."""
    if source.exists():
        make_folder(to.parent)
        shutil.rmtree(to, ignore_errors=True)
        source.replace(to)
