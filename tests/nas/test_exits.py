"""`nas exits`: from a network of a run to verified files that stop early."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from nas.cli import codes
from nas.exits import Asked, exits
from nas.finalists.exiting import ExitRecipe
from nas.front import exit_files
from nas.prepare.reopen import reopened
from nas.run.directory import read_front
from nas.system.files import digest_of, read_json
from nas.system.reporter import Silent
from search_spaces import UserError
from tests.commands import exit_code

RECIPE = ExitRecipe(epochs=2, latents=2, width=16)

pytestmark = pytest.mark.usefixtures("two_timing_processes")


@pytest.fixture(scope="module")
def made(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of which a quantized network has exits; to be copied."""
    run = Path(shutil.copytree(finished_run, tmp_path_factory.mktemp("exits") / "run"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nas.front.timing.TIMING_PROCESSES", 2)
        patch.setattr("nas.front.timing.SPARE_PROCESSES", 0)
        exits(run, key_of(run), RECIPE, Asked(), Silent())
    return run


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


def key_of(run: Path) -> str:
    """Of a member of the front, a quantized one if there is one."""
    members = read_front(run)["members"]
    cards = {key: read_json(run / "front" / key / "card.json") for key in members}
    quantized = [key for key in members if "int8" in cards[key]["policy"].values()]
    return str((quantized or members)[0])


def card_of(run: Path) -> dict[str, Any]:
    (folder,) = (run / "exits").iterdir()
    return read_json(folder / "card.json")


def trains_nothing(patch: pytest.MonkeyPatch) -> None:
    def train(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    patch.setattr("nas.finalists.exiting.train", train)


def test_the_files_are_verified_and_lose_nothing_that_was_not_asked_for(run: Path) -> None:
    card = card_of(run)
    (folder,) = (run / "exits").iterdir()
    assert all(digest_of(folder / name) == f["sha256"] for name, f in card["files"].items())
    assert set(card["files"]) == {
        *("exits.onnx", "exits.all.onnx", "model.onnx", "exits.safetensors")
    }  # fmt: skip
    front = run / "front" / card["of"] / "model.onnx"
    assert (folder / "model.onnx").read_bytes() == front.read_bytes()
    assert card["accuracy"]["search"]["correct"] >= card["network_accuracy"]["search"]["correct"]
    for parity in card["parity"].values():
        assert parity["same_exit"] > 0.98
        assert parity["same_answer"] > 0.98
    assert card["latency"]["processes"] == card["network_latency"]["processes"] == 2
    assert card["latency"]["runs"] == 2 * card["timed_images"]
    assert sum(row["share"]["search"] for row in card["exits"]) == pytest.approx(1.0)
    macs = [row["macs"] for row in card["exits"]]
    assert macs == sorted(macs)
    assert macs[-1] > card["network_macs"]
    assert (
        card["files"]["exits.onnx"]["integer_kernels"]
        == (card["files"]["exits.all.onnx"]["integer_kernels"])
    )


def test_the_same_question_is_answered_from_its_files(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trains_nothing(monkeypatch)
    monkeypatch.setattr(exit_files, "answers_of", None)
    before = card_of(run)
    exits(run, key_of(run), RECIPE, Asked(), Silent())
    assert card_of(run) == before


def test_at_1_all_images_get_the_answer_of_the_network(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trains_nothing(monkeypatch)
    exits(run, key_of(run), RECIPE, Asked(threshold=1.0), Silent())
    card = card_of(run)
    assert card["exits"][-1]["share"] == {"search": 1.0, "test": 1.0}
    for split in ("search", "test"):
        assert card["accuracy"][split]["correct"] == card["network_accuracy"][split]["correct"]


def test_a_budget_is_a_mean_that_is_kept(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trains_nothing(monkeypatch)
    exits(run, key_of(run), RECIPE, Asked(budget="90%MACs"), Silent())
    card = card_of(run)
    assert card["macs"]["search"] <= 0.9 * card["network_macs"]
    shares = [row["share"]["search"] for row in card["exits"]]
    macs = [row["macs"] for row in card["exits"]]
    assert card["macs"]["search"] == pytest.approx(
        sum(s * m for s, m in zip(shares, macs, strict=True))
    )
    with pytest.raises(UserError, match="no threshold keeps it: images take"):
        exits(run, key_of(run), RECIPE, Asked(budget="1kMACs"), Silent())


def test_a_card_goes_where_files_are_of_a_budget_that_is_not_kept(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trains_nothing(monkeypatch)
    monkeypatch.setattr("nas.exits.TRIES", 1)
    monkeypatch.setattr(exit_files.ExitFiles, "network_ms", 1.0)
    monkeypatch.setattr(
        exit_files.ExitFiles, "latencies", lambda self: [0.0] * (1 + len(self.made.maps))
    )
    with pytest.raises(UserError, match="no threshold keeps it"):
        exits(run, key_of(run), RECIPE, Asked(budget="0.000001ms"), Silent())
    (folder,) = (run / "exits").iterdir()
    assert not (folder / "card.json").exists()


def test_a_network_that_is_trained_together_is_another_one(
    own_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = key_of(own_run)
    settings = ("--set", "latents=2", "--set", "width=16")
    asked = ("exits", own_run, "--key", key, "--epochs", 1, "--together", *settings, "--json")
    assert exit_code(*asked) == codes.OK
    found = json.loads(capsys.readouterr().out)
    assert found["card"]["recipe"]["is_together"]
    front = own_run / "front" / key / "model.onnx"
    assert (Path(found["folder"]) / "model.onnx").read_bytes() != front.read_bytes()


def test_a_killed_training_continues(own_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class KilledError(Exception):
        """Stands for kill -9."""

    def killed(*_: object, **__: object) -> None:
        raise KilledError

    key = key_of(own_run)
    with monkeypatch.context() as patch:
        patch.setattr("nas.finalists.exiting.write_tensors", killed)
        with pytest.raises(KilledError):
            exits(own_run, key, RECIPE, Asked(threshold=0.5), Silent())
    (folder,) = (own_run / "exits").iterdir()
    assert list((folder / "train_state").iterdir())
    monkeypatch.setattr("nas.exits.ExitFiles.write", killed)
    with pytest.raises(KilledError):
        exits(own_run, key, RECIPE, Asked(threshold=0.5), Silent())
    lines = map(json.loads, (folder / "train_log.jsonl").read_text().splitlines())
    steps = [line["step"] for line in lines]
    assert steps == sorted(set(steps)), "no step was taken twice"
    assert steps[-1] == read_json(folder / "plan.json")["steps"]
    assert (folder / "trained.safetensors").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--threshold", "1.5"), "Invalid value for '--threshold'"),
        (("--threshold", "0.5", "--budget", "60%MACs"), "Leave out one of them"),
        (("--budget", "5Mparams"), "Give a mean of either, such as 60%MACs"),
        (("--set", "latent=4"), "Did you mean 'latents'?"),
        (("--set", "exits=0"), "the exits: exits is 0. It must be at least 1"),
    ],
)
def test_what_cannot_be_is_refused_before_a_run_is_opened(
    tmp_path: Path, arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("exits", tmp_path, "--key", "a", *arguments) == codes.WRONG_USE
    assert message in capsys.readouterr().err


def test_a_threshold_is_a_confidence() -> None:
    for threshold in (-0.1, 1.1, float("nan")):
        with pytest.raises(UserError, match="It is a confidence from 0"):
            Asked(threshold=threshold)


def test_a_network_without_stages_is_refused(
    own_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.finalists.exiting.maps_between_stages", lambda *_: ())
    with pytest.raises(UserError, match="has no stages: all of its maps have one size"):
        exits(own_run, key_of(own_run), RECIPE, Asked(), Silent())


def test_a_run_for_several_images_at_a_time_is_refused(
    own_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def batches(*arguments: Any, **options: Any) -> Any:
        trained = reopened(*arguments, **options)
        object.__setattr__(trained.config, "target", "onnxruntime:batch=8")
        return trained

    monkeypatch.setattr("nas.exits.reopened", batches)
    with pytest.raises(UserError, match="8 images at a time"):
        exits(own_run, key_of(own_run), RECIPE, Asked(), Silent())
