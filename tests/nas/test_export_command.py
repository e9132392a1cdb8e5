"""Files of any network of a trained supernet: a member, a trial, or one that nobody asked for yet."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import nas
from nas.cli import app as cli
from nas.export import copy, export
from nas.finalists.entry import TWIN
from nas.finalists.recipe import Recipe
from nas.front.card import read_card
from nas.front.folders import CARD, is_whole
from nas.front.members import candidate_of
from nas.run.directory import read_front, read_space
from nas.system.files import write_json
from nas.system.reporter import Silent
from search_spaces import CandidateError, UserError
from tests.commands import exit_code as code

pytestmark = pytest.mark.usefixtures("two_timing_processes")
MEASURING = ("nas.executors._base.measure", "nas.front.facts.verify")
NAMES = (
    *("model.onnx", "model.fp32.onnx", "model.safetensors", "model.fp32.safetensors"),
    CARD,
)


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]


def measured(run: Path) -> set[str]:
    """Keys of the candidates whose networks the search exported, trained further or not."""
    return {path.parent.name.partition("-ft")[0] for path in run.glob("*/*/card.json")}


def unmeasured(run: Path) -> dict[str, Any]:
    """A trial that was not exported, and a quantized one."""
    keys = measured(run)
    return next(t for t in lines(run) if t["key"] not in keys and "int8" in t["policy"].values())


def fails(*_: object, **__: object) -> None:
    raise AssertionError("measured again")


@pytest.fixture
def nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in MEASURING:
        monkeypatch.setattr(place, fails)


@pytest.mark.usefixtures("nothing_is_measured")
def test_a_member_of_the_front_is_copied_as_it_was_measured(own_run: Path, tmp_path: Path) -> None:
    key = next(key for key in read_front(own_run)["members"] if not key.endswith(TWIN))
    for shown in (key, key[:5]):
        folder = export(own_run, Silent(), key=shown)
        assert folder == own_run / "exports" / key
        assert is_whole(folder)
    for file in (own_run / "front" / key).iterdir():
        assert (folder / file.name).read_bytes() == file.read_bytes()
    assert export(own_run, Silent(), key=key, out=tmp_path / "copy") == tmp_path / "copy"
    assert is_whole(tmp_path / "copy")


def test_the_candidate_of_any_trial_is_exported_timed_and_verified_once(
    own_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = unmeasured(own_run)
    front, timings = read_front(own_run), set((own_run / "timings").glob("*.json"))
    folder = export(own_run, Silent(), key=trial["key"])
    assert {path.name for path in folder.iterdir()} == set(NAMES)
    card = read_card(folder / CARD)
    deployed = card["files"]["model.onnx"]
    assert (card["key"], card["arch"], card["policy"]) == (
        *(trial[name] for name in ("key", "arch", "policy")),
    )
    assert deployed["latency"]["processes"] == 2
    assert deployed["accuracy"]["test"]["total"] == 359
    assert deployed["parity"]["same_answer"] > 0.95
    assert torch.isfinite(nas.load(folder / "model.safetensors")(torch.zeros(2, 1, 16, 16))).all()
    assert read_front(own_run) == front
    assert set((own_run / "timings").glob("*.json")) == timings, "a later search times it itself"
    for place in MEASURING:
        monkeypatch.setattr(place, fails)
    assert export(own_run, Silent(), key=trial["key"][:6]) == folder
    assert read_card(folder / CARD) == card


def test_an_interrupted_export_goes_on_from_what_was_measured(
    own_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        """Stands for kill -9."""

    def killed(*_: object, **__: object) -> None:
        raise KilledError

    key = unmeasured(own_run)["key"]
    with monkeypatch.context() as patch:
        patch.setattr("nas.front.facts.verify", killed)
        with pytest.raises(KilledError):
            export(own_run, Silent(), key=key)
    folder = own_run / "exports" / key
    assert not (folder / CARD).exists()
    monkeypatch.setattr("nas.executors._base.measure", killed)
    assert is_whole(export(own_run, Silent(), key=key))


def test_a_network_that_was_trained_further_has_a_key_of_its_own(own_run: Path) -> None:
    tuned = sorted((own_run / "finetunes").iterdir())[0].name
    origin = tuned.partition("-ft")[0]
    own = export(own_run, Silent(), key=tuned[:-2])
    assert own.name == tuned
    assert read_card(own / CARD)["finetuned"]["from"] == origin
    shared = export(own_run, Silent(), key=origin)
    assert shared.name == origin
    assert "finetuned" not in read_card(shared / CARD)
    assert (own / "model.onnx").read_bytes() != (shared / "model.onnx").read_bytes()


def test_where_two_of_one_network_are_on_the_front_a_beginning_is_not_enough(own_run: Path) -> None:
    tuned = sorted((own_run / "finetunes").iterdir())[0].name
    origin = tuned.partition("-ft")[0]
    front = read_front(own_run)
    write_json(own_run / "front.json", front | {"members": [origin, tuned]})
    with pytest.raises(
        UserError, match=f"2 networks begin so .*Name one in full: {origin}, {tuned}"
    ):
        export(own_run, Silent(), key=origin[:8])


def test_a_supernet_without_a_search_exports_an_architecture(own_run: Path, tmp_path: Path) -> None:
    trial = unmeasured(own_run)
    for name in ("trials.jsonl", "search_plan.json", "finetune_plan.json", "front.json"):
        (own_run / name).unlink()
    shutil.rmtree(own_run / "front")
    options = {name: trial[name] for name in ("arch", "policy")}
    folder = export(own_run, Silent(), arch=options, out=tmp_path / "deployed")
    assert read_card(folder / CARD)["key"] == trial["key"]
    with pytest.raises(UserError, match=r"no network is called so in run .*It has: "):
        export(own_run, Silent(), key="zzz")


def test_options_may_be_flat_and_inactive_ones_are_left_out(finished_run: Path) -> None:
    space = read_space(finished_run)
    trial = lines(finished_run)[1]
    flat = {**trial["arch"], **trial["policy"]}
    assert len(flat) < len(space.choices), "some are inactive"
    assert candidate_of(space, flat).key == trial["key"]
    assert candidate_of(space, trial).key == trial["key"]
    inactive = {c.name: c.options[-1] for c in space.choices if c.name not in flat}
    assert candidate_of(space, {**inactive, **flat}).key == trial["key"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stage1.width": None}, r"leaves open: stage1.width \(8, 16\). Give each"),
        ({"stage1.block1.kernel_size": None, "stage2.sparsity": None},
         r"leaves open: stage1.block1.kernel_size \(3, 5\); stage2.sparsity \(0.0, 0.25, 0.5\)"),
        ({"stage1.block1.operator": None}, r"leaves open: stage1.block1.operator \('mb\w+', '\w+'\). "),
        ({"stage1.width": 9}, r"'stage1.width' is 9, which space 'toy' .*Options: 8, 16\."),
        ({"stage1.depth": True}, r"'stage1.depth' is True, which"),
        ({"stage1.widht": 8}, r"has no choice 'stage1.widht'.*Did you mean 'stage1.width'\?"),
    ],
)  # fmt: skip
def test_what_is_missing_or_unknown_is_named(
    finished_run: Path, change: dict[str, Any], message: str
) -> None:
    trial = next(t for t in lines(finished_run) if t["arch"]["stage1.block1.operator"] == "mbconv")
    options = {**trial["arch"], **trial["policy"], **change}
    options = {name: value for name, value in options.items() if value is not None}
    with pytest.raises(UserError, match=message):
        candidate_of(read_space(finished_run), options)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("zzz", "no network is called so in run .*On its front: "),
        ("", "no network is called so"),
        ("TRIAL-ftzz", "no network is called so in run .*Name one in full: TRIAL"),
    ],
)
def test_a_key_of_no_network_is_refused(own_run: Path, key: str, message: str) -> None:
    trial = unmeasured(own_run)["key"]
    key, message = key.replace("TRIAL", trial), message.replace("TRIAL", trial)
    with pytest.raises(UserError, match=message):
        export(own_run, Silent(), key=key)
    assert not (own_run / "exports").exists()


def test_what_several_networks_begin_with_is_refused_with_them(own_run: Path) -> None:
    firsts = [line["key"][0] for line in lines(own_run)]
    firsts += [row["key"][0] for row in read_front(own_run)["references"]]
    several = max(firsts, key=firsts.count)
    if firsts.count(several) < 2:
        pytest.skip("no two keys begin alike")
    with pytest.raises(UserError, match=r"networks begin so \(.*, "):
        export(own_run, Silent(), key=several)


@pytest.mark.usefixtures("nothing_is_measured")
def test_a_folder_with_other_files_is_left_alone(own_run: Path, tmp_path: Path) -> None:
    key, mine = read_front(own_run)["members"][0], tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match="is not empty and has no card.json"):
        export(own_run, Silent(), key=key, out=mine)
    with pytest.raises(UserError, match="is a file. Name a folder"):
        export(own_run, Silent(), key=key, out=mine / "thesis.tex")
    cards = own_run.glob("*/*/card.json")
    other = next(path.parent for path in cards if path.parent.name != key)
    copy(other, tmp_path / "other")
    with pytest.raises(UserError, match=f"holds network '{other.name}', not '{key}'"):
        export(own_run, Silent(), key=key, out=tmp_path / "other")
    assert [path.name for path in mine.iterdir()] == ["thesis.tex"]


def test_a_network_that_cannot_be_exported_is_one_message(
    own_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*_: object) -> None:
        raise CandidateError("stage1 has no such operator")

    monkeypatch.setattr("nas.front.exporting.export", cannot)
    key = unmeasured(own_run)["key"]
    with pytest.raises(UserError, match=f"network '{key}' cannot be exported: stage1 has no such"):
        export(own_run, Silent(), key=key)


def test_a_run_whose_training_is_not_finished_is_refused(own_run: Path) -> None:
    (own_run / "supernet.safetensors").unlink()
    with pytest.raises(UserError, match="has no supernet.safetensors: its training is not"):
        export(own_run, Silent(), key="a")


@pytest.mark.usefixtures("nothing_is_measured")
def test_the_command_prints_a_row_per_file_and_the_folder(
    own_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = read_front(own_run)["members"][0]
    card = own_run / "front" / key / CARD
    assert code("export", str(own_run), "--key", key) == cli.OK
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == f"files of {key}: {own_run}/exports/{key}"
    assert [line for line in printed if line.startswith("model.onnx\t")]
    assert code("export", str(own_run), "--key", key, "--json") == cli.OK
    found = json.loads(capsys.readouterr().out)
    assert found == {"folder": f"{own_run}/exports/{key}", "card": read_card(card)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either --key"),
        (["--key", "a", "--arch", "{}"], "give either --key"),
        (["--arch", "absent.json"], "--arch 'absent.json' cannot be read: No such file"),
        (["--arch", "{"], "--arch is not JSON"),
        (["--arch", "{}"], "the architecture leaves open: stage1.width"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_message(
    own_run: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code("export", str(own_run), *arguments) == cli.WRONG_USE
    assert message in capsys.readouterr().err


def test_a_recipe_names_what_it_made(finished_run: Path) -> None:
    space = read_space(finished_run)
    tuned = {path.name for path in (finished_run / "finetunes").iterdir()}
    known = {Recipe().key(space.candidate(line["encoding"])) for line in lines(finished_run)}
    assert tuned <= known
