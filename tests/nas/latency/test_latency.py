"""The latency model: what is timed covers the space, the fit finds what made the numbers."""

import dataclasses
import itertools
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from nas.latency import (
    LatencyModel,
    Row,
    at_one_speed,
    choose_networks,
    choose_signatures,
    error_of,
    fit,
    measure,
    networks_of,
    unseen,
)
from nas.latency._corrections import LIKE, Correction, corrected
from nas.latency._error import FOLDS
from nas.latency._features import coordinates
from nas.latency._fit import by_fit, said
from nas.latency._model import Coefficients
from nas.latency._rows import OVERHEAD, kind_of
from nas.latency._slopes import fit_slopes
from nas.targets import Artefact, Timer
from nas.targets import measure as measure_on
from search_spaces import (
    CandidateError,
    SearchSpace,
    Slot,
    load_plugins,
    load_space,
    signature_cost,
    slot_cost,
)

TARGET = "onnxruntime"
OVERHEAD_MS = 0.02
SPEED = {"fp32": 2.0, "int8": 5.0}
"""Billions of multiply-adds per second of the imagined machine."""


def true_slot_ms(slot: Slot) -> float:
    """What a slot costs on the imagined machine, which is additive."""
    signature = slot.signature
    return signature_cost(signature).macs / SPEED[signature.precision] / 1e6


def true_ms(space: SearchSpace, encoding: Sequence[int]) -> float:
    return OVERHEAD_MS + sum(true_slot_ms(slot) for slot in space.slots(encoding))


def imagined_rows(space: SearchSpace, num_networks: int = 24) -> list[Row]:
    rng = np.random.default_rng(0)
    pool_NC = space.sample(rng, 1000)
    slots = choose_signatures(space, pool_NC, 80, rng)
    rows = [Row(OVERHEAD, None, None, OVERHEAD_MS, 1.0)]
    for number, slot in enumerate(slots):
        latency_ms = OVERHEAD_MS + true_slot_ms(slot)
        rows.append(Row(f"signature {number}", slot, None, latency_ms, 1.0))
    for number, encoding in enumerate(choose_networks(space, pool_NC, num_networks, rng)):
        name, latency_ms = f"network {number}", true_ms(space, encoding)
        rows.append(Row(name, None, encoding, latency_ms, 1.0))
    return rows


def test_rows_timed_while_the_machine_was_slow_are_scaled_by_the_anchor() -> None:
    quiet = Row("network 0", None, (0,), 2.0, 1.0)
    slow = Row("network 1", None, (1,), 6.0, 3.0)
    assert [row.latency_ms for row in at_one_speed([quiet, slow])] == [4.0, 4.0]


@pytest.fixture(scope="module")
def rows(mini: SearchSpace) -> list[Row]:
    return imagined_rows(mini)


@pytest.fixture(scope="module")
def pool_NC(mini: SearchSpace) -> np.ndarray:
    return mini.sample(np.random.default_rng(0), 1000)


def test_signatures_cover_every_kind_before_one_comes_twice(
    mini: SearchSpace, pool_NC: np.ndarray
) -> None:
    assert mini.tables is not None
    possible = {kind_of(signature) for signature in mini.tables.signatures if signature is not None}
    for seed in range(5):
        rng = np.random.default_rng(seed)
        chosen = choose_signatures(mini, pool_NC, len(possible), rng)
        assert {kind_of(slot.signature) for slot in chosen} == possible


def test_signatures_do_not_exceed_what_the_space_has(
    mini: SearchSpace, pool_NC: np.ndarray
) -> None:
    chosen = choose_signatures(mini, pool_NC, 10**6, np.random.default_rng(0))
    assert len(chosen) == len(set(chosen)) < 10**6


def test_networks_are_uniform_and_mixed_and_span_the_space(
    mini: SearchSpace, pool_NC: np.ndarray
) -> None:
    chosen = choose_networks(mini, pool_NC, 30, np.random.default_rng(0))
    assert all(mini.canonical(encoding) == encoding for encoding in chosen)
    columns = [i for i, choice in enumerate(mini.choices) if choice.name.endswith(".precision")]
    formats = [tuple(encoding[column] for column in columns) for encoding in chosen]
    kinds = [set(of_network) for of_network in formats]
    assert sum(kind == {0} for kind in kinds) >= 10
    assert sum(kind == {1} for kind in kinds) >= 10
    assert sum(len(kind) == 2 for kind in kinds) >= 1
    assert mini.costs is not None
    macs = mini.costs.of("macs", np.array(chosen))
    sampled = mini.costs.of("macs", mini.sample(np.random.default_rng(1), 1000))
    assert macs.min() <= np.quantile(sampled, 0.02)
    assert macs.max() >= np.quantile(sampled, 0.98)


