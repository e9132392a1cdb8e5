"""Folders of a candidate's trainings in rounds (`nas/finalists/rounds.py`).

They are `finetunes/<key>/round1` and so on, and `finetunes/<key>` itself of the last one.
"""

from pathlib import Path

from nas.standalone.train import LOG, NETWORK, PLAN
from nas.system.files import read_json

ROUND = "round"


def round_folder(folder: Path, number: int) -> Path:
    """Of a round that is not the last one; numbers begin with 1."""
    return folder / f"{ROUND}{number}"


def finished_rounds(folder: Path, *, before: int = 0) -> list[Path]:
    """Those that are trained to their end, in order; all, or only those before a round."""
    found = [path for path in sorted(folder.glob(f"{ROUND}*")) if (path / NETWORK).exists()]
    return [path for path in found if not before or path.name < f"{ROUND}{before}"]


def settle(folder: Path) -> None:
    """What was not trained in the last round keeps what the one before gave: that is its training.

    After a kill the same call does what is left.
    """
    rounds = finished_rounds(folder)
    if (folder / NETWORK).exists() or not rounds:
        return
    for name in (LOG, PLAN, NETWORK):  # the last one makes it whole
        if (rounds[-1] / name).exists():
            (rounds[-1] / name).replace(folder / name)


def steps_of_rounds(folder: Path) -> int:
    """Of all rounds before the last training."""
    return sum(int(read_json(path)["steps"]) for path in folder.glob(f"{ROUND}*/{PLAN}"))
