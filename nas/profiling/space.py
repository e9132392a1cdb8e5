"""`nas profile --space`: a latency profile that any search of such networks can use.

What a search measures for itself within its own time and limits is measured here once, with more
files and over all sizes: the networks that are timed are drawn within several shares of the largest
one's multiply-adds, because searches of minutes stay far below it. An interrupted profile continues
with the same command; `nas/prepare/given_profile.py` says what its folder holds.
"""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nas.executors import make_timer
from nas.latency import (
    Row,
    at_one_speed,
    by_macs,
    choose_networks,
    choose_signatures,
    error_of,
    networks_of,
    unseen,
)
from nas.latency.measure import measure_rows
from nas.prepare.given_profile import ASKED, DOCUMENT, ROWS, SPACE
from nas.prepare.inputs import make_problem
from nas.prepare.profile import POOL, fitted
from nas.problem.budget import parse_budget, refuse_impossible, resolve
from nas.problem.feasible import sample_within
from nas.problem.problem import Limit
from nas.profiling.files import SAMPLES
from nas.run.config import Config, differences
from nas.run.directory import locked
from nas.system.files import (
    SCHEMA,
    append_line,
    make_folder,
    read_json,
    read_lines,
    write_json,
)
from nas.system.reporter import Reporter
from nas.targets import Timer, choose, target_name
from search_spaces import Resolution, SearchSpace, UserError, check_precisions, load_space

SECONDS_PER_FILE = 0.5
"""Export, three processes' loading and rounds, at 32 px. Larger images take longer: there the time
ends a profile of as many files."""

MOST_SLOTS, MOST_NETWORKS = 480, 320
LEAST_SLOTS, LEAST_NETWORKS = 14, 9
NETWORKS_SHARE = 0.4
SHARES = (0.03, 0.1, 0.3, 1.0)
"""Of the largest network's multiply-adds, within which networks are drawn."""

