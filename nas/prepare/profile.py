"""The latency profile of a run: measured once, fitted, and read back when it continues."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from nas.latency import (
    LatencyModel,
    Row,
    at_one_speed,
    choose_networks,
    choose_signatures,
    fit,
)
from nas.latency.measure import measure_rows
from nas.prepare.inputs import make_problem
from nas.prepare.plan import profile_sizes
from nas.problem.feasible import sample_within
from nas.problem.problem import Limit
from nas.run.config import Config
from nas.run.directory import Run
from nas.system.files import append_line, read_lines, understood
from nas.system.reporter import Reporter
from nas.targets import Timer, choose
from search_spaces import SearchSpace

POOL = 400
"""Random networks from which those that are timed, and slots of theirs, are chosen."""


def profile(
    run: Run,
    config: Config,
    space: SearchSpace,
    limits: Sequence[Limit],
    timer: Timer,
    reporter: Reporter,
) -> LatencyModel:
    """The latency model of the target, from recorded rows or from timing them now.

    What is timed is within the limits that are known before: others will never be asked about.
    """
    num_signatures, num_networks = profile_sizes(config)
    rng = np.random.default_rng([config.seed, 10])
    pool_NC = sample_within(make_problem(space, limits), POOL, rng)
    signatures = choose_signatures(space, pool_NC, num_signatures, rng)
    networks = choose_networks(space, pool_NC, num_networks, rng)
    path = run.folder("profile") / "rows.jsonl"
    reporter.phase("profile", f"timing {num_signatures} slots and {num_networks} networks")
    rows = measure_rows(
        space,
        signatures,
        networks,
        timer=timer,
        known=read_lines(path, Row.from_json),
        record=lambda row: append_line(path, row.to_json()),
        progress=lambda done, of: reporter.advance(done, of, "files"),
    )
    rows = at_one_speed(rows)
    document = run.decided("profile/profile.json", lambda: _fitted(config, space, rows))
    with understood(f"'{run.path}/profile/profile.json'"):
        error = document["held_out"]
        reporter.note(
            f"latency profile: mean error {error['mape']:.1%}, largest {error['max_error']:.1%} on "
            f"{error['networks']} networks that the fit has not seen; "
            f"rank correlation (Kendall) {error['kendall_tau']:.2f}"
        )
        return LatencyModel.from_json(document, space)


def _fitted(config: Config, space: SearchSpace, rows: list[Row]) -> dict[str, Any]:
    model, error = fit(space, rows, config.target)
    whole = [row for row in rows if row.encoding is not None]
    predicted = model.of("latency_ms", np.array([row.encoding for row in whole]))
    return {
        "schema": 1,
        "threads": choose(config.target, threads=config.timing_threads).threads,
        "held_out": vars(error),
        "rows": [
            {
                "name": row.name,
                "measured_ms": row.latency_ms,
                "predicted_ms": float(ms),
                "held_out": row.is_held_out,
            }
            for row, ms in zip(whole, predicted, strict=True)
        ],
        **json.loads(json.dumps(model.to_json())),
    }
