"""Images that are decoded while training runs are those that would have been decoded before."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nas.data import DataSet, _store, load_data
from nas.data._streamed import StreamedImages, streamed
from nas.prepare.plan import training_images
from search_spaces import UserError, load_space
from supernets._search_path import search_path
from supernets.images import Images
from supernets.methods._base import METHODS
from supernets.plan import TrainPlan
from supernets.steps import AloneBatches, SupernetBatches
from supernets.supernet import Supernet
from supernets.train import train
from tests.own_data import encoded, picture, write_classes, write_parquet

KEPT = 12
PLAN = TrainPlan(steps=6, batch_size=4, seed=3)
STREAM = """
import sys, time
import numpy as np
from nas.data import load_data
from pathlib import Path
images = load_data(sys.argv[1], cache=Path(sys.argv[2]), held_gb=0).train.images_NCHW
images.batch(0, lambda step: np.arange(step, step + 8), decoders=2)
print(*[w.process.pid for w in images._decoders._workers], flush=True)
time.sleep(60)
"""

Load = Callable[..., DataSet]


@pytest.fixture(autouse=True)
def few_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of train is streamed, however small it is."""
    monkeypatch.setattr(_store, "KEPT", KEPT)
    monkeypatch.setattr(_store, "NUM_CALIBRATION_IMAGES", KEPT)


def written_folder(root: Path) -> Path:
    return write_classes(root / "pets", {"cat": 30, "dog": 20})


def written_parquet(root: Path) -> Path:
    return write_parquet(root / "pets.parquet", [0, 1, 1] * 15)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return written_folder(tmp_path)


def load(path: Path, *, held_gb: float = 0.0, skip_corrupt: bool = False) -> DataSet:
    cache = path.parent / "cache"
    return load_data(str(path), cache=cache, held_gb=held_gb, skip_corrupt=skip_corrupt)


def stream_of(data: DataSet) -> StreamedImages:
    found = streamed(data.train)
    assert found is not None
    return found


@pytest.mark.parametrize("write", [written_folder, written_parquet])
def test_streamed_images_are_those_that_are_held(
    tmp_path: Path, write: Callable[[Path], Path]
) -> None:
    path = write(tmp_path)
    held, found = load(path, held_gb=1.0), load(path)
    assert streamed(held.train) is None
    images = stream_of(found)
    assert images.shape == held.train.images_NCHW.shape
    assert images.nbytes == held.train.images_NCHW.nbytes
    slices = (slice(None), slice(3, 9), slice(5, 30, 4), slice(-28), slice(9, None, -2), slice(0))
    for part in (*slices, np.array([20, 3, 3, 31]), np.array([2, 1])):
        assert np.array_equal(images[part], held.train.images_NCHW[part])
    assert np.array_equal(found.train.labels_N, held.train.labels_N)
    for split in ("search", "test"):
        assert np.array_equal(getattr(found, split).images_NCHW, getattr(held, split).images_NCHW)
        assert np.array_equal(getattr(found, split).labels_N, getattr(held, split).labels_N)
    assert "train is decoded while training runs" in found.note
    again = load(path)
    assert (again.mean, again.std, again.note) == (found.mean, found.std, found.note)


def test_few_enough_images_are_held(root: Path) -> None:
    """50 images of 768 bytes, which is known before they are decoded only about."""
    assert streamed(load(root, held_gb=38e-6).train) is not None
    assert streamed(load(root, held_gb=39e-6).train) is None


def test_batches_are_those_of_held_images_in_any_order_of_steps(root: Path) -> None:
    held = training_images(load(root, held_gb=1.0))
    found = load(root)
    images = Images(**{**vars(held), "images_NCHW": stream_of(found)})
    for step in (0, 1, 2, 4, 6, 8, 30, 31, 3):
        expected, seen = (of.batch(step, 8, 5) for of in (held, images))
        assert torch.equal(expected[0], seen[0])
        assert isinstance(expected[1], torch.Tensor)
        assert isinstance(seen[1], torch.Tensor)
        assert torch.equal(expected[1], seen[1])


def small_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))