SEED = 0


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a profile is asked to be of.

    Attributes:
        space: A search space's name, or the path of a Python file with one.
        target: With its options.
        resolution: Height and width of the images in pixels, as they are written.
        channels: Of the images.
        num_classes: Of the networks.
        precision: Formats that a stage may have.
        sparsity: Fractions that pruning may remove.
        budget: Limits as text; networks beyond them are not timed.
        seconds: For all of it.
    """

    space: str
    target: str = Config.target
    resolution: Resolution = 32
    channels: int = 3
    num_classes: int = 10
    precision: tuple[str, ...] = Config.precision
    sparsity: tuple[float, ...] = Config.sparsity
    budget: tuple[str, ...] = ()
    seconds: float = 600.0

    def default_out(self) -> Path:
        """The folder of this profile when none is given."""
        text = json.dumps(asdict(self), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        what = f"{Path(self.space).stem}-{self.resolution}px-{target_name(self.target)}"
        return Path("runs") / f"profile-{what}-{digest}"

    def sizes(self) -> tuple[int, int]:
        """Slots and whole networks that are timed."""
        files = self.seconds / SECONDS_PER_FILE
        networks = round(NETWORKS_SHARE * files)
        return (
            min(MOST_SLOTS, max(LEAST_SLOTS, round(files) - networks)),
            min(MOST_NETWORKS, max(LEAST_NETWORKS, networks)),
        )


def profile_space(asked: Request, out: Path, reporter: Reporter) -> dict[str, Any]:
    """Make a profile, or continue it; afterwards the folder `out` holds it.

    Args:
        asked: What it is of.
        out: The folder.
        reporter: Told how far it is.

    Returns:
        Its profile.json.

    Raises:
        UserError: If what is asked cannot be done, or the folder holds something else.
    """
    space, limits = _space_of(asked)
    chosen = choose(asked.target)
    place, timer = chosen.place(), make_timer(Config(), chosen.text)
    _check_folder(out)
    lock = locked(make_folder(out))
    try:
        _keep(out / ASKED, {"schema": SCHEMA, "place": place, **asdict(asked)})
        _keep(out / SPACE, space.to_json())
        if not (out / DOCUMENT).exists():
            write_json(out / DOCUMENT, _measured(asked, space, limits, timer, out, reporter))
    finally:
        lock.release()
    return read_json(out / DOCUMENT)


def said_of_profile(document: Mapping[str, Any]) -> list[str]:
    """Its own error on networks, each predicted by a fit without it, beside that of MACs alone."""

    def text(error: Mapping[str, Any]) -> str:
        return (
            f"mean error {error['mape']:.1%}, within 5 % {error['within_5']:.0%}, within 10 % "
            f"{error['within_10']:.0%} of networks, rank correlation (Kendall) "
            f"{error['kendall_tau']:.2f}"
        )

    return [
        f"on {document['held_out']['networks']} networks, each predicted by a fit without it: "
        f"{text(document['held_out'])}",
        f"multiply-adds alone, on the same: {text(document['macs_alone'])}",
    ]


def _space_of(asked: Request) -> tuple[SearchSpace, list[Limit]]:
    budgets = [parse_budget(text) for text in asked.budget]
    if any(budget.metric == "latency_ms" for budget in budgets):
        raise UserError(
            f"budget '{', '.join(asked.budget)}' limits latency, which this profile is to tell. "
            "Give limits on multiply-adds, parameters or size."
        )
    check_precisions(asked.precision)
    found = load_space(
        asked.space,
        resolution=asked.resolution,
        channels=asked.channels,
        num_classes=asked.num_classes,
    )
    space = found.with_policy(asked.precision, asked.sparsity)
    assert space.costs is not None
    limits = resolve(budgets, space.costs)
    refuse_impossible(limits, space.costs)
    return space, limits


def _check_folder(out: Path) -> None:
    if out.is_dir() and any(out.iterdir()) and not (out / ASKED).exists():
        what = "is one of files" if (out / SAMPLES).exists() else f"has other files and no {ASKED}"
        raise UserError(
            f"profile '{out}' {what}, so no profile of a search space can be continued there. Name "
            "another folder with --out."
        )


def _keep(path: Path, document: Mapping[str, Any]) -> None:
    """Record what a profile is of, or see that it is the same."""
    document = json.loads(json.dumps(document))
    if not path.exists():
        write_json(path, document)
        return
    changed = differences(read_json(path), document)
    if changed:
        raise UserError(
            f"profile '{path.parent}' was begun for something else: {'; '.join(changed):.300}. "
            "Name another folder with --out, or ask for the same to continue."
        )


def _measured(
    asked: Request,
    space: SearchSpace,
    limits: Sequence[Limit],
    timer: Timer,
    out: Path,
    reporter: Reporter,
) -> dict[str, Any]:
    """Times what is not timed yet, and fits the model."""
    num_slots, num_networks = asked.sizes()
    rng = np.random.default_rng(SEED)
    pool_NC = _pool(space, limits, rng)
    slots = choose_signatures(space, pool_NC, num_slots, rng)
    networks = choose_networks(space, pool_NC, num_networks, rng)
    known = read_lines(out / ROWS, Row.from_json)
    reporter.phase("profile", f"timing {len(slots)} slots and {len(networks)} networks")
    started = time.monotonic()
    rows = measure_rows(
        space,
        slots,
        networks,
        timer=timer,
        known=known,
        record=lambda row: append_line(out / ROWS, row.to_json()),
        progress=lambda done, of: reporter.advance(done, of, "files"),
        is_late=lambda: time.monotonic() - started > asked.seconds,
    )
    if len(rows) < 1 + len(slots) + len(networks):
        reporter.note(f"{len(rows)} of {1 + len(slots) + len(networks)} files were timed")
    rows = at_one_speed(rows)
    document = fitted(space, rows, choose(asked.target))
    return {
        **document,
        "macs_alone": vars(error_of(unseen(rows, partial(by_macs, space)), networks_of(rows))),
        "slots": sum(row.slot is not None for row in rows),
    }


def _pool(space: SearchSpace, limits: Sequence[Limit], rng: np.random.Generator) -> np.ndarray:
    """Networks of all sizes within the limits, shape (N, C)."""
    assert space.costs is not None
    largest, smallest = space.costs.maximum("macs")[0], space.costs.minimum("macs")[0]
    pools = []
    for share in SHARES:
        most = share * largest
        if most >= smallest:
            own = Limit("macs", most, text=f"{share:.0%}MACs")
            pools.append(sample_within(make_problem(space, [*limits, own]), POOL, rng))
    return np.concatenate(pools)
