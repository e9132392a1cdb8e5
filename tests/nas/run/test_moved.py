"""A run that was moved, or written by another version: it continues, or one message says why not."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nas.prepare.inputs import keep_data_facts, prepare
from nas.run.config import Config, make_config
from nas.run.directory import Run, read_config_of
from nas.search_flow import search
from nas.system.files import CHECKSUM
from nas.system.reporter import Silent
from reports import build_report
from search_spaces import UserError
from tests.own_data import write_classes
from tests.small_run import SmallRun, results


def test_a_moved_run_continues_and_its_report_links_to_its_own_files(
    small_run: SmallRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = small_run.copied(tmp_path / "elsewhere", "front.json", "report")
    monkeypatch.chdir(tmp_path)
    with small_run.remembering():
        small_run.continued(Path("elsewhere/run"))
    assert results(run) == results(small_run.path)
    page = build_report(Path("elsewhere/run")).read_text()
    links = re.findall(r'href="(\.\./[^"]+)"', page)
    assert links
    assert [link for link in links if not (run / "report" / link).resolve().exists()] == []
    assert str(small_run.path) not in page


def test_data_that_moved_with_the_run_are_recognised_and_others_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    write_classes(old / "pets", {"cat": 20, "dog": 20})
    settings = {"space": "toy", "cache": str(tmp_path / "cache")}
    config = make_config({**settings, "data": str(old / "pets")})
    keep_data_facts(Run.open(old / "run", config), prepare(config)[0])
    old.rename(new)
    monkeypatch.chdir(new)
    config = make_config({**settings, "data": "pets"})
    run = Run.open(Path("run"), config)
    keep_data_facts(run, prepare(config)[0])
    shutil.copy(new / "pets/cat/000.png", new / "pets/cat/more.png")
    with pytest.raises(UserError, match=r"'pets' are not those.*data.json describes: sizes .*21"):
        keep_data_facts(run, prepare(config)[0])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"cache": "a"}, {"cache": "b"}),
        ({"data": "/a/pets"}, {"data": "/b/animals"}),
        ({"supernet": "/a"}, {"supernet": "/b"}),
        ({"space": "/a/mine.py"}, {"space": "/b/mine.py"}),
    ],
)
def test_places_may_change(old: dict[str, str], new: dict[str, str], tmp_path: Path) -> None:
    Run.open(tmp_path, Config(**old))  # type: ignore[arg-type]
    assert Run.open(tmp_path, Config(**new)).path == tmp_path  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"data": "/a/pets"}, {"data": "digits"}),
        ({"data": "/a/pets"}, {"data": "of-a-plug-in"}),
        ({"data": "of-a-plug-in"}, {"data": "/a/pets"}),
        ({"data": "of-a-plug-in"}, {"data": "of-another"}),
        ({"supernet": ""}, {"supernet": "/b"}),
        ({"space": "/a/mine.py"}, {"space": "toy"}),
    ],
)
def test_a_place_is_no_name_and_nothing_is_no_place(
    old: dict[str, str], new: dict[str, str], tmp_path: Path
) -> None:
    Run.open(tmp_path, Config(**old))  # type: ignore[arg-type]
    with pytest.raises(UserError, match=f"differs .*{next(iter(old))} "):
        Run.open(tmp_path, Config(**new))  # type: ignore[arg-type]
    assert read_config_of(tmp_path) == Config(**old)  # type: ignore[arg-type]


def test_a_supernet_that_moved_is_found_and_one_that_is_gone_is_not_needed(
    small_run: SmallRun, tmp_path: Path
) -> None:
    run = small_run.copied(tmp_path, "config.toml", "supernet.safetensors")
    moved = shutil.copytree(small_run.path, tmp_path / "moved")
    first = replace(small_run.config, supernet=str(small_run.path))
    (run / "config.toml").write_text(first.to_toml())
    with small_run.remembering():
        search(replace(first, supernet=str(moved)), run, Silent())
        assert results(run) == results(small_run.path)
        shutil.rmtree(moved)
        search(replace(first, supernet=str(moved)), run, Silent())
    assert results(run) == results(small_run.path)


def test_a_configuration_of_before_a_field_existed_has_its_default(tmp_path: Path) -> None:
    config = Config(space="toy", data="digits")
    Run.open(tmp_path, config)
    path = tmp_path / "config.toml"
    path.write_text(re.sub(r"(?m)^(method|timing_threads) = .*\n", "", path.read_text()))
    assert Run.open(tmp_path, config).path == tmp_path
    assert read_config_of(tmp_path) == config
    with pytest.raises(UserError, match=r"config.toml, .*: method 'sortednet' -> 'other'"):
        Run.open(tmp_path, replace(config, method="other"))


def test_a_configuration_with_a_field_that_nobody_knows_is_another_versions(
    tmp_path: Path,
) -> None:
    Run.open(tmp_path, Config())
    path = tmp_path / "config.toml"
    path.write_text("colour = 3\n" + path.read_text())
    with pytest.raises(UserError, match=r"config.toml' has 'colour', which this version does not"):
        Run.open(tmp_path, Config())


def changed(change: Callable[[dict[str, object]], object], path: Path) -> None:
    """Changes the first document of a file, which then has no checksum."""
    first, _, rest = path.read_text().partition("\n" if path.suffix == ".jsonl" else "\0")
    document = json.loads(first)
    document.pop(CHECKSUM, None)
    change(document)
    path.write_text(json.dumps(document) + "\n" + rest)


@pytest.mark.parametrize(
    "pattern",
    [
        *("plan.json", "search_plan.json", "space.json", "profile/profile.json", "data.json"),
        *("trials.jsonl", "front/*/card.json", "measurements/*.json", "timings/*.json"),
        *("env.json", "profile/rows.jsonl"),
    ],
)
def test_a_document_of_another_schema_is_named_with_what_to_do(
    small_run: SmallRun, tmp_path: Path, pattern: str
) -> None:
    unfinished = () if "card" in pattern else ("*/*/card.json", "trials.jsonl")
    run = small_run.copied(tmp_path, *(p for p in unfinished if p != pattern))
    for path in run.glob(pattern):
        changed(lambda document: document.update(schema=2), path)
    with (
        pytest.raises(UserError, match=f"{Path(pattern).name.replace('*', '.*')}.* has schema 2, "),
        small_run.remembering(),
    ):
        small_run.continued(run)


@pytest.mark.parametrize(
    "name", ["front.json", "train_log.jsonl", "events.jsonl", "trials.jsonl", "space.json"]
)
def test_a_report_of_another_schema_is_refused_by_name(
    small_run: SmallRun, tmp_path: Path, name: str
) -> None:
    run = small_run.copied(tmp_path)
    changed(lambda document: document.update(schema=2), run / name)
    with pytest.raises(UserError, match=f"{name}'.* has schema 2, this version reads 1"):
        build_report(run)


def test_a_plan_of_before_a_field_existed_has_its_default(
    small_run: SmallRun, tmp_path: Path
) -> None:
    run = small_run.copied(tmp_path, "front.json")
    changed(lambda document: document.pop("label_smoothing"), run / "plan.json")
    small_run.continued(run)
    assert results(run)["front.json"] == results(small_run.path)["front.json"]


def test_records_of_before_there_were_checksums_are_read(
    small_run: SmallRun, tmp_path: Path
) -> None:
    run = small_run.copied(tmp_path, "front.json", "data.json")
    for path in [*run.glob("*.json"), *run.glob("*/*.json"), *run.glob("*/*/card.json")]:
        changed(lambda document: None, path)
    small_run.continued(run)
    assert results(run)["front.json"] == results(small_run.path)["front.json"]
