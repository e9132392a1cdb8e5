"""A finished run is measured again: efficiency on its own target, latency on others."""

from pathlib import Path

import pytest

from nas.cli import codes
from nas.front.card import read_card
from nas.profiling import run as profiling
from nas.profiling.run import EFFICIENCY, PORTABILITY, profile_run
from nas.run.directory import read_front
from nas.system.files import make_folder, read_json, write_json
from nas.system.reporter import Silent
from reports import front_table, load_run
from search_spaces import UserError
from tests.nas.latency.test_peaks import PEAKS
from tests.nas.profiling.test_compare import nas

OTHER = "onnxruntime:batch=8"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One process per target."""
    monkeypatch.setattr(profiling, "TIMING_PROCESSES", 1)
    monkeypatch.setattr(profiling, "SPARE_PROCESSES", 0)
    monkeypatch.setattr(profiling, "KERNELS_S", 0.02)


@pytest.mark.usefixtures("quick")
def test_front_and_references_are_measured_again_here_and_elsewhere(
    own_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cards = {p: read_card(p) for p in own_run.glob("*/*/card.json")}
    assert nas("profile", str(own_run), "--target", OTHER) == codes.OK
    printed = capsys.readouterr().out
    assert {p: read_card(p) for p in own_run.glob("*/*/card.json")} == cards
    front = read_front(own_run)
    keys = {*front["members"], *(row["key"] for row in front["references"])}
    efficiency, portability = read_json(own_run / EFFICIENCY), read_json(own_run / PORTABILITY)
    assert {row["key"] for row in efficiency["files"]} == keys
    for row in efficiency["files"]:
        assert 0 < row["ideal_ms"] < min(row["fused_ms"], row["predicted_ms"])
        assert row["efficiency"] == row["ideal_ms"] / row["latency"]["median_ms"]
        assert row["classes"]
    assert set(portability["targets"]) == {"onnxruntime", OTHER}
    assert {row["batch"] for row in portability["targets"][OTHER].values()} == {8}
    assert f"{OTHER} ms" in printed
    assert "efficiency" in printed
    assert f"{OTHER} ms" in front_table(own_run)[0]
    assert not load_run(own_run, are_files_checked=True).altered
    page = (own_run / "report" / "report.html").read_text()
    for words in ("Time by class of operator", "Waterline of", "Other targets", "plot-gap"):
        assert words in page


@pytest.mark.usefixtures("quick")
def test_what_was_measured_elsewhere_before_stays(
    own_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"schema": 1, "own": "onnxruntime", "targets": {"openvino": {}, OTHER: {}}}
    write_json(make_folder((own_run / PORTABILITY).parent) / "portability.json", known)
    monkeypatch.setattr(
        profiling, "_with_peaks", lambda own, files: (profiling._timed(own, files), PEAKS)
    )
    profile_run(own_run, ["onnxruntime", OTHER], Silent())
    found = read_json(own_run / PORTABILITY)["targets"]
    assert set(found) == {"onnxruntime", "openvino", OTHER}
    assert found["openvino"] == {}
    assert found[OTHER]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["RUN", "--time", "3s"], "--time is of files and spaces, and a run is given"),
        (["RUN", "--out", "x", "--resolution", "32"], "--resolution, --out are of files"),
        (["RUN", "other.onnx"], "is a run. Give it alone"),
        (["RUN", "--target", "onnxruntim"], "Did you mean 'onnxruntime'?"),
        (["RUN", "--target", OTHER, "--target", OTHER], "Name each once."),
        (["RUN", "--precision", "int8"], "--precision says what a search space has"),
    ],
)
def test_a_mistake_is_one_message_and_code_2(
    arguments: list[str], message: str, own_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(own_run) if word == "RUN" else word for word in arguments]
    assert nas("profile", *given) == codes.WRONG_USE
    printed = capsys.readouterr()
    assert message in printed.err
    assert "Traceback" not in printed.err
    assert not (own_run / EFFICIENCY).exists()


def test_damage_is_named_before_anything_is_timed(own_run: Path) -> None:
    write_json(make_folder((own_run / PORTABILITY).parent) / "portability.json", {"schema": 1})
    with pytest.raises(UserError, match=r"portability\.json' is damaged: 'targets' is missing"):
        profile_run(own_run, [], Silent())


def test_a_run_without_a_front_or_files_is_refused(own_run: Path) -> None:
    key = read_front(own_run)["members"][0]
    (own_run / "front" / key / "model.onnx").unlink()
    with pytest.raises(UserError, match=r"has no model\.onnx"):
        profile_run(own_run, [], Silent())
    (own_run / "front.json").unlink()
    with pytest.raises(UserError, match="is not finished"):
        profile_run(own_run, [], Silent())
