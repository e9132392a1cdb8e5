"""A whole search whose networks answer with masks, from scenes to files, cards and a report."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import nas
from nas.data import DataSet, digit_scenes, load_data
from nas.front.card import read_card
from nas.run.directory import read_front
from search_spaces import task_of
from tests.commands import exit_code as command

TASK = "segmentation"
SETTINGS = (
    *("max_macs=0", "steps=100", "batch_size=32", "learning_rate=0.01", "shards=1"),
    *("finalists=2", "finetune_s=4", "random_references=1", "images_per_score=100"),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("masks") / "run"
    further = [word for setting in SETTINGS for word in ("--set", setting)]
    asked = ("--space", "segment", "--data", "digit-scenes", "--budget", "10%MACs")
    how = ("--time", "20s", "--trials", 6, "--threads", 1, "--executor", "inline")
    assert command("search", *asked, *how, *further, "--out", folder) == 0
    return folder


@pytest.fixture(scope="module")
def data() -> DataSet:
    return load_data("digit-scenes")


@pytest.mark.long
def test_files_of_the_front_have_the_scores_of_their_cards(run: Path, data: DataSet) -> None:
    members = read_front(run)["members"]
    assert members
    task = task_of(TASK)
    for key in members:
        folder = run / "front" / key
        card = read_card(folder / "card.json")
        assert (card["task"], tuple(card["classes"])) == (TASK, data.classes)
        said = card["files"]["model.onnx"]["accuracy"]["test"]
        session = onnxruntime.InferenceSession(folder / "model.onnx")
        images = data.normalised(data.test.images_NCHW[:200])
        outputs = session.run(None, {"images": images})[0]
        assert outputs.shape == (200, 11, 32, 32)
        with torch.no_grad():
            module = nas.load(folder / "model.safetensors")(torch.from_numpy(images)).numpy()
        assert (module.argmax(1) == outputs.argmax(1)).mean() > 0.99
        outputs = session.run(None, {"images": data.normalised(data.test.images_NCHW)})[0]
        found = task.metrics(outputs, data.test.labels_N)
        assert found["miou"] == pytest.approx(said["miou"], abs=1e-6)
        tally = task.tally(outputs, data.test.labels_N)
        assert tally is not None
        assert task.said_of(tally)["pixels"]["iou"] == pytest.approx(said["pixels"]["iou"])
        guessed = data.untaught["test"][1].mean()
        assert said["untaught"]["miou"] == pytest.approx(guessed)
        assert said["miou"] > guessed
        assert "uncommon" not in card["files"]["model.onnx"]["needs"]


@pytest.mark.long
def test_the_report_says_miou(run: Path) -> None:
    page = (run / "report/report.html").read_text(encoding="utf-8")
    text = (run / "report/report.md").read_text(encoding="utf-8")
    assert "mIoU" in page
    assert "where one answer for all pixels has" in text
    assert "miou" in (run / "report/pareto.csv").read_text(encoding="utf-8")
    assert "onfusion" not in page
    assert nas.open(run).best().metrics["miou"] is not None


@pytest.mark.long
def test_a_member_is_exported_and_trained_further(run: Path, tmp_path: Path) -> None:
    key = read_front(run)["members"][-1].partition("-")[0]
    assert command("export", run, "--key", key, "--out", tmp_path / "files") == 0
    card = read_card(tmp_path / "files" / "card.json")
    x_NCHW = nas.preprocess(card, np.full((40, 40), 128, np.uint8))
    assert x_NCHW.shape == (1, 1, 32, 32)
    assert command("finetune", run, "--key", key, "--epochs", 0.1, "--teacher", "largest") == 0


@pytest.fixture
def few_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused does not depend on how many there are."""
    for split, number in (("TRAIN", 600), ("SEARCH", 50), ("TEST", 50)):
        monkeypatch.setattr(digit_scenes, f"NUM_{split}_IMAGES", number)


@pytest.mark.usefixtures("few_scenes")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--space", "segment", "--data", "digits"),
            "labels of data 'digits' are no masks. Give --data digit-scenes",
        ),
        (
            ("--space", "toy", "--data", "digit-scenes"),
            "answer with classes, and task 'segmentation' asks for masks. Give --space segment",
        ),
        (
            ("--space", "sr", "--data", "digit-scenes"),
            "answer with images, and task 'segmentation' asks for masks",
        ),
        (
            ("--space", "segment", "--data", "digits", "--task", TASK),
            "has labels for classification, and task 'segmentation' needs masks",
        ),
        (
            ("--space", "segment", "--data", "digit-scenes", "--set", "augment=cutmix"),
            "setting 'augment' is 'cutmix', which is about images of classes",
        ),
        (
            ("--space", "segment", "--data", "digit-scenes", "--method", "rotations"),
            "training method 'rotations' needs labels that are classes",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(
    arguments: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("search", *arguments, "--out", tmp_path / "run", "--time", "10s") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert message in said
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("few_scenes")
def test_a_model_that_is_brought_answers_with_classes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from torch import nn\n\n\ndef small() -> nn.Module:\n    return nn.Sequential(\n"
        "        nn.Conv2d(1, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1),\n"
        "        nn.Flatten(), nn.Linear(8, 11))\n"
    )
    asked = ("--data", "digit-scenes", "--time", "10s", "--out", tmp_path / "run")
    assert command("compress", f"{file}:small", *asked) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "a model that is brought must give one number per class" in said