def test_what_is_timed_depends_on_the_seed_only(mini: SearchSpace, pool_NC: np.ndarray) -> None:
    one, same, other = (
        (choose_signatures(mini, pool_NC, 20, rng), choose_networks(mini, pool_NC, 6, rng))
        for rng in map(np.random.default_rng, (5, 5, 6))
    )
    assert one == same
    assert one != other


def test_the_fit_recovers_an_additive_machine(mini: SearchSpace, rows: list[Row]) -> None:
    model, unseen_N = fit(mini, rows, TARGET)
    error = error_of(unseen_N, networks_of(rows))
    assert error.networks == 24
    assert error.mape < 0.08
    assert error.kendall_tau > 0.9
    unseen = mini.sample(np.random.default_rng(7), 200)
    true_N = np.array([true_ms(mini, encoding.tolist()) for encoding in unseen])
    ratio_N = model.of("latency_ms", unseen) / true_N
    assert np.abs(ratio_N - 1).mean() < 0.05


def test_joining_maps_takes_time(plugins: Path) -> None:
    load_plugins([plugins / "streams.py"])
    space = load_space("streams", resolution=16, channels=1, num_classes=10)
    space = space.with_policy(("fp32",), (0.0,))
    assert space.tables is not None
    kinds = {kind_of(signature) for signature in space.tables.signatures if signature is not None}
    coefficients = Coefficients(
        slopes=dict.fromkeys(kinds, (1.0, 0.0, 0.0, 0.0, 0.0)),  # a millisecond per kernel
        mixed_slopes=(0.0,) * 5,
        change_ms=0.0,
        overhead_ms=0.0,
    )
    model = LatencyModel(space, TARGET, coefficients)
    rows_NC = space.sample(np.random.default_rng(0), 4)
    calls = [sum(slot_cost(slot).calls for slot in space.slots(row)) for row in rows_NC.tolist()]
    assert model.of("latency_ms", rows_NC).tolist() == calls
    assert all(
        calls[i] == 3 + sum(signature_cost(slot.signature).calls for slot in space.slots(row))
        for i, row in enumerate(rows_NC.tolist())
    )


def test_no_network_is_predicted_to_be_faster_than_the_least_of_its_options(
    mini: SearchSpace, rows: list[Row]
) -> None:
    model, _ = fit(mini, rows, TARGET)
    rows_NC = mini.sample(np.random.default_rng(5), 2000)
    predicted_N = model.of("latency_ms", rows_NC)
    for column, number in enumerate(mini.cardinalities):
        for option in range(number):
            fastest = predicted_N[rows_NC[:, column] == option].min()
            assert model.least({column: option}) <= fastest + 1e-9
    same = dict.fromkeys(mini.columns("precision"), 0)
    uniform_NC = rows_NC.copy()
    uniform_NC[:, list(same)] = 0
    least = model.least(same)
    assert least <= model.of("latency_ms", uniform_NC).min() < 1.5 * least
    assert least > max(model.least({}), OVERHEAD_MS) - 1e-9


