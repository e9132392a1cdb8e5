"""Latency profiles of spaces: made, interrupted, continued, and used or refused by searches."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from nas.latency import Coverage, LatencyModel, Row
from nas.prepare import given_profile as given
from nas.prepare.profile import profile as prepare_profile
from nas.profiling import space as profiling
from nas.profiling.macs import count_macs
from nas.profiling.space import Request, profile_space, said_of_profile
from nas.run.config import Config
from nas.run.directory import Run
from nas.system.files import read_json, read_lines, write_json
from nas.system.reporter import Silent
from nas.targets import Timing, choose
from nas.targets._timing import summarise
from search_spaces import SearchSpace, UserError, load_space

ASKED = Request(space="toy", resolution=16, channels=1, seconds=20.0)
CALL_MS = 0.01


def timing(ms: float) -> Timing:
    rows = [{"median_ms": ms * factor, "iqr_ms": 0.0, "runs": 1} for factor in (1.0, 1.01, 0.99)]
    return summarise(rows, threads=1, batch=1, runtime="imagined", version="1")


def imagined(target: str, files: Sequence[Path], **options: Any) -> list[Timing]:
    """A machine on which a call takes a moment and a million multiply-adds one millisecond."""
    return [timing(CALL_MS + count_macs(onnx.load(file)) / 1e6) for file in files]


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    found = load_space("toy", resolution=16, channels=1, num_classes=10)
    return found.with_policy(Config.precision, Config.sparsity)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished profile that was interrupted once; read only."""
    out = tmp_path_factory.mktemp("profiles") / "toy"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nas.executors._base.measure", imagined)
        patch.setattr("nas.latency.measure.FILES_PER_BATCH", 8)
        with pytest.raises(KeyboardInterrupt):
            profile_space(ASKED, out, Interrupting())
        begun = read_lines(out / given.ROWS, Row.from_json)
        assert 0 < len(begun) < 24
        profile_space(ASKED, out, Silent())
        assert read_lines(out / given.ROWS, Row.from_json)[: len(begun)] == begun
    return out


class Interrupting:
    """A reporter during which someone presses Ctrl-C, after some files."""

    def phase(self, name: str, text: str) -> None:
        """Says nothing."""

    def note(self, text: str) -> None:
        """Says nothing."""

    def advance(self, done: int, of: int, text: str = "") -> None:
        """Ends the profile."""
        if done:
            raise KeyboardInterrupt


