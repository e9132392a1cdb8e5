"""The latency profile of a run: measured once, fitted, and read back when it continues."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from nas.latency import (
    Coverage,
    LatencyModel,
    Row,
    at_one_speed,
    choose_networks,
    choose_signatures,
    error_of,
    fit,
    largest_timed,
    networks_of,
)
from nas.latency.measure import measure_rows
from nas.prepare.given_profile import given_profile, said_of_coverage, said_of_given
from nas.prepare.inputs import make_problem
from nas.prepare.plan import profile_sizes
from nas.problem.feasible import sample_within
from nas.problem.problem import Limit
from nas.run.config import Config
from nas.run.directory import Run
from nas.system.files import append_line, read_lines, understood
from nas.system.reporter import Reporter
from nas.targets import ChosenTarget, Timer, choose
from search_spaces import SearchSpace, precision_of

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
    """The latency model of the target: that of a given profile, from recorded rows, or timed now.

    What is timed is within the limits that are known before: others will never be asked about.
    """
    if config.profile:
        document = run.decided("profile/profile.json", lambda: given_profile(config, space))
        with understood(f"'{run.path}/profile/profile.json'"):
            for sentence in said_of_given(document):
                reporter.note(sentence)
        return _model_of(run, document, space, reporter)
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
    document = run.decided(
        "profile/profile.json",
        lambda: fitted(space, rows, choose(config.target, threads=config.timing_threads)),
    )
    with understood(f"'{run.path}/profile/profile.json'"):
        for sentence in said_of_coverage(document["covered"]) if "covered" in document else ():
            reporter.note(sentence)
    return _model_of(run, document, space, reporter)


def _model_of(
    run: Run, document: dict[str, Any], space: SearchSpace, reporter: Reporter
) -> LatencyModel:
    """The model that a document describes; says its error."""
    with understood(f"'{run.path}/profile/profile.json'"):
        error = document["held_out"]
        reporter.note(
            f"latency profile: mean error {error['mape']:.1%}, largest {error['max_error']:.1%} on "
            f"{error['networks']} networks, each predicted by a fit without it; "
            f"rank correlation (Kendall) {error['kendall_tau']:.2f}"
        )
        return LatencyModel.from_json(document, space)


def fitted(space: SearchSpace, rows: Sequence[Row], chosen: ChosenTarget) -> dict[str, Any]:
    """The document of a profile: the model of these rows, and how far it is right.

    Args:
        space: With its policy choices.
        rows: At one speed.
        chosen: The target on which they were timed.
    """
    model, unseen_N = fit(space, rows, chosen.text)
    whole, largest = networks_of(rows), largest_timed(space, rows)
    return {
        "schema": 1,
        "threads": chosen.threads,
        "held_out": vars(error_of(unseen_N, whole)),
        "largest": largest,
        "covered": vars(Coverage.of(space, largest)),
        "rows": [
            {
                "name": row.name,
                "measured_ms": row.latency_ms,
                "predicted_ms": float(ms),
                "precision": precision_of(space.candidate(row.encoding or ()).policy),
            }
            for row, ms in zip(whole, unseen_N, strict=True)
        ],
        **json.loads(json.dumps(model.to_json())),
    }
