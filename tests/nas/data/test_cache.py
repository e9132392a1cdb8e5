"""Decoded images are kept: used the second time, made anew when a file changes, whole or absent."""

import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.cli.app import main
from nas.data import DataSet, _pixels, _store, load_data
from nas.prepare.inputs import describe_data, prepare
from nas.run.config import Config, make_config
from search_spaces import UserError
from tests.own_data import picture, write_classes, write_parquet

LOAD = "import sys; from pathlib import Path; from nas.data import load_data\n"
LOAD += "data = load_data(sys.argv[1], cache=Path(sys.argv[2])); print(len(data.train))\n"
SLOW = "import nas.data._pixels as s, time; old = s.decode\n"
SLOW += (
    "s.decode = lambda *a, **k: (print('decoding', flush=True), time.sleep(0.1), old(*a, **k))[2]\n"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_classes(tmp_path / "pets", {"cat": 20, "dog": 20})


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images that were decoded."""
    names: list[str] = []
    old = _pixels.decode

    def noted(content: object, where: str, **options: object) -> np.ndarray:
        names.append(where)
        return old(content, where, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(_pixels, "decode", noted)
    return names


def same(first: DataSet, second: DataSet) -> bool:
    pairs = ((first.train, second.train), (first.search, second.search), (first.test, second.test))
    return all(
        np.array_equal(a.images_NCHW, b.images_NCHW) and np.array_equal(a.labels_N, b.labels_N)
        for a, b in pairs
    )


def folders(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.is_dir())


def test_the_second_load_decodes_nothing(root: Path, cache: Path, decoded: list[str]) -> None:
    first = load_data(str(root), cache=cache)
    assert len(decoded) == 40
    second = load_data(str(root), cache=cache)
    assert len(decoded) == 40
    assert same(first, second)
    assert (first.mean, first.std, first.note) == (second.mean, second.std, second.note)
    assert len(folders(cache)) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda root: picture(999).save(root / "cat" / "000.png"),
        lambda root: picture(999).save(root / "cat" / "new.png"),
        lambda root: (root / "dog" / "003.png").unlink(),
        lambda root: os.utime(root / "dog" / "003.png", (1, 1)),
        lambda root: (root / "dog").rename(root / "wolf"),
    ],
)
def test_a_change_of_the_files_is_seen(
    root: Path, cache: Path, decoded: list[str], change: Callable[[Path], object]
) -> None:
    load_data(str(root), cache=cache)
    change(root)
    decoded.clear()
    data = load_data(str(root), cache=cache)
    assert len(decoded) == sum(map(len, (data.train, data.search, data.test)))


@pytest.mark.parametrize("options", [{"seed": 1}, {"resolution": 20}])
def test_another_seed_or_resolution_has_its_own_folder(
    root: Path, cache: Path, options: dict[str, int]
) -> None:
    first = load_data(str(root), cache=cache)
    assert not same(first, load_data(str(root), cache=cache, **options))
    assert same(first, load_data(str(root), cache=cache))
    assert len(folders(cache)) == 2


def test_the_mean_is_that_of_train_and_every_image_is_at_its_label(
    tmp_path: Path, cache: Path
) -> None:
    path = write_parquet(tmp_path / "a.parquet", [0, 1] * 100)
    data = load_data(str(path), cache=cache)
    assert data.mean == pytest.approx(data.train.images_NCHW.mean(axis=(0, 2, 3)) / 255, abs=1e-5)
    label_of = {np.asarray(picture(i)).transpose(2, 0, 1).tobytes(): i % 2 for i in range(200)}
    for image, label in zip(data.train.images_NCHW, data.train.labels_N, strict=True):
        assert label_of[image.tobytes()] == label


@pytest.mark.parametrize("file", ["images.npy", "labels.npy", "facts.json"])
@pytest.mark.parametrize("content", [b"", b"half of it", None])
def test_a_damaged_cache_is_made_anew(
    root: Path, cache: Path, file: str, content: bytes | None
) -> None:
    first = load_data(str(root), cache=cache)
    path = cache / folders(cache)[0] / file
    path.unlink()  # NOTE: cutting a file that is mapped, as `first` is, kills the process
    if content is not None:
        path.write_bytes(content)
    assert same(first, load_data(str(root), cache=cache))
    assert path.stat().st_size > 20


def test_an_error_while_decoding_leaves_nothing(root: Path, cache: Path) -> None:
    (root / "cat" / "007.png").write_bytes((root / "cat" / "007.png").read_bytes()[:100])
    with pytest.raises(UserError, match=r"007\.png"):
        load_data(str(root), cache=cache)
    assert [path for path in cache.iterdir() if path.is_dir()] == []


def test_a_kill_while_decoding_leaves_nothing_that_misleads(root: Path, cache: Path) -> None:
    command = [sys.executable, "-c", SLOW + LOAD, str(root), str(cache)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "decoding\n"
        process.send_signal(signal.SIGKILL)
    (left,) = folders(cache)
    assert left.endswith(".part")
    assert load_data(str(root), cache=cache, seed=1).num_classes == 2
    assert not list(cache.glob("*.part")), "of any seed"
    data = load_data(str(root), cache=cache)
    assert f".{folders(cache)[0]}.part" == left
    shutil.rmtree(cache)
    assert same(data, load_data(str(root), cache=cache))


def test_two_processes_at_once_decode_once_and_agree(root: Path, cache: Path) -> None:
    command = [sys.executable, "-c", SLOW.replace("0.1", "0.02") + LOAD, str(root), str(cache)]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers
    assert sum(out.count("decoding") for out, _ in answers) == 40
    assert [out.splitlines()[-1] for out, _ in answers] == ["30", "30"]


def test_what_was_decoded_before_the_files_changed_is_deleted_and_nothing_else(
    root: Path, cache: Path
) -> None:
    other = write_classes(root.parent / "others", {"cat": 20, "dog": 20}, seed=1)
    load_data(str(other), cache=cache)
    load_data(str(root), cache=cache, resolution=8)
    load_data(str(root), cache=cache, seed=1)
    first = load_data(str(root), cache=cache)
    kept = {path.name for path in cache.iterdir() if path.is_dir()}
    assert len(kept) == 4
    (root / "cat" / "more.png").write_bytes((root / "cat" / "000.png").read_bytes())
    load_data(str(root), cache=cache)
    now = {path.name for path in cache.iterdir() if path.is_dir()}
    assert len(now) == 3  # the other source, the other resolution, and the new one
    assert len(now & kept) == 2
    assert first.train.images_NCHW.sum() > 0  # mapped files stay with who has them


def test_what_speaks_against_the_data_is_said_before_they_are_decoded(
    root: Path, cache: Path, decoded: list[str]
) -> None:
    def refuse(resolution: int, channels: int, num_classes: int) -> None:
        raise UserError(f"{resolution} px, {channels} channels, {num_classes} classes")

    with pytest.raises(UserError, match="16 px, 3 channels, 2 classes"):
        load_data(str(root), cache=cache, accept=refuse)
    assert decoded == []
    assert [path for path in cache.iterdir() if path.is_dir()] == []


def test_an_impossible_budget_is_refused_before_ones_own_data_are_decoded(
    root: Path, cache: Path, decoded: list[str]
) -> None:
    config = Config(space="toy", data=str(root), cache=str(cache), budget=("1kFLOPs",))
    with pytest.raises(UserError, match=r"budget '1kFLOPs': no network of this space"):
        prepare(config)
    assert decoded == []


def test_a_full_disk_is_seen_before_decoding(
    root: Path, cache: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_store.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 9, 0))
    with pytest.raises(OSError, match=r"need 0.0 MB and 0.0 MB are free.*--cache"):
        load_data(str(root), cache=cache)
    assert decoded == []


def test_a_cache_that_is_a_file_is_refused(root: Path, cache: Path) -> None:
    cache.touch()
    with pytest.raises(UserError, match="cache' is a file. Name a folder with --cache"):
        load_data(str(root), cache=cache)


def test_torch_reads_the_mapped_file_without_a_warning_and_cannot_change_it(
    root: Path, cache: Path
) -> None:
    data = load_data(str(root), cache=cache)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tensor = torch.from_numpy(data.train.images_NCHW)
    before = load_data(str(root), cache=cache).train.images_NCHW.copy()
    tensor.zero_()
    assert np.array_equal(load_data(str(root), cache=cache).train.images_NCHW, before)


def test_progress_counts_every_image_twice(root: Path, cache: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    load_data(str(root), cache=cache, progress=lambda *now: seen.append(now))
    assert (40, 40, "images looked at") in seen
    assert seen[-1] == (40, 40, "images decoded")


class Notes:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def phase(self, name: str, text: str) -> None:
        self.lines.append(f"{name}: {text}")

    def advance(self, done: int, of: int, text: str = "") -> None:
        self.lines.append(f"{done}/{of} {text}")

    def note(self, text: str) -> None:
        self.lines.append(text)


def test_a_relative_path_means_the_same_from_everywhere(
    root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root.parent)
    config = make_config({"space": "toy", "data": "pets/", "cache": str(cache)})
    assert config.data == str(root)
    assert config.default_out().name.startswith("toy-pets-")
    assert make_config({"data": "./pets", "space": "toy", "cache": str(cache)}) == config
    monkeypatch.chdir("/")
    notes = Notes()
    data, space, _ = prepare(config, notes)
    assert (data.name, data.num_classes, data.resolution) == ("pets", 2, 16)
    assert space.costs is not None
    assert any("images decoded" in line for line in notes.lines)
    assert describe_data(data).startswith(
        "data 'pets': 2 classes, RGB at 16 px, 30 train, 4 search, 6 test images; no test split"
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("pets", "cat/000.png' cannot be read: it is empty. Replace it"),
        ("pet", "unknown data set 'pet', and no file or folder of that name"),
        ("pets/cat", "it holds 20 files and no folder"),
    ],
)
def test_wrong_data_are_one_message_and_code_2(
    root: Path,
    cache: Path,
    data: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(root.parent)
    (root / "cat" / "000.png").write_bytes(b"")
    started = time.monotonic()
    with pytest.raises(SystemExit) as exit_:
        main(["search", "--space", "toy", "--data", data, "--cache", str(cache), "--out", "run"])
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err
    assert not Path("run").exists()
    assert time.monotonic() - started < 30
