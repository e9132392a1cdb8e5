"""A whole search on images that are not square, from files on a disk to files on a front."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

import nas
from nas.data import DataSet, load_data
from nas.front.card import read_card
from nas.prepare.inputs import describe_data
from nas.run.directory import read_config_of, read_front, read_space
from nas.system.files import read_json
from search_spaces import SPACES, load_space
from tests.commands import exit_code as command
from tests.conftest import time_in_two_processes

ROOT = Path(__file__).parents[2]
SIDES = 20, 28
CLASSES = {
    "coarse rows": (0, 0.7),
    "fine rows": (0, 1.6),
    "coarse columns": (0.7, 0),
    "fine columns": (1.6, 0),
}
SETTINGS = (
    "max_macs=0",
    "steps=60",
    "finalists=2",
    "finetune_s=2",
    "random_references=1",
    "images_per_score=100",
)


def striped(waves: tuple[float, float], rng: np.random.Generator) -> Image.Image:
    """Stripes in noise; how they lie and how many there are is the class."""
    y_HW, x_HW = np.mgrid[: SIDES[0], : SIDES[1]]
    values = 128 + 90 * np.sin(waves[0] * x_HW + waves[1] * y_HW + rng.uniform(0, 6.3))
    noisy = values + rng.normal(0, 20, SIDES)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("photos")
    for name, waves in CLASSES.items():
        (folder / name).mkdir()
        for number in range(100):
            striped(waves, rng).save(folder / name / f"{number:03d}.png")
    return folder


@pytest.fixture(scope="module")
def run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search; nothing was said of a size."""
    root = tmp_path_factory.mktemp("not-square")
    further = [word for setting in SETTINGS for word in ("--set", setting)]
    with pytest.MonkeyPatch.context() as patch:
        time_in_two_processes(patch)
        patch.chdir(root)
        asked = ("--space", "toy", "--data", photos, "--budget", "90%MACs", "--time", "10s")
        how = ("--trials", 4, "--threads", 1, "--executor", "inline", "--cache", root / "cache")
        assert command("search", *asked, *how, *further, "--out", root / "run") == 0
    return root / "run"


@pytest.fixture(scope="module")
def data(run: Path, photos: Path) -> DataSet:
    return load_data(str(photos), cache=run.parent / "cache")


def cards(run: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Folders and cards of the front."""
    members = read_front(run)["members"]
    assert members
    for key in members:
        yield run / "front" / key, read_card(run / "front" / key / "card.json")


@pytest.mark.long
def test_the_images_keep_their_shape_and_the_run_says_so(run: Path, data: DataSet) -> None:
    assert "4 classes, grey at 20x28 px (height x width), " in describe_data(data)
    assert data.resize == "none"
    assert read_config_of(run).resolution == 0
    assert read_json(run / "data.json")["resolution"] == "20x28"
    network = read_space(run).network
    assert network is not None
    assert (network.resolution, network.sides) == ("20x28", SIDES)
    assert "stage1 · 10x14 px" in (run / "report/report.html").read_text(encoding="utf-8")
    for folder, card in cards(run):
        assert card["input"]["shape"] == ["batch", 1, 20, 28]
        (given,) = onnxruntime.InferenceSession(folder / "model.onnx").get_inputs()
        assert given.shape[1:] == [1, 20, 28]


@pytest.mark.long
def test_accuracy_of_the_original_files_is_the_cards(
    run: Path, photos: Path, data: DataSet
) -> None:
    places = {image.tobytes(): place for place, image in enumerate(data.test.images_NCHW)}
    for folder, card in cards(run):
        session = onnxruntime.InferenceSession(folder / "model.onnx")
        network = nas.load(folder / "model.safetensors")
        correct = total = same = 0
        for file in photos.glob("*/*.png"):
            if np.asarray(Image.open(file)).tobytes() in places:
                x_NCHW = nas.preprocess(card, file)
                answer = session.run(None, {"images": x_NCHW})[0].argmax()
                with torch.no_grad():
                    same += int(network(torch.from_numpy(x_NCHW)).argmax() == answer)
                correct += card["classes"][answer] == file.parent.name
                total += 1
        said = card["files"]["model.onnx"]["accuracy"]["test"]
        assert (correct, total) == (said["correct"], said["total"])
        assert correct > total / 2
        assert same >= 0.98 * total


@pytest.mark.long
def test_every_card_is_what_the_example_finds(run: Path, data: DataSet, tmp_path: Path) -> None:
    np.savez(tmp_path / "test.npz", images=data.test.images_NCHW, labels=data.test.labels_N)
    folder, _ = next(cards(run))
    example = ROOT / "examples" / "verify_card.py"
    line = [sys.executable, str(example), str(folder / "card.json"), str(tmp_path / "test.npz")]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": same") >= 2


@pytest.mark.long
@pytest.mark.parametrize(
    ("resolution", "message"),
    [
        (
            "32",
            "trained for other architectures, space 'toy' at 20x28 px, than those of space 'toy' at 32 px",
        ),
        ("24x28", "was trained on other images"),
    ],
)
def test_a_supernet_serves_the_size_that_it_was_trained_at(
    run: Path, tmp_path: Path, resolution: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("search", "--supernet", run, "--out", tmp_path / "run", "--time", "10s")
    assert command(*asked, "--resolution", resolution) == 2
    assert message in capsys.readouterr().err


@pytest.mark.long
def test_any_member_is_exported(run: Path, tmp_path: Path) -> None:
    folder, card = next(cards(run))
    key = card["key"].partition("-")[0]
    assert command("export", run, "--key", key, "--out", tmp_path / "files") == 0
    exported = read_card(tmp_path / "files" / "card.json")
    assert exported["input"] == card["input"]
    assert folder.is_dir()


def test_a_space_is_described_at_the_size_that_was_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command("space", "describe", "toy", "--resolution", "24x40") == 0
    assert "space 'toy' at 24x40 px" in capsys.readouterr().out
    for name in SPACES.names():
        squares = (load_space(name, resolution=r, channels=1, num_classes=2) for r in ("24x24", 24))
        assert len({repr(space.to_json()) for space in squares}) == 1


def test_a_space_file_that_knows_squares_alone_is_told_what_it_gets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "examples" / "my_space.py").read_text(encoding="utf-8")
    file = tmp_path / "mine.py"
    file.write_text(text)
    assert command("space", "check", file, "--resolution", "24x40") == 0
    file.write_text(
        text.replace("        stages = []\n", "        stages = [None] * (resolution // 32)\n")
    )
    assert command("space", "check", file, "--resolution", "24x40") == 2
    said = capsys.readouterr().err
    assert "`resolution` is that text: `read_sides(resolution)`" in said
    assert "Traceback" not in said
