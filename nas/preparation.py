"""What happens before training: limits, the latency profile, trimming, the plan.

Every mistake that can be seen without measuring is refused before anything is written.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas._files import append_line, read_lines, understood, write_json, write_text
from nas.budget import format_value, parse_budget, refuse_impossible, resolve
from nas.config import Config, differences
from nas.data import DataSet, identity, load_data
from nas.latency import (
    LatencyModel,
    Row,
    at_one_speed,
    choose_networks,
    choose_signatures,
    fit,
)
from nas.latency.measure import measure_rows, time_networks
from nas.planning import profile_sizes
from nas.problem import Limit, Objective, Problem
from nas.reporter import Reporter
from nas.run import WEIGHTS, Run, read_space
from nas.settings import check_settings
from nas.targets import TARGETS
from search_spaces import (
    Choice,
    SearchSpace,
    UserError,
    check_precisions,
    is_space_file,
    load_space,
)
from supernets.methods._base import METHODS

OBJECTIVES = ("log_loss", "latency_ms", "size_bytes")
SHARE_SAMPLES = 10_000
SPACE_FILE = "space.py"
SHOWN_SPLITS = ("train", "search", "test")
TRIM_SLACK = 1.15
"""Latency predictions err, so options are trimmed only beyond this multiple of the limit."""


@dataclass(frozen=True)
class KnownMetrics:
    """Everything known without an evaluation: exact costs and predicted latency."""

    parts: tuple[Any, ...]

    @property
    def metrics(self) -> tuple[str, ...]:
        """All names."""
        return tuple(name for part in self.parts for name in part.metrics)

    def of(self, metric: str, encodings_NC: np.ndarray) -> np.ndarray:
        """The metric of every encoding, shape (N,)."""
        part = next(part for part in self.parts if metric in part.metrics)
        values: np.ndarray = part.of(metric, encodings_NC)
        return values


def prepare(
    config: Config, reporter: Reporter | None = None, *, is_trained: bool = False
) -> tuple[DataSet, SearchSpace, list[Limit]]:
    """Data, space and limits, with every mistake in them refused before anything is written.

    Args:
        config: What was asked.
        reporter: Told how far reading data is.
        is_trained: Whether the run has weights, so that nobody needs those of `config.supernet`.
    """
    budgets = [parse_budget(text) for text in config.budget]
    check_names(config, is_trained=is_trained)

    def possible(
        resolution: int, channels: int, num_classes: int
    ) -> tuple[SearchSpace, list[Limit]]:
        sizes = {"resolution": resolution, "channels": channels, "num_classes": num_classes}
        space = load_space(config.space, **sizes).with_policy(config.precision, config.sparsity)
        assert space.costs is not None
        limits = resolve(budgets, space.costs)
        refuse_impossible(limits, space.costs)
        return space, limits

    data = read_data(config, reporter, accept=possible)
    return data, *possible(data.resolution, data.channels, data.num_classes)


def make_problem(space: SearchSpace, limits: list[Limit], model: LatencyModel) -> Problem:
    """What the search is about: quality, latency and size, within the limits."""
    return Problem(
        space=space,
        objectives=tuple(Objective.of(metric) for metric in OBJECTIVES),
        limits=tuple(limits),
        model=KnownMetrics((space.costs, model)),
    )


def read_data(
    config: Config,
    reporter: Reporter | None = None,
    accept: Callable[[int, int, int], object] = lambda resolution, channels, num_classes: None,
) -> DataSet:
    """The data set that the configuration names; reading is a phase if it takes a while.

    Args:
        config: Names the data.
        reporter: Told how far reading is.
        accept: Given what is known of the images before they are decoded; may refuse them.
    """
    has_begun = False

    def progress(done: int, of: int, text: str) -> None:
        nonlocal has_begun
        if reporter is None:
            return
        if not has_begun:
            reporter.phase("data", f"reading '{config.data}'")
            has_begun = True
        reporter.advance(done, of, text)

    return load_data(
        config.data,
        resolution=config.resolution or None,
        data_dir=Path(config.data_dir) if config.data_dir else None,
        seed=config.seed,
        cache=Path(config.cache) if config.cache else None,
        progress=progress,
        accept=accept,
    )


def describe_data(data: DataSet) -> str:
    """What was read, in a sentence."""
    colours = "grey" if data.channels == 1 else "RGB"
    sizes = ", ".join(f"{len(getattr(data, split)):,} {split}" for split in SHOWN_SPLITS)
    return (
        f"data '{data.name}': {data.num_classes} classes, {colours} at {data.resolution} px, "
        f"{sizes} images{'; ' + data.note if data.note else ''}"
    )


def check_names(config: Config, *, is_trained: bool = False) -> None:
    """Refuse what is unknown or not installed, before data is read.

    Raises:
        UserError: Naming what is known.
    """
    check_precisions(config.precision)
    check_settings(config)
    METHODS.get(config.method)
    TARGETS.get(config.target)().describe()
    load_space(config.space, resolution=config.resolution or 32, channels=1, num_classes=2)
    weights = Path(config.supernet) / WEIGHTS
    if config.supernet and not is_trained and not weights.is_file():
        raise UserError(
            f"supernet '{config.supernet}' has no {WEIGHTS}. Name the directory of a run whose "
            "training is finished, or leave out --supernet to train one."
        )


def check_smallest_latency(config: Config, space: SearchSpace, limits: list[Limit]) -> None:
    """Refuse a latency limit that the smallest network misses, by timing it now.

    Raises:
        UserError: Naming the latency that was measured.
    """
    limit = next((limit for limit in limits if limit.metric == "latency_ms"), None)
    if limit is None:
        return
    timings = time_networks(
        space, smallest_networks(space), target=config.target, threads=config.timing_threads
    )
    smallest = min(timing.interval_ms[0] for timing in timings)
    if smallest > limit.max:
        raise UserError(
            f"budget '{limit.text}': the smallest network of space '{space.name}' takes "
            f"{smallest:.3g} ms on '{config.target}' here, measured just now. "
            f"Ask for more, such as {smallest * 1.5:.2g}ms, or for a lower --resolution."
        )


def smallest_networks(space: SearchSpace) -> list[tuple[int, ...]]:
    """The network of the fewest multiply-adds, uniformly in every offered precision."""
    assert space.costs is not None
    encoding = list(space.costs.minimum("macs")[1])
    columns = space.columns("precision")
    found = []
    for option in range(max(space.cardinalities[i] for i in columns)):
        for column in columns:
            encoding[column] = option
        found.append(space.canonical(encoding))
    return found


def profile(run: Run, config: Config, space: SearchSpace, reporter: Reporter) -> LatencyModel:
    """The latency model of the target, from recorded rows or from timing them now."""
    num_signatures, num_networks = profile_sizes(config)
    rng = np.random.default_rng([config.seed, 10])
    signatures = choose_signatures(space, num_signatures, rng)
    networks = choose_networks(space, num_networks, rng)
    path = run.folder("profile") / "rows.jsonl"
    reporter.phase("profile", f"timing {num_signatures} slots and {num_networks} networks")
    rows = measure_rows(
        space,
        signatures,
        networks,
        target=config.target,
        threads=config.timing_threads,
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


def keep_data_facts(run: Run, data: DataSet) -> None:
    """Record what identifies the images, or see that they are still the same.

    Raises:
        UserError: If they are others than those that the run began with.
    """
    facts = identity(data)
    changed = differences(run.decided("data.json", lambda: facts), facts)
    if changed:
        raise UserError(
            f"data '{data.name}' are not those that run '{run.path}' began with, which its "
            f"data.json describes: {'; '.join(changed):.300}. "
            "Begin a new run with --out, or restore the data."
        )


def keep_space_file(run: Run, config: Config) -> None:
    """Copy a user's space file into the run, or see that it is still the same.

    Raises:
        UserError: If it has changed since the run began.
    """
    if not is_space_file(config.space):
        return
    text, kept = Path(config.space).read_text(encoding="utf-8"), run.path / SPACE_FILE
    if not kept.exists():
        write_text(kept, text)
    elif kept.read_text(encoding="utf-8") != text:
        raise UserError(
            f"space file '{config.space}' is not the one that run '{run.path}' began with, which "
            f"is kept in its {SPACE_FILE}. Begin a new run with --out, or restore the file."
        )


def run_space(
    run: Run,
    space: SearchSpace,
    limits: list[Limit],
    model: LatencyModel,
    reporter: Reporter,
) -> SearchSpace:
    """The recorded space: without options that fit no network within the limits."""
    if not (run.path / "space.json").exists():
        trimmed, dropped = trim(space, limits, model)
        if dropped:
            text = "; ".join(f"{name} {options}" for name, options in dropped.items())
            run.event("plan", "message", text=f"trimmed, because no network within budget: {text}")
        write_json(run.path / "space.json", trimmed.to_json())
    recorded = read_space(run.path)
    fewer = len(space.choices) - len(recorded.choices)
    options = sum(space.cardinalities) - sum(recorded.cardinalities)
    if options:
        reporter.note(
            f"trimmed {options} options (and with them {fewer} choices) that fit no network within "
            "the budget; space.json has the rest"
        )
    return recorded


def trim(
    space: SearchSpace, limits: list[Limit], model: LatencyModel
) -> tuple[SearchSpace, dict[str, list[Any]]]:
    """The space without options that fit no network within the limits, and what was dropped."""
    assert space.costs is not None
    keep: dict[str, list[Any]] = {}
    dropped: dict[str, list[Any]] = {}
    for column, choice in enumerate(space.choices):
        fits = [_fits(space, column, i, limits, model) for i in range(len(choice.options))]
        if not all(fits):
            keep[choice.name] = _selected(choice, fits, True)
            dropped[choice.name] = _selected(choice, fits, False)
    return (space.restricted(keep) if keep else space), dropped


def limit_rows(
    limits: list[Limit], space: SearchSpace, known: KnownMetrics, seed: int
) -> list[dict[str, Any]]:
    """What plan.json records of the limits: whether each binds and what it leaves of the space.

    Shares are of uniformly sampled candidates. Latency is predicted here; its limit holds for
    measured files all the same.
    """
    assert space.costs is not None
    sample = space.sample(np.random.default_rng([seed, 11]), SHARE_SAMPLES)
    rows = []
    for limit in limits:
        values_N = known.of(limit.metric, sample)
        largest = float(values_N.max())
        if limit.metric in space.costs.metrics:
            largest = space.costs.maximum(limit.metric)[0]
        rows.append(
            {
                "text": limit.text,
                "metric": limit.metric,
                "max": limit.max,
                "largest": largest,
                "binds": largest > limit.max,
                "share": float((values_N <= limit.max).mean()),
            }
        )
    return rows


def announce(document: Mapping[str, Any], reporter: Reporter) -> None:
    """Say what the plan is and which limits bind."""
    for row in document["limits"]:
        largest = format_value(row["metric"], row["largest"])
        if row["binds"]:
            reporter.note(f"budget {row['text']} binds: {row['share']:.1%} of the space is within")
        else:
            reporter.note(f"budget {row['text']} does not bind: the largest network has {largest}")
    reporter.note(
        f"plan: {document['steps']} training steps of {document['batch_size']} images "
        f"({document['precision']}{', channels last' if document['channels_last'] else ''})"
    )


def _fitted(config: Config, space: SearchSpace, rows: list[Row]) -> dict[str, Any]:
    model, error = fit(space, rows)
    whole = [row for row in rows if row.encoding is not None]
    predicted = model.of("latency_ms", np.array([row.encoding for row in whole]))
    return {
        "schema": 1,
        "target": config.target,
        "threads": config.timing_threads,
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


def _fits(
    space: SearchSpace, column: int, option: int, limits: list[Limit], model: LatencyModel
) -> bool:
    """Whether some network with this option is within every limit, each taken alone."""
    for limit in limits:
        assert space.costs is not None
        if limit.metric in space.costs.metrics:
            smallest = space.costs.minimum(limit.metric, {column: option})[0]
            if smallest > limit.max:
                return False
        elif limit.metric == "latency_ms":
            encoding = space.costs.minimum("macs", {column: option})[1]
            if model.of("latency_ms", np.array([encoding]))[0] > TRIM_SLACK * limit.max:
                return False
    return True


def _selected(choice: Choice, fits: list[bool], wanted: bool) -> list[Any]:
    return [o for o, fit_ in zip(choice.options, fits, strict=True) if fit_ is wanted]
