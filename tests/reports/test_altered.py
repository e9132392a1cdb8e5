"""What is not as a run wrote it is named, and not shown as true."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.system.files import digest_of, sealed, sealed_text, write_json
from reports import build_report, front_table, load_run
from reports.records import RunTables

NewRun = Callable[..., Path]
CONFIG = (
    'space = "hybrid"\ndata = "digit-pairs"\nbudget = []\ntarget = "x"\ncontroller = "random"\n'
    'precision = []\nsparsity = []\ntrials = 0\ntime = "5m"\nseed = 0\n'
)
DIFFERS = "its content is not what was written (the checksum differs)"


@pytest.fixture
def folder(new_run: NewRun) -> Path:
    """A run whose documents have checksums, as a search writes them."""
    made = new_run(trials=12, front=3)
    for path in made.rglob("*.json"):
        write_json(path, json.loads(path.read_text()))
    for path in made.rglob("*.jsonl"):
        rows = [sealed(json.loads(line)) for line in path.read_text().splitlines()]
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    config = made / "config.toml"
    config.write_text(sealed_text(config.read_text()))
    return made


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def built(folder: Path) -> tuple[RunTables, str, str]:
    page = build_report(folder)
    return load_run(folder), page.read_text(), page.with_name("report.md").read_text()


def test_what_is_as_it_was_written_is_not_named(folder: Path) -> None:
    run, page, report = built(folder)
    assert run.altered == ()
    assert "altered" not in report
    assert "Not as the run wrote it" not in page


def test_none_of_an_edited_card_is_shown(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = load_run(folder).front[0].key
    name = f"front/{key}/card.json"

    def spoil(card: dict[str, Any]) -> None:
        file = card["files"]["model.onnx"]
        file["accuracy"]["search"]["fraction"] = 0.999
        file["latency"]["median_ms"] = -1

    edit(folder / name, spoil)
    with caplog.at_level(logging.WARNING):
        run, page, report = built(folder)
    line = f"{name}: {DIFFERS}; it is left out"
    assert run.altered == (line,)
    assert [record.getMessage() for record in caplog.records] == [
        f"run '{folder}': altered: {line}"
    ]
    for said in (page, report):
        assert name in said
        assert "99.9" not in said
    rows = {row[1]: row for row in front_table(folder)[1]}
    assert rows[key][0] == "front, altered"
    assert set(rows[key][2:]) == {"-"}
    assert [member.key for member in run.front if member.is_altered] == [key]


@pytest.mark.parametrize("content", ["{}", "", "[]", '{"members": []}'])
def test_a_front_that_was_not_written_is_named(folder: Path, content: str) -> None:
    (folder / "front.json").write_text(content)
    run, page, report = built(folder)
    assert run.front == ()
    assert [line.partition(":")[0] for line in run.altered] == ["front.json"]
    assert "front.json: " in page
    assert "front.json: " in report


def test_runs_of_earlier_versions_have_no_checksums(new_run: NewRun) -> None:
    folder = new_run(trials=5, front=1)
    assert load_run(folder).altered == ()
    (folder / "front.json").write_text("{}")
    assert load_run(folder).altered == ("front.json: 'members' is missing",)


def test_a_file_that_is_not_the_one_that_was_measured_is_named(folder: Path) -> None:
    member = load_run(folder).front[0]
    card, model = folder / member.folder / "card.json", folder / member.folder / "model.onnx"
    model.write_bytes(b"a network")
    document = json.loads(card.read_text())
    document["files"]["model.onnx"]["sha256"] = digest_of(model)
    document.pop("crc32")
    write_json(card, document)
    assert built(folder)[0].altered == ()
    model.write_bytes(b"a netw0rk")
    _, page, report = built(folder)
    for said in (page, report):
        assert f"{member.folder}/model.onnx: it is not the file that was measured" in said
    assert f"| front, altered | {member.key} |" in report


def test_a_configuration_without_what_it_should_have_is_named(folder: Path) -> None:
    config = folder / "config.toml"
    config.write_text(config.read_text().replace("seed = 0", "seed = 7"))
    (line,) = load_run(folder).altered
    assert line == f"config.toml: {DIFFERS}; what it says now is shown"
    lines = [line for line in CONFIG.splitlines() if not line.startswith(("data", "seed"))]
    config.write_text("\n".join(lines))
    assert load_run(folder).altered == ("config.toml: 'data', 'seed' are missing",)


def test_a_space_that_was_not_decided_is_named(folder: Path) -> None:
    (folder / "space.json").write_text('{"name": "hybrid", "crc32": 1}')
    run, page, _ = built(folder)
    assert run.altered == (f"space.json: {DIFFERS}; it is left out",)
    assert "hybrid on digit-pairs" in page


def test_an_edited_trial_is_left_out(folder: Path) -> None:
    path = folder / "trials.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    lines[4] = lines[4].replace('"accuracy": 0.', '"accuracy": 0.9')
    path.write_text("".join(lines))
    run = load_run(folder)
    assert 4 not in {trial.number for trial in run.trials}
    assert run.altered == (f"trials.jsonl, line 5: {DIFFERS}; it is left out",)