def test_a_network_that_cannot_be_exported_has_no_latency(
    mini: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    really = measure.export_random

    def export(slots: Sequence[Slot], file: Path, artefact: Artefact) -> None:
        asked.append(slots)
        if len(asked) == 1:
            raise CandidateError("no such operator")
        really(slots, file, artefact)

    monkeypatch.setattr(measure, "export_random", export)
    networks = [mini.slots((0,) * len(mini.choices))] * 2
    found = measure.time_networks(networks, Timer(partial(measure_on, TARGET)))
    assert len(asked) == 2
    assert found[0] is None
    assert found[1] is not None


def test_slots_without_weights_are_timed_in_every_format(tmp_path: Path) -> None:
    names, formats = ("avgpool", "maxpool"), ("fp32", "int8")
    space = load_space("cells", resolution=16, channels=1, num_classes=10)
    space = space.with_policy(formats, (0.0,))
    rng = np.random.default_rng(0)
    slots = {
        (slot.signature.operator, slot.signature.precision): slot
        for slot in choose_signatures(space, space.sample(rng, 200), 60, rng)
        if slot.signature.operator in names
    }
    assert slots.keys() == set(itertools.product(names, formats))
    for slot in slots.values():
        file = tmp_path / f"{slot.signature.operator}-{slot.signature.precision}.onnx"
        measure.export_random((slot,), file)
        assert file.is_file()


def test_predictions_are_those_of_the_canonical_form(mini: SearchSpace, rows: list[Row]) -> None:
    model, _ = fit(mini, rows, TARGET)
    raw_NC = mini.sample(np.random.default_rng(3), 100)
    predicted_N = model.of("latency_ms", raw_NC)
    np.testing.assert_allclose(predicted_N, model.of("latency_ms", mini.canonical_many(raw_NC)))


def test_networks_are_predicted_by_fits_that_have_not_seen_them(
    mini: SearchSpace, rows: list[Row]
) -> None:
    _, unseen_N = fit(mini, rows, TARGET)
    whole = networks_of(rows)
    one_fold = {row.name for row in whole[1::FOLDS]}
    spoilt = [
        dataclasses.replace(row, latency_ms=2 * row.latency_ms) if row.name in one_fold else row
        for row in rows
    ]
    _, spoilt_N = fit(mini, spoilt, TARGET)
    np.testing.assert_array_equal(spoilt_N[1::FOLDS], unseen_N[1::FOLDS])
    assert np.mean(spoilt_N[0::FOLDS] / unseen_N[0::FOLDS]) > 1.05
    assert error_of(spoilt_N, networks_of(spoilt)).mape > 0.2


def test_every_network_is_held_out_once(rows: list[Row]) -> None:
    seen: list[str] = []

    def predicts(fitted: Sequence[Row], networks: Sequence[Row]) -> np.ndarray:
        assert len(fitted) + len(networks) == len(rows)
        seen.extend(row.name for row in networks)
        return np.array([row.latency_ms for row in networks])

    measured = [row.latency_ms for row in networks_of(rows)]
    assert unseen(rows, predicts).tolist() == measured
    assert sorted(seen) == sorted(row.name for row in networks_of(rows))


def test_what_slopes_miss_is_learned_from_slots_like_it(mini: SearchSpace) -> None:
    """On a machine that takes half as long again for maps with few channels."""

    def narrow(slot: Slot) -> float:
        return 1.5 if slot.signature.shape.width < 16 else 1.0

    def slower(row: Row) -> Row:
        slots = row.slots(mini)
        ms = OVERHEAD_MS + sum(true_slot_ms(slot) * narrow(slot) for slot in slots)
        return dataclasses.replace(row, latency_ms=ms) if slots else row

    timed = [slower(row) for row in imagined_rows(mini, num_networks=60)]
    fitted, held = timed[:-20], [row for row in timed[-20:] if row.encoding]
    plain = error_of(said(mini, TARGET, fit_slopes(mini, fitted, TARGET), held), held)
    assert error_of(by_fit(mini, TARGET, fitted, held), held).mape < 0.75 * plain.mape


def test_slots_unlike_all_that_were_timed_are_left_to_the_slopes(mini: SearchSpace) -> None:
    assert mini.tables is not None
    slot = next(slot for slot in mini.tables.filled if slot is not None)
    kind, place = kind_of(slot.signature), coordinates(slot)
    far = [value + 100.0 for value in place]
    (near_ms,) = corrected([slot], np.ones(1), {kind: correction(place)})
    (far_ms,) = corrected([slot], np.ones(1), {kind: correction(far)})
    (other_ms,) = corrected([slot], np.ones(1), {f"not {kind}": correction(place)})
    assert near_ms == pytest.approx(1 + LIKE)
    assert far_ms == other_ms == 1.0


def correction(place: list[float]) -> Correction:
    """A slot at this place took more than its slopes say."""
    return Correction(places=[place], weights=[LIKE], factor=0.0, per_taken=0.0, per_handed=0.0)


def test_mixed_precision_may_cost_more_than_its_slots(mini: SearchSpace, rows: list[Row]) -> None:
    columns = [i for i, choice in enumerate(mini.choices) if choice.name.endswith(".precision")]
    change_ms = 0.05

    def slower(row: Row) -> Row:
        if row.encoding is None:
            return row
        formats = [row.encoding[column] for column in columns]
        changes = sum(a != b for a, b in itertools.pairwise(formats))
        return dataclasses.replace(row, latency_ms=row.latency_ms + change_ms * changes)

    model, _ = fit(mini, [slower(row) for row in imagined_rows(mini, num_networks=60)], TARGET)
    plain, _ = fit(mini, imagined_rows(mini, num_networks=60), TARGET)
    assert model.coefficients.change_ms > plain.coefficients.change_ms + change_ms / 4


def test_a_model_survives_json(mini: SearchSpace, rows: list[Row]) -> None:
    model, _ = fit(mini, rows, TARGET)
    again = LatencyModel.from_json(json.loads(json.dumps(model.to_json())), mini)
    encodings_NC = mini.sample(np.random.default_rng(0), 50)
    found_N = again.of("latency_ms", encodings_NC)
    np.testing.assert_array_equal(found_N, model.of("latency_ms", encodings_NC))


def test_rows_survive_json(rows: list[Row]) -> None:
    assert [Row.from_json(json.loads(json.dumps(row.to_json()))) for row in rows] == rows
