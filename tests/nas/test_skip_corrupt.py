"""A whole search of images some of which cannot be read: they are left out, counted and said."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.front.card import read_card
from nas.run.directory import read_front
from nas.system.files import read_json
from tests.commands import exit_code as nas
from tests.conftest import TOY, time_in_two_processes
from tests.own_data import encoded

SOUND = 60
"""Images of each class; of the first class one is a JPEG that is called PNG."""


def picture(seed: int, *, is_bright: bool) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 100, (16, 16, 3), np.uint8)
    return Image.fromarray(noise + 150 * np.uint8(is_bright))


def overwritten(content: bytes) -> bytes:
    """With other bytes in the middle of its pixels."""
    middle = len(content) // 2
    return content[:middle] + bytes(64) + content[middle + 64 :]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for label, is_bright in (("dark", False), ("light", True)):
        (root / label).mkdir(parents=True)
        for number in range(SOUND):
            image = picture(1000 * is_bright + number, is_bright=is_bright)
            kind = "JPEG" if label == "dark" and number == 0 else "PNG"
            (root / label / f"{number:03d}.png").write_bytes(encoded(image, kind))
    png, jpeg = (encoded(picture(7, is_bright=False), kind) for kind in ("PNG", "JPEG"))
    corrupt = {
        "dark/overwritten.png": overwritten(png),
        "dark/cut.jpg": jpeg[: len(jpeg) // 2],
        "light/empty.png": b"",
        "light/text.png": b"no image at all",
    }
    for name, content in corrupt.items():
        (root / name).write_bytes(content)
    return root


@pytest.mark.long
def test_a_search_without_corrupt_images_says_so_continues_and_judges_the_rest(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    time_in_two_processes(monkeypatch)
    run = tmp_path / "run"
    settings = [part for name, value in TOY.set.items() for part in ("--set", f"{name}={value}")]
    command = [
        "search",
        "--space",
        "toy",
        "--data",
        str(folder),
        "--cache",
        str(tmp_path / "cache"),
    ]
    command += ["--resolution", "16", "--time", "10s", "--trials", "4", "--threads", "1"]
    command += ["--executor", "inline", *settings, "--out", str(run)]
    assert nas(*command) == 2
    assert "4 images cannot be read" in capsys.readouterr().err
    assert not run.exists()
    assert nas(*command, "--skip-corrupt") == 0
    said = capsys.readouterr()
    assert "4 corrupt images are left out" in said.out + said.err
    data = read_json(run / "data.json")
    assert data["corrupt"] == 4
    assert "corrupt images, left out: 4" in (run / "report" / "report.md").read_text("utf-8")
    (key, *_) = read_front(run)["members"]
    card = read_card(run / "front" / key / "card.json")
    judged = card["files"]["model.onnx"]["accuracy"]
    assert card["corrupt"] == 4
    assert judged["search"]["total"] == data["sizes"]["search"]
    assert sum(data["sizes"].values()) == 2 * SOUND
    assert judged["search"]["correct"] > 0.8 * data["sizes"]["search"]
    trials = (run / "trials.jsonl").read_bytes()
    assert nas(*command, "--skip-corrupt", "--json") == 0
    assert json.loads(capsys.readouterr().out)["members"] == read_front(run)["members"]
    assert (run / "trials.jsonl").read_bytes() == trials
    (folder / "light" / "text.png").write_bytes(encoded(picture(8, is_bright=True)))
    assert nas(*command, "--skip-corrupt") == 2
    assert "are not those that run" in capsys.readouterr().err
