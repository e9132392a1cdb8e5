"""`nas export`: the files of any member of a trained supernet, timed and verified.

    exports/<key>/    files and card.json as in `front`

They are made as a search makes them. Those of a network that the run has measured are copied.
"""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nas.executors import make_timers
from nas.finalists.entry import Entry
from nas.front.card import read_card
from nas.front.contest import over_limit
from nas.front.drop import quality_brought_to, with_drop
from nas.front.folders import CARD, EXPORTS, is_whole, measured_folder, without_folder
from nas.front.measure import Exporter
from nas.front.members import candidate_of, entry_of
from nas.prepare.reopen import reopened
from nas.system.files import make_folder
from nas.system.reporter import Reporter
from search_spaces import CandidateError, UserError
from supernets.files import replacing

NAME = "exported"
STEPS = 4
"""Exporting, timing, verifying, done."""


def export(
    path: Path,
    reporter: Reporter,
    *,
    key: str = "",
    arch: Mapping[str, Any] | None = None,
    out: Path | None = None,
) -> Path:
    """Make the files of a network, or find them.

    Args:
        path: A run whose supernet is trained; it need not be searched.
        reporter: Told how far it is.
        key: Of the network; its first characters are enough. Or else
        arch: its options by the names of choices, as `candidate_of` reads them.
        out: A folder that gets a copy; must be empty, missing, or an earlier copy.

    Returns:
        The folder with the files.

    Raises:
        UserError: If there is no such network, it cannot be exported, or `out` is something else.
    """
    trained = reopened(path, reporter, needs_front=False)
    space = trained.problem.space
    entry = entry_of(trained, key) if arch is None else Entry(candidate_of(space, arch), NAME)
    if out is not None:
        _check_copy(out, entry.key)
    exporter = Exporter(
        run=trained.run,
        problem=trained.problem,
        scorer=trained.scorer,
        data=trained.data,
        timers=make_timers(trained.config),
        times_again=True,  # or a later search would take this latency for one of its own
        beside=EXPORTS,
    )
    kept = trained.run.path / EXPORTS / entry.key
    card = _card(exporter, entry, kept, reporter)
    measured = exporter.trial(0, entry.candidate, card)
    measured = with_drop(measured, quality_brought_to(trained.run), card)
    if excess := over_limit(trained.problem, measured):
        reporter.note(f"network {entry.key} is not within the limits of the run: {excess}")
    if out is None:
        return kept
    copy(kept, out)
    return out


def copy(source: Path, to: Path) -> None:
    """Copy the files of a network; the card comes last, so that what has one is whole."""
    if is_whole(to) and (to / CARD).read_bytes() == (source / CARD).read_bytes():
        return
    make_folder(to)
    (to / CARD).unlink(missing_ok=True)
    for name in (*read_card(source / CARD)["files"], CARD):
        with replacing(to / name) as temporary:
            shutil.copyfile(source / name, temporary)


def _card(exporter: Exporter, entry: Entry, kept: Path, reporter: Reporter) -> dict[str, Any]:
    """The card of the files in `exports`: copied there, found, or made now."""
    measured = measured_folder(exporter.run, entry.key)
    if measured is not None:
        reporter.note(f"network {entry.key} is measured already, in '{measured}'")
        copy(measured, kept)
    elif is_whole(kept):
        reporter.note(f"network {entry.key} was exported before")
    else:
        _make(exporter, entry, reporter)
    return read_card(kept / CARD)


def _make(exporter: Exporter, entry: Entry, reporter: Reporter) -> None:
    reporter.phase("export", f"exporting, timing and verifying {entry.key}")
    texts: list[str] = []

    def progress(text: str) -> None:
        texts.append(text)
        reporter.advance(min(len(texts), STEPS - 1), STEPS, text)

    (card,) = exporter.cards([entry], progress)
    if isinstance(card, CandidateError):
        reason = without_folder(str(card), exporter.run.path)
        raise UserError(f"network '{entry.key}' cannot be exported: {reason}. Name another one.")
    reporter.advance(STEPS, STEPS, "done")


def _check_copy(out: Path, key: str) -> None:
    """See that a copy may go into a folder: that nobody else's files are in it."""
    if out.exists() and not out.is_dir():
        raise UserError(f"--out '{out}' is a file. Name a folder.")
    if not out.exists() or not any(_visible(out)):
        return
    if not (out / CARD).is_file():
        raise UserError(f"--out '{out}' is not empty and has no {CARD}. Name another folder.")
    found = read_card(out / CARD)["key"]
    if found != key:
        raise UserError(f"--out '{out}' holds network '{found}', not '{key}'. Name another folder.")


def _visible(folder: Path) -> Iterable[Path]:
    return (path for path in folder.iterdir() if not path.name.startswith("."))
