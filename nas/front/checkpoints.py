"""Weights of the networks of a finished run: of the front and of the references beside it."""

from collections.abc import Iterator
from pathlib import Path

from nas.front.folders import CHECKPOINT, UNQUANTIZED_CHECKPOINT, measured_folder
from nas.run.directory import Run, read_front


def checkpoints(run: Run) -> Iterator[tuple[str, list[Path]]]:
    """Keys, and the files of each: as deployed and, of a quantized network, before quantization."""
    front = read_front(run.path)
    keys = dict.fromkeys([*front["members"], *(row["key"] for row in front.get("references", ()))])
    for key in keys:
        if folder := measured_folder(run, key):
            files = [folder / name for name in (CHECKPOINT, UNQUANTIZED_CHECKPOINT)]
            yield key, [file for file in files if file.exists()]