class Listening:
    """A reporter that keeps what is said."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def phase(self, name: str, text: str) -> None:
        """Keeps it."""
        self.notes.append(text)

    def note(self, text: str) -> None:
        """Keeps it."""
        self.notes.append(text)

    def advance(self, done: int, of: int, text: str = "") -> None:
        """Says nothing."""


@pytest.fixture
def own(made: Path, tmp_path: Path) -> Path:
    """A copy, to be changed."""
    (out := tmp_path / "profile").mkdir()
    for file in made.iterdir():
        (out / file.name).write_bytes(file.read_bytes())
    return out


def search_of(folder: Path, **settings: Any) -> Config:
    return Config(**{"space": "toy", "resolution": 16, "profile": str(folder), **settings})


def test_a_profile_knows_its_error_and_that_of_multiply_adds(
    made: Path, space: SearchSpace
) -> None:
    document = read_json(made / given.DOCUMENT)
    model = LatencyModel.from_json(document, space)
    predicted_N = model.of("latency_ms", space.sample(np.random.default_rng(0), 20))
    assert (predicted_N > 0).all()
    # Multiply-adds are all there is to know of the imagined machine.
    assert document["macs_alone"]["mape"] < 0.02
    assert document["macs_alone"]["within_5"] == 1.0
    assert 0.0 <= document["held_out"]["within_5"] <= document["held_out"]["within_10"] <= 1.0
    ours, macs = said_of_profile(document)
    assert ours.startswith(f"on {document['held_out']['networks']} networks")
    assert "within 5 % 100%" in macs


def test_slots_and_networks_take_turns(made: Path) -> None:
    names = [row.name.split()[0] for row in read_lines(made / given.ROWS, Row.from_json)]
    assert names[0] == "overhead"
    assert {"signature", "network"} <= set(names[1:8])


def test_a_finished_profile_is_not_measured_again(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiling, "measure_rows", None)
    assert profile_space(ASKED, made, Silent()) == read_json(made / given.DOCUMENT)
    with pytest.raises(UserError, match="begun for something else: channels 1 -> 3"):
        profile_space(dataclasses.replace(ASKED, channels=3), made, Silent())


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"")
    with pytest.raises(UserError, match="has other files and no asked.json, so no profile of"):
        profile_space(ASKED, tmp_path, Silent())
    assert [file.name for file in tmp_path.iterdir()] == ["photo.jpg"]


def test_more_time_means_more_files_up_to_a_bound() -> None:
    short, usual, long = (dataclasses.replace(ASKED, seconds=s).sizes() for s in (1.0, 120.0, 1e5))
    assert short == (profiling.LEAST_SLOTS, profiling.LEAST_NETWORKS)
    assert short < usual < long == (profiling.MOST_SLOTS, profiling.MOST_NETWORKS)


def test_a_search_uses_it_and_times_nothing(made: Path, space: SearchSpace, tmp_path: Path) -> None:
    config, heard = search_of(made), Listening()
    run = Run.open(tmp_path / "run", config)

    def no_timer(*files: Any, **options: Any) -> Any:
        raise AssertionError("something is timed")

    model = prepare_profile(run, config, space, [], no_timer, heard)  # type: ignore[arg-type]
    rows_NC = space.sample(np.random.default_rng(1), 10)
    document = read_json(made / given.DOCUMENT)
    wanted = LatencyModel.from_json(document, space).of("latency_ms", rows_NC)
    np.testing.assert_array_equal(model.of("latency_ms", rows_NC), wanted)
    assert heard.notes[0] == f"latency profile '{made}' is used: nothing is timed for one here"
    assert heard.notes[-1].startswith("latency profile: mean error")
    assert read_json(run.path / "profile/profile.json")["rows"] == document["rows"]


def test_a_search_says_which_slots_are_larger_than_what_was_timed(
    made: Path, tmp_path: Path
) -> None:
    wide = load_space("toy", resolution=16, channels=1, num_classes=5000)
    wide = wide.with_policy(Config.precision, Config.sparsity)
    document = given.given_profile(search_of(made), wide)
    notes = given.said_of_given(document)
    assert "slots are over twice as large as those of their kind that were timed ('head" in notes[1]
    assert "extrapolated" in notes[1]


def edited(folder: Path, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
    document = read_json(folder / name)
    change(document)
    write_json(folder / name, document)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (given.ASKED, lambda d: d["place"].update(cpu="Other"), "cpu 'Other' ->"),
        (given.ASKED, lambda d: d["place"].update(threads=2), "threads 2 -> 1"),
        (given.ASKED, lambda d: d["place"].update(version="0.1"), "version '0.1' ->"),
        (given.ASKED, lambda d: d.update(schema=2), "schema 2, this version reads 1"),
        (given.DOCUMENT, lambda d: d["largest"].pop("stem fp32"), "never timed 'stem fp32'"),
        (given.DOCUMENT, lambda d: d.pop("largest"), "'largest' is missing"),
    ],
)
def test_a_stale_or_foreign_profile_is_refused_with_the_reason(
    name: str, change: Any, message: str, own: Path, space: SearchSpace
) -> None:
    edited(own, name, change)
    with pytest.raises(UserError) as raised:
        given.given_profile(search_of(own), space)
    assert message in str(raised.value)
    assert str(own) in str(raised.value)
    assert ("is damaged" in str(raised.value)) == message.endswith("is missing")


def test_a_profile_serves_searches_that_time_with_the_same_options_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.executors._base.measure", imagined)
    asked = dataclasses.replace(
        ASKED, target="onnxruntime:batch=8", resolution="16x24", seconds=1.0
    )
    profile_space(asked, tmp_path / "profile", Silent())
    space = load_space("toy", resolution="16x24", channels=1, num_classes=10)
    space = space.with_policy(Config.precision, Config.sparsity)
    config = search_of(tmp_path / "profile", target="onnxruntime:batch=8", resolution="16x24")
    assert given.given_profile(config, space)["target"] == "onnxruntime:batch=8"
    for target, message in (
        ("onnxruntime", "batch 8 -> 1"),
        ("onnxruntime:threads=2,batch=8", "threads 1 -> 2"),
    ):
        again = f"{message}.* --target {target} --resolution 16x24 --precision fp32,int8`"
        with pytest.raises(UserError, match=again):
            given.given_profile(dataclasses.replace(config, target=target), space)


def test_a_place_is_one_of_all_options() -> None:
    plain = choose("onnxruntime")
    places = [
        dataclasses.replace(plain, **options).place()
        for options in ({}, {"threads": 2}, {"batch": 2}, {"own": {"clock": 2}})
    ]
    assert all(a != b for a, b in itertools.combinations(places, 2))


def test_threads_of_the_configuration_are_those_of_the_target(
    own: Path, space: SearchSpace
) -> None:
    edited(own, given.ASKED, lambda d: d["place"].update(threads=2))
    assert given.given_profile(search_of(own, timing_threads=2), space)["given"]


def test_a_profile_that_is_none_or_not_finished_is_refused(own: Path, space: SearchSpace) -> None:
    (own / given.DOCUMENT).unlink()
    with pytest.raises(UserError, match="is not finished"):
        given.given_profile(search_of(own), space)
    with pytest.raises(UserError, match="not a latency profile"):
        given.given_profile(search_of(own.parent), space)


def test_formats_that_were_not_timed_are_missing(made: Path) -> None:
    other = load_space("toy", resolution=16, channels=1, num_classes=10)
    other = other.with_policy(("fp32", "int8w"), (0.0,))
    covered = Coverage.of(other, read_json(made / given.DOCUMENT)["largest"])
    assert covered.missing
    assert all(kind.endswith("int8w") for kind in covered.missing)
