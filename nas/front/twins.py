"""Twins: what a quantized network was before quantization, as a network of its own.

Every quantized network is exported, timed and verified in full precision, too. That file is the
deployed one of the same candidate with all stages in full precision and the same weights, so it
competes for the front with the numbers it has. A twin on the front has a folder there, with copies
of the files that lie beside its source.
"""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nas.finalists.entry import TWIN, Entry
from nas.front.card import modelled_facts, read_card, write_card
from nas.front.folders import (
    CARD,
    CHECKPOINT,
    DEPLOYED,
    FRONT,
    UNQUANTIZED,
    UNQUANTIZED_CHECKPOINT,
    is_whole,
    measured_folder,
)
from nas.run.directory import Run
from nas.system.files import make_folder
from search_spaces import FULL_PRECISION, Candidate, SearchSpace
from supernets.files import replacing

COPIES = {DEPLOYED: UNQUANTIZED, CHECKPOINT: UNQUANTIZED_CHECKPOINT}
"""Files of a twin, and which ones of its source they are."""


def unquantized(space: SearchSpace, candidate: Candidate) -> Candidate | None:
    """The candidate in full precision; None if the space does not offer that to every stage."""
    offered = (space.choices[column].options for column in space.columns("precision"))
    if not all(FULL_PRECISION in options for options in offered):
        return None
    rows = space.in_precision(np.array([candidate.encoding]), FULL_PRECISION)
    return space.candidate(rows[0].tolist())


def twin_of(space: SearchSpace, entry: Entry) -> Entry | None:
    """The network before quantization; None if it is not quantized, or outside of the space."""
    candidate = unquantized(space, entry.candidate)
    if candidate is None or candidate == entry.candidate:
        return None
    return replace(entry, candidate=candidate, is_reference=False, twin_of=entry.key)


def twin_card(space: SearchSpace, card: Mapping[str, Any]) -> dict[str, Any] | None:
    """The card of a network's twin: the numbers of the same file. None if it lacks its files."""
    files = card["files"]
    if not files.keys() >= set(COPIES.values()):
        return None
    candidate = unquantized(space, space.candidate(card["encoding"]))
    if candidate is None:
        return None
    deployed = dict(files[UNQUANTIZED])
    if "timed" in deployed:
        deployed["timed"] = CHECKPOINT
    counted: dict[str, Any] = {"params_in": CHECKPOINT} if "params_in" in card else {}
    if "bit_ops" in card:
        assert space.costs is not None
        row = np.array([candidate.encoding])
        counted["bit_ops"] = float(space.costs.of("bit_ops", row)[0])
    if "modelled" in card:
        slots = space.slots(candidate.encoding)
        counted["modelled"] = modelled_facts(slots, deployed["bytes"])
    return {
        **card,
        **counted,
        "key": f"{card['key']}{TWIN}",
        "twin_of": card["key"],
        "encoding": list(candidate.encoding),
        "arch": dict(candidate.arch),
        "policy": dict(candidate.policy),
        "files": {DEPLOYED: deployed, CHECKPOINT: dict(files[UNQUANTIZED_CHECKPOINT])},
    }


def write_twins(run: Run, space: SearchSpace, members: Iterable[str]) -> None:
    """Write the folders of those members that are twins; the folders of all others are there."""
    for key in members:
        if key.endswith(TWIN):
            source = measured_folder(run, key.removesuffix(TWIN))
            assert source is not None, f"{key} has no source"
            _write(space, source, run.path / FRONT / key)


def _write(space: SearchSpace, source: Path, folder: Path) -> None:
    """The card comes last, so that a folder that has one is whole."""
    card = twin_card(space, read_card(source / CARD))
    assert card is not None, f"'{source}' has no twin"
    if is_whole(folder) and read_card(folder / CARD) == card:
        return
    make_folder(folder)
    (folder / CARD).unlink(missing_ok=True)
    for name, original in COPIES.items():
        with replacing(folder / name) as temporary:
            shutil.copyfile(source / original, temporary)
    write_card(card, folder / CARD)
