"""The compressed checkpoint gives back the very network that was exported."""

import json
from pathlib import Path

import pytest
import torch

from compress.store import SCHEMA, load_network, save_network
from search_spaces import SearchSpace, Slot, UserError
from supernets.checkpoint import read_tensors, write_tensors
from supernets.supernet import Supernet
from tests.onnx_graphs import compress_for_here
from tests.strategies import mini_space, noise, randomise_, slots_of


def saved(
    supernet: Supernet, slots: tuple[Slot, ...], path: Path, *, side: int = 16
) -> torch.nn.Module:
    network = compress_for_here(supernet.extract(slots), slots, [noise(8, 1, side, side)]).network
    save_network(network, slots, path)
    return network


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@torch.no_grad()
def test_shifted_windows_come_back_with_their_masks(tmp_path: Path, precision: str) -> None:
    space = mini_space(resolution=32, operators=("window",)).with_policy((precision,), (0,))
    supernet = Supernet(space)
    randomise_(supernet, seed=1)
    network = saved(supernet, slots_of(space), tmp_path / "a.safetensors", side=32)
    images = noise(2, 1, 32, 32, seed=4)
    assert torch.equal(load_network(tmp_path / "a.safetensors")(images), network(images))


@torch.no_grad()
def test_mixed_precision_comes_back(
    random_supernet: Supernet, mini: SearchSpace, tmp_path: Path
) -> None:
    for first, second in (("fp32", "int8"), ("int8", "fp32")):
        uniform = mini.candidate([n - 1 for n in mini.cardinalities]).arch
        policy = {"stage1.precision": first, "stage2.precision": second}
        slots = mini.slots(mini.encode({**uniform, **policy}))
        network = saved(random_supernet, slots, tmp_path / "a.safetensors")
        images = noise(4, 1, 16, 16, seed=4)
        assert torch.equal(load_network(tmp_path / "a.safetensors")(images), network(images))


def test_integers_are_stored_as_integers(
    random_supernet: Supernet, mini: SearchSpace, tmp_path: Path
) -> None:
    for precision, largest in (("fp32", torch.float32), ("int8", torch.int8)):
        slots = slots_of(mini, operator="mbconv", precision=precision)
        saved(random_supernet, slots, tmp_path / f"{precision}.safetensors")
        tensors, document = read_tensors(tmp_path / f"{precision}.safetensors")
        assert max(tensors.values(), key=torch.numel).dtype == largest
        assert document["schema"] == SCHEMA
        assert [Slot.from_json(slot) for slot in document["slots"]] == list(slots)
    sizes = [(tmp_path / f"{p}.safetensors").stat().st_size for p in ("fp32", "int8")]
    assert sizes[1] < sizes[0]


def altered(path: Path, kind: str) -> None:
    tensors, document = read_tensors(path)
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif kind == "garbage":
        path.write_bytes(b"not weights")
    elif kind == "newer":
        write_tensors(path, tensors, {**document, "schema": SCHEMA + 1})
    elif kind == "other kind":
        write_tensors(path, tensors, {"step": 3})
    elif kind == "tensor missing":
        tensors.popitem()
        write_tensors(path, tensors, document)
    elif kind == "tensor too many":
        write_tensors(path, {**tensors, "more": torch.zeros(1)}, document)
    elif kind == "tensor of another shape":
        write_tensors(path, {**tensors, next(iter(tensors)): torch.zeros(1)}, document)
    elif kind == "slot missing":
        slots = [slot for slot in document["slots"] if slot["name"] != "stage1.block1"]
        write_tensors(path, tensors, {**document, "slots": slots})


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("cut", "not a weights file"),
        ("garbage", "not a weights file"),
        ("newer", r"not a network of schema 1 \(found 2\).*install a newer version"),
        ("other kind", r"not a network of schema 1 \(found None\)"),
        ("tensor missing", "damaged.*Export it again"),
        ("tensor too many", "damaged"),
        ("tensor of another shape", "damaged"),
        ("slot missing", "damaged"),
    ],
)
def test_files_that_are_no_such_network_are_the_users_error(
    random_supernet: Supernet,
    mini: SearchSpace,
    tmp_path: Path,
    kind: str,
    message: str,
    precision: str,
) -> None:
    path = tmp_path / "a.safetensors"
    saved(random_supernet, slots_of(mini, operator="mbconv", precision=precision), path)
    load_network(path)
    altered(path, kind)
    with pytest.raises(UserError, match=message):
        load_network(path)


def test_slots_that_make_no_sense_are_the_users_error(
    random_supernet: Supernet, mini: SearchSpace, tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    saved(random_supernet, slots_of(mini, operator="mbconv", precision="fp32"), path)
    tensors, document = read_tensors(path)
    text = json.dumps(document)
    for wrong in (
        *('{"schema": 1, "slots": []}', text.replace('"mbconv"', '"mbkonv"')),
        *('{"schema": 1, "slots": 3}', '{"schema": 1, "slots": [{}]}'),
        text.replace('"schema": 1', '"schema": null'),
        text.replace('"in_width": 1,', '"in_width": -1,'),
    ):
        write_tensors(path, tensors, json.loads(wrong))
        with pytest.raises(UserError):
            load_network(path)
