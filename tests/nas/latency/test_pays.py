"""Which options of compression gain anything, on an imagined target."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from nas.latency import pays
from search_spaces import SearchSpace, load_space

Speeds = Mapping[str, float]
"""By option how long a stage takes, of what it takes without."""


class Imagined:
    """Every stage takes 1 ms and 100 bytes, times factors of its options."""

    def __init__(self, space: SearchSpace, ms: Speeds, size: Speeds) -> None:
        self.space, self.factors = space, {"latency_ms": ms, "size_bytes": size}

    def of(self, metric: str, encodings_NC: np.ndarray) -> np.ndarray:
        columns = self.space.columns("precision")
        options = [[str(o) for o in self.space.choices[c].options] for c in columns]
        of_stage_CK = [[self.factors[metric].get(o, 1.0) for o in of] for of in options]
        parts = [np.array(k)[encodings_NC[:, c]] for c, k in zip(columns, of_stage_CK, strict=True)]
        return np.sum(parts, axis=0)


Tried = Callable[[Speeds, Speeds], dict]  # type: ignore[type-arg]


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    toy = load_space("toy", resolution=16, channels=1, num_classes=10)
    return toy.with_policy(("fp32", "int8", "int8w"), (0.0, 0.5), patterns=("dense", "two-of-four"))


@pytest.fixture
def tried(space: SearchSpace) -> Tried:
    rows_NC = space.sample(np.random.default_rng(0), 20)

    def run(ms: Speeds, size: Speeds) -> dict:  # type: ignore[type-arg]
        known = Imagined(space, ms, size)
        return pays.with_words(pays.tried(space, known, rows_NC, ["latency_ms", "size_bytes"]))

    return run


def found(document: dict, option: str) -> dict:  # type: ignore[type-arg]
    (row,) = (row for row in document["options"] if row["option"] == option)
    return row


def test_what_is_neither_faster_nor_smaller_is_not_offered(
    space: SearchSpace, tried: Tried
) -> None:
    document = tried({"int8": 0.5, "int8w": 1.2}, {"int8": 1.0, "int8w": 0.9999})
    assert found(document, "int8")["ratios"]["latency_ms"] == [0.5, 0.5, 0.5]
    assert found(document, "int8")["dropped"] == []
    assert found(document, "int8w")["offered"] == []
    assert found(document, "two-of-four")["offered"] == []  # here nothing depends on it
    left = pays.paying(space, document)
    assert left.precisions == ("fp32", "int8")
    assert left.patterns == ("dense",)
    (line,) = (line for line in pays.said_of(document, "imagined") if "int8w" in line)
    assert line.endswith("not offered: it makes no network faster or smaller")


def test_what_is_slower_but_smaller_is_offered(space: SearchSpace, tried: Tried) -> None:
    document = tried({"int8": 1.5, "int8w": 1.5}, {"int8": 0.3, "int8w": 0.9})
    assert pays.paying(space, document).precisions == ("fp32", "int8", "int8w")


def test_an_option_is_judged_in_each_stage(space: SearchSpace) -> None:
    stage = space.columns("precision")[-1]

    class LastAlone:
        def of(self, metric: str, encodings_NC: np.ndarray) -> np.ndarray:
            return np.where(encodings_NC[:, stage] == 1, 0.8, 1.0)

    rows_NC = space.sample(np.random.default_rng(0), 20)
    document = pays.tried(space, LastAlone(), rows_NC, ["latency_ms"])
    name = space.choices[stage].name
    assert found(document, "int8")["offered"] == [name]
    left = pays.paying(space, document)
    assert "int8" in left.choice(name).options
    assert all("int8" not in left.choices[c].options for c in left.columns("precision")[:-1])


def test_a_gain_among_neighbours_that_have_it_is_a_gain(space: SearchSpace) -> None:
    columns = space.columns("precision")

    class Together:
        """int8 gains in no stage alone: only a network without any other format is faster."""

        def of(self, metric: str, encodings_NC: np.ndarray) -> np.ndarray:
            is_whole_N = (encodings_NC[:, columns] == 1).all(axis=1)
            return np.where(is_whole_N, 0.5, 1.0 + (encodings_NC[:, columns] == 1).sum(axis=1))

    rows_NC = space.sample(np.random.default_rng(0), 20)
    document = pays.tried(space, Together(), rows_NC, ["latency_ms"])
    assert found(document, "int8")["dropped"] == []


def test_nothing_is_dropped_where_another_target_may_gain(space: SearchSpace) -> None:
    rows_NC = space.sample(np.random.default_rng(0), 5)
    document = pays.tried(space, Imagined(space, {}, {}), rows_NC, ["latency_ms"], drops=False)
    assert pays.paying(space, document) == space


def test_what_no_network_has_was_not_tried_and_stays(space: SearchSpace, tried: Tried) -> None:
    # A part of the space may have lost the option already, or the choice.
    part = space.restricted({space.choices[c].name: ["fp32"] for c in space.columns("precision")})
    assert pays.paying(part, tried({}, {})).precisions == ("fp32",)


def test_the_error_of_mixed_networks_stands_beside_that_of_one_format() -> None:
    rows = [
        {"precision": "mixed", "measured_ms": 1.0, "predicted_ms": 1.2},
        {"precision": "int8", "measured_ms": 1.0, "predicted_ms": 0.9},
    ]
    assert pays.mixed_error({"rows": rows[:1]}) == {}
    found = pays.mixed_error({"rows": rows})
    assert found == {
        "mixed": {"networks": 1, "mape": 0.2},
        "uniform": {"networks": 1, "mape": 0.1},
    }
    said = pays.with_words({"options": [], **found})["said"]
    assert said[0]["found"].startswith("predicted with a mean error of 20.0% (1 network)")
