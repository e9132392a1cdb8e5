"""A whole search whose networks answer with images, from digits to files, cards and a report."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import nas
from nas.data import DataSet, load_data
from nas.front.card import read_card
from nas.run.directory import read_front
from search_spaces import task_of
from tests.commands import exit_code as command

TASK = "super-resolution"
SETTINGS = (
    *("max_macs=0", "steps=150", "batch_size=32", "learning_rate=0.003", "shards=1"),
    *("finalists=2", "finetune_s=4", "random_references=1", "images_per_score=100"),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("larger") / "run"
    further = [word for setting in SETTINGS for word in ("--set", setting)]
    asked = ("--space", "sr", "--data", "digits", "--task", TASK, "--budget", "60%MACs")
    how = ("--time", "20s", "--trials", 6, "--threads", 1, "--executor", "inline")
    assert command("search", *asked, *how, *further, "--out", folder) == 0
    return folder


@pytest.fixture(scope="module")
def data() -> DataSet:
    return load_data("digits", task=TASK)


@pytest.mark.long
def test_files_of_the_front_have_the_psnr_of_their_cards(run: Path, data: DataSet) -> None:
    members = read_front(run)["members"]
    assert members
    for key in members:
        folder = run / "front" / key
        card = read_card(folder / "card.json")
        assert (card["task"], card["classes"]) == (TASK, [])
        said = card["files"]["model.onnx"]["accuracy"]["test"]
        session = onnxruntime.InferenceSession(folder / "model.onnx")
        images = data.normalised(data.test.images_NCHW)
        outputs = session.run(None, {"images": images})[0]
        found = task_of(TASK).metrics(outputs, data.test.labels_N)
        assert found["psnr"] == pytest.approx(said["psnr"], abs=0.01)
        bicubic = data.untaught["test"][1].mean()
        assert said["untaught"]["psnr"] == pytest.approx(bicubic)
        assert said["psnr"] > bicubic
        with torch.no_grad():
            module = nas.load(folder / "model.safetensors")(torch.from_numpy(images)).numpy()
        assert np.abs(module - outputs).mean() < 0.01
        twins_have_none = {"same_answer": 1.0}
        parity = card["files"]["model.onnx"].get("parity", twins_have_none)
        assert parity["same_answer"] >= 0.98


@pytest.mark.long
def test_the_report_has_decibels_and_no_classes(run: Path) -> None:
    page = (run / "report/report.html").read_text(encoding="utf-8")
    text = (run / "report/report.md").read_text(encoding="utf-8")
    assert "PSNR" in page
    assert "where bicubic upsampling has" in text
    assert "psnr" in (run / "report/pareto.csv").read_text(encoding="utf-8")
    assert "onfusion" not in page
    assert "the same class" not in page
    best = nas.open(run).best()
    assert best.accuracy is None
    assert best.metrics["psnr"] is not None


@pytest.mark.long
def test_a_member_is_exported_trained_further_and_given_images(run: Path, tmp_path: Path) -> None:
    key = read_front(run)["members"][-1].partition("-")[0]
    assert command("export", run, "--key", key, "--out", tmp_path / "files") == 0
    card = read_card(tmp_path / "files" / "card.json")
    image = np.full((40, 40), 128, np.uint8)
    x_NCHW = nas.preprocess(card, image)
    assert x_NCHW.shape == (1, 1, 16, 16)
    assert x_NCHW == pytest.approx(128 / 255)
    assert command("finetune", run, "--key", key, "--epochs", 1, "--teacher", "largest") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--space", "sr"), "labels of data 'digits' are no images. Give --task super-resolution"),
        (("--space", "toy", "--task", TASK), "answer with classes, and task 'super-resolution'"),
        (("--space", "sr", "--task", "super"), "unknown task 'super'"),
        (
            ("--space", "sr", "--task", TASK, "--set", "augment=cutmix"),
            "setting 'augment' is 'cutmix', which is about images of classes",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(
    arguments: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("search", "--data", "digits", *arguments, "--out", tmp_path / "run")
    assert command(*asked, "--time", "10s") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert message in said
    assert not (tmp_path / "run").exists()
