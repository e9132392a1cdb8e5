"""Files of networks with early exits: they stop, and answer as the module does."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx.utils import Extractor

import nas
from compress.exits import (
    load_exits,
    save_exits,
    with_exits,
    write_all_exits,
    write_first_exit,
)
from nas.profiling.macs import count_macs
from nas.targets import choose
from nas.testing._exported import compress_for_here, one_thread
from search_spaces import SearchSpace, Slot, UserError
from supernets.exits import Exiting, Exits, Latents, Map, macs_of_exits, maps_between_stages
from supernets.network import PlainNetwork
from tests.strategies import mini_space, noise, randomise_, slots_of

SIDE, CLASSES = 32, 10
SIZES = Latents(number=3, width=16)
PRECISIONS = ("fp32", "int8")


class Made(NamedTuple):
    """A network with exits, and its files."""

    slots: tuple[Slot, ...]
    maps: tuple[Map, ...]
    network: torch.nn.Module
    exiting: Exiting
    flat: Path
    first: Path

    def logits(self, images: torch.Tensor) -> np.ndarray:
        """Of all exits, (N, E, K), by the module."""
        with torch.no_grad():
            return torch.stack(self.exiting(images), 1).numpy()


@pytest.fixture(scope="module", params=PRECISIONS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("exits")
    space: SearchSpace = mini_space(resolution=SIDE).with_policy(PRECISIONS, (0.0,))
    slots = slots_of(space, operator="mbconv", precision=request.param)
    network = PlainNetwork(slots).eval()
    randomise_(network, seed=1)
    calibration = [noise(32, 1, SIDE, SIDE, seed=seed) for seed in range(2)]
    compressed = compress_for_here(network, slots, calibration)
    assert isinstance(compressed.fp32, PlainNetwork)
    maps = maps_between_stages(compressed.fp32, (1, SIDE, SIDE))
    exits = Exits(maps, CLASSES, SIZES, seed=0)
    randomise_(exits, seed=3)
    exiting = with_exits(compressed.network, maps, exits)
    names = write_all_exits(exiting, folder / "all.onnx", shape=(1, SIDE, SIDE))
    assert names == ["exit1", "exit2", "exit3"]
    write_first_exit(folder / "all.onnx", folder / "first.onnx", [0.5, 0.5])
    return Made(
        slots, maps, compressed.network, exiting, folder / "all.onnx", folder / "first.onnx"
    )


def run(path: Path, images: torch.Tensor, **more: Any) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(path, one_thread())
    found: list[np.ndarray] = session.run(None, {"images": images.numpy(), **more})
    return found


def confidences(logits_NEK: np.ndarray) -> np.ndarray:
    exponents = np.exp(logits_NEK - logits_NEK.max(-1, keepdims=True))
    found: np.ndarray = (exponents / exponents.sum(-1, keepdims=True)).max(-1)
    return found


def test_the_last_exit_is_the_network_bit_by_bit(made: Made) -> None:
    images = noise(8, 1, SIDE, SIDE, seed=5)
    with torch.no_grad():
        assert torch.equal(made.exiting(images)[-1], made.network(images))


def test_the_file_of_all_exits_answers_as_the_module(made: Made) -> None:
    images = noise(16, 1, SIDE, SIDE, seed=6)
    found = np.stack(run(made.flat, images), 1)
    expected = made.logits(images)
    close = np.isclose(found, expected, atol=1e-3, rtol=1e-3).all(-1)
    assert close[:, 0].mean() >= 0.5
    assert (found.argmax(-1) == expected.argmax(-1)).mean() > 0.95


@pytest.mark.parametrize("quantile", [0.3, 0.7])
def test_an_image_leaves_at_the_first_exit_that_is_sure(made: Made, quantile: float) -> None:
    images = noise(24, 1, SIDE, SIDE, seed=7)
    all_NEK = np.stack([np.stack(run(made.flat, image[None]), 1)[0] for image in images])
    sure_NE = confidences(all_NEK)
    thresholds = np.quantile(sure_NE[:, :-1], quantile, axis=0).astype(np.float32)
    is_sure_NE = sure_NE > np.array([*thresholds, -1.0])
    expected_N = is_sure_NE.argmax(1)
    assert len(set(expected_N)) == 3
    for image, logits_EK, place in zip(images, all_NEK, expected_N, strict=True):
        logits, number = run(made.first, image[None], thresholds=thresholds)
        assert number.tolist() == [place + 1]
        np.testing.assert_allclose(logits[0], logits_EK[place], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("threshold", "number"), [(1.0, 3), (0.0, 1)])
def test_thresholds_in_the_file_decide_where_none_are_given(
    made: Made, tmp_path: Path, threshold: float, number: int
) -> None:
    write_first_exit(made.flat, tmp_path / "first.onnx", [threshold] * 2)
    onnx.checker.check_model(onnx.load(tmp_path / "first.onnx"), full_check=True)
    large = 1e4 * noise(4, 1, SIDE, SIDE, seed=8)  # sure to the last digit
    for image in (*noise(4, 1, SIDE, SIDE), *large):
        assert run(tmp_path / "first.onnx", image[None])[1].tolist() == [number]


def test_it_takes_one_image(made: Made) -> None:
    with pytest.raises(Exception, match="Got: 2 Expected: 1"):
        run(made.first, noise(2, 1, SIDE, SIDE))


def test_what_is_behind_an_exit_does_not_run(made: Made, tmp_path: Path) -> None:
    ran = {}
    for threshold in (0.0, 1.0):
        path = tmp_path / f"{threshold}.onnx"
        write_first_exit(made.flat, path, [threshold] * 2)
        options = one_thread()
        options.enable_profiling = True
        options.profile_file_prefix = str(tmp_path / "profile")
        session = onnxruntime.InferenceSession(path, options)
        session.run(None, {"images": noise(1, 1, SIDE, SIDE).numpy()})
        events = json.loads(Path(session.end_profiling()).read_text())
        ops = [event["args"].get("op_name", "") for event in events if event["cat"] == "Node"]
        ran[threshold] = sum("Conv" in op for op in ops)
    assert 0 < ran[0.0] < ran[1.0] / 2


def test_branches_have_the_integer_kernels_that_the_whole_has(made: Made) -> None:
    target = choose("onnxruntime").target
    assert target.integer_kernels(made.first) == target.integer_kernels(made.flat)


def test_declared_multiply_adds_are_counted_ones(made: Made) -> None:
    flat = Extractor(onnx.load(made.flat))
    names = [output.name for output in flat.graph.output]
    cuts = [flat.extract_model(["images"], names[:number]) for number in (1, 2, 3)]
    declared = macs_of_exits(made.slots, made.maps, SIZES, CLASSES)
    assert [count_macs(cut) for cut in cuts] == declared


def test_the_checkpoint_is_the_module(made: Made, tmp_path: Path) -> None:
    path = tmp_path / "exits.safetensors"
    save_exits(made.network, made.slots, made.maps, made.exiting.exits, path)
    loaded, images = nas.load(path), noise(4, 1, SIDE, SIDE, seed=9)
    with torch.no_grad():
        for found, expected in zip(loaded(images), made.exiting(images), strict=True):
            assert torch.equal(found, expected)


def test_a_damaged_checkpoint_is_named(made: Made, tmp_path: Path) -> None:
    path = tmp_path / "exits.safetensors"
    save_exits(made.network, made.slots, made.maps[:1], made.exiting.exits, path)
    with pytest.raises(UserError, match="its exits do not fit their weights"):
        load_exits(path)