@pytest.mark.slow
def test_a_training_that_goes_on_ends_like_one_on_held_images(root: Path, tmp_path: Path) -> None:
    """Two processes share the second half; each of them has decoders of its own."""
    held = training_images(load(root, held_gb=1.0))
    images = Images(**{**vars(held), "images_NCHW": stream_of(load(root))})
    batches = AloneBatches(PLAN)

    class StoppedError(Exception):
        pass

    def stop(step: int) -> None:
        if step == 3:
            raise StoppedError

    ends = []
    for name, of, processes in (("held", held, 1), ("streamed", images, 2)):
        network = small_network()
        folder = tmp_path / name
        folder.mkdir()
        plan = TrainPlan(**{**vars(PLAN), "checkpoint_s": 0.0})
        if of is images:
            with pytest.raises(StoppedError):
                train(network, of, plan, batches, directory=folder, before_step=stop)
            network = small_network()
        train(network, of, plan, batches, directory=folder, processes=processes)
        ends.append(network.state_dict())
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_an_image_that_cannot_be_decoded_is_named(root: Path) -> None:
    data = load(root)
    whole = encoded(picture(0))
    for file in root.rglob("*.png"):
        file.write_bytes(whole[:-40])
    with pytest.raises(UserError, match=r"pets/.*png' cannot be read: .*--skip-corrupt\."):
        stream_of(data)[KEPT:]


def test_corrupt_images_are_left_out_of_a_stream(root: Path) -> None:
    (root / "cat" / "003.png").write_bytes(encoded(picture(0))[:-40])
    data = load(root, skip_corrupt=True)
    assert (data.num_corrupt, len(data.train) + len(data.search) + len(data.test)) == (1, 49)
    assert len(stream_of(data)[:]) == len(data.train)


def test_a_decoder_that_dies_ends_training_with_one_message(root: Path) -> None:
    images = stream_of(load(root))

    def places(step: int) -> np.ndarray:
        return np.arange(step, step + 8)

    images.batch(0, places, decoders=2)
    assert images._decoders is not None
    os.kill(images._decoders._workers[1].process.pid, signal.SIGKILL)

    def go_on() -> None:
        for step in range(1, 30):
            images.batch(step, places, decoders=2)

    with pytest.raises(UserError, match="decodes images has ended with code -9.*continues"):
        go_on()


def test_decoders_end_with_whoever_started_them_even_if_it_is_killed(root: Path) -> None:
    command = [sys.executable, "-c", STREAM, str(root), str(root.parent / "cache")]
    load(root)
    environment = {**os.environ, **search_path()}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        decoders = [int(word) for word in process.stdout.readline().split()]
        assert len(decoders) == 2
        assert all(map(is_alive, decoders))
        process.kill()
    deadline = time.monotonic() + 20
    while any(map(is_alive, decoders)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_alive(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_a_cache_without_what_is_decoded_from_is_made_anew(root: Path) -> None:
    expected = stream_of(load(root))[:]
    for file in root.parent.rglob("entries.bin"):
        file.unlink()
    assert np.array_equal(stream_of(load(root))[:], expected)


@pytest.mark.parametrize("name", ["curriculum", "multi-resolution"])
def test_methods_of_several_sizes_learn_from_a_stream_what_held_images_teach(
    root: Path, name: str
) -> None:
    """Images are decoded once, at the size of the space, and made smaller in the step."""
    held = training_images(load(root, held_gb=1.0))
    streaming = Images(**{**vars(held), "images_NCHW": stream_of(load(root))})
    space = load_space("toy", resolution=16, channels=3, num_classes=2)
    space = space.with_policy(("fp32",), (0.0,))
    batches = SupernetBatches(PLAN, METHODS.get(name)(space=space))
    for turn in (0, 5):
        found = []
        for images in (held, streaming):
            supernet = Supernet(space).train()
            losses, _ = batches(supernet, images, turn, {})
            found.append((losses, [p.grad for p in supernet.parameters()]))
        (expected, before), (seen, after) = found
        assert expected == seen
        for one, other in zip(before, after, strict=True):
            assert (one is None and other is None) or (
                one is not None and other is not None and torch.equal(one, other)
            )
