"""A target that times files itself, takes checkpoints, and pays for something of its own."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import ClassVar, final

import numpy as np
import pytest

import nas
from nas.executors import make_timer
from nas.latency import (
    LatencyModel,
    Row,
    choose_networks,
    choose_signatures,
    error_of,
    fit,
    networks_of,
)
from nas.latency.measure import measure_rows
from nas.run.config import Config
from nas.targets import TARGETS, AbstractDevice, Timing
from nas.targets._timing import summarise
from nas.testing.targets import CHECKS
from search_spaces import CandidateError, SearchSpace, UserError, load_space

CACHE = 4000
"""Parameters that fit."""


def beyond_the_cache(space: SearchSpace, encodings_NC: np.ndarray) -> np.ndarray:
    """Thousands of parameters."""
    assert space.costs is not None
    return np.maximum(space.costs.of("params", encodings_NC) - CACHE, 0) / 1e3


@final
class Board(AbstractDevice):
    """An imagined board: 1 ms and 2 ms for every thousand parameters beyond the cache."""

    artefact: ClassVar = ".safetensors"
    kernels: ClassVar = frozenset({"float32"})
    context_terms: ClassVar = {"weights beyond the cache": beyond_the_cache}

    def time(
        self,
        files: Sequence[Path],
        *,
        threads: int,
        processes: int,
        spares: int = 0,
        budget_s: float | None = None,
    ) -> list[Timing | CandidateError]:
        return [self._timed(file, threads, processes) for file in files]

    def _timed(self, file: Path, threads: int, processes: int) -> Timing | CandidateError:
        try:
            network = nas.load(file)
        except UserError as error:
            return CandidateError(str(error))
        num_params = sum(p.numel() for p in network.parameters())
        median_ms = 1.0 + 2.0 * max(num_params - CACHE, 0) / 1e3
        rows = [{"median_ms": median_ms, "iqr_ms": 0.0, "runs": 1}] * processes
        return summarise(rows, threads=threads, batch=1, runtime="board", version="1")

    def describe(self) -> dict[str, str]:
        return {"runtime": "board", "version": "1"}

    def integer_kernels(self, file: Path) -> int:
        return 0


@pytest.fixture(autouse=True)
def board(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TARGETS._classes, "board", Board)


@pytest.mark.parametrize("check", CHECKS, ids=attrgetter("__name__"))
def test_it_keeps_the_contract_of_targets(check: Callable[[str], None]) -> None:
    check("board")


def test_a_profile_is_measured_by_the_device_and_learns_what_it_pays_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nas.targets._timing.run_process", None)  # no process is started
    toy = load_space("toy", resolution=16, channels=1, num_classes=10)
    space = toy.with_policy(("fp32",), (0.0, 0.5))
    rng = np.random.default_rng(0)
    pool_NC = space.sample(rng, 100)
    recorded: list[Row] = []
    rows = measure_rows(
        space,
        choose_signatures(space, pool_NC, 4, rng),
        choose_networks(space, pool_NC, 24, rng),
        timer=make_timer(Config(target="board")),
        known=(),
        record=recorded.append,
    )
    assert rows == recorded
    assert {row.name.split()[0] for row in rows} == {"signature", "network"}
    model, unseen_N = fit(space, rows, "board")
    assert model.coefficients.context_ms["weights beyond the cache"] > 0.5
    assert error_of(unseen_N, networks_of(rows)).kendall_tau > 0.8
    again = LatencyModel.from_json(model.to_json(), space)
    np.testing.assert_array_equal(again.of("latency_ms", pool_NC), model.of("latency_ms", pool_NC))
