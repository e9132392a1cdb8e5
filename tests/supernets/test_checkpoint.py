"""Weights on disk: what comes back, and that a crash leaves the old file or the new one."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from search_spaces import UserError
from supernets.checkpoint import METADATA, read_tensors, same_shapes, write_tensors

DOCUMENT = {"step": 3, "words": ["a", "ß"], "none": None}


def tensors() -> dict[str, torch.Tensor]:
    images = torch.arange(48.0).reshape(1, 3, 4, 4)
    return {
        "channels_last": images.to(memory_format=torch.channels_last),
        "transposed": torch.arange(6.0).reshape(2, 3).T,
        "integers": torch.tensor([-128, 127], dtype=torch.int8),
        "scalar": torch.tensor(1.5),
    }


def test_what_is_read_equals_what_was_written(tmp_path: Path) -> None:
    write_tensors(tmp_path / "a.safetensors", tensors(), DOCUMENT)
    found, document = read_tensors(tmp_path / "a.safetensors")
    assert document == DOCUMENT
    assert found.keys() == tensors().keys()
    for name, tensor in tensors().items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_writing_leaves_one_file(tmp_path: Path) -> None:
    write_tensors(tmp_path / "a.safetensors", tensors(), DOCUMENT)
    write_tensors(tmp_path / "a.safetensors", tensors(), DOCUMENT)
    assert os.listdir(tmp_path) == ["a.safetensors"]


def test_weights_may_be_read_by_whoever_may_read_other_files(tmp_path: Path) -> None:
    write_tensors(tmp_path / "a.safetensors", tensors(), DOCUMENT)
    (tmp_path / "other").touch()
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_a_full_disk_leaves_the_old_file_and_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, tensors(), DOCUMENT)
    before = path.read_bytes()

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match=f"No space left on device: '{path}'"):
        write_tensors(path, {"other": torch.zeros(3)}, {})
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.safetensors"]


def damaged(path: Path, kind: str) -> None:
    write_tensors(path, tensors(), DOCUMENT)
    content = path.read_bytes()
    if kind == "garbage":
        path.write_bytes(b"\x80\x04not weights" * 20)
    elif kind == "cut":
        path.write_bytes(content[:-40])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "absent":
        path.unlink()
    elif kind == "no document":
        path.write_bytes(content.replace(b'"document"', b'"DOCUMENT"'))
    elif kind == "broken document":
        path.write_bytes(content.replace(b'{\\"step\\"', b'[\\"step\\"'))


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_changed_bit_anywhere_is_seen(
    tmp_path_factory: pytest.TempPathFactory, place: float, bit: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "a.safetensors"
    write_tensors(path, tensors(), DOCUMENT)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(content)
    try:
        found, document = read_tensors(path)
    except UserError as error:
        assert str(path) in str(error)
        return
    assert document == DOCUMENT
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors().items())


@pytest.mark.parametrize(
    "kind", ["garbage", "cut", "empty", "absent", "no document", "broken document"]
)
def test_a_file_that_is_not_ours_is_the_users_error(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.safetensors"
    damaged(path, kind)
    with pytest.raises(UserError, match=r"not a weights file.*Restore it, or delete it"):
        read_tensors(path)


def test_shapes_are_compared_name_by_name() -> None:
    layer = torch.nn.Linear(2, 3)
    assert same_shapes(layer.state_dict(), layer)
    assert not same_shapes({"weight": torch.zeros(3, 2)}, layer)
    assert not same_shapes({"weight": torch.zeros(2, 3), "bias": torch.zeros(3)}, layer)
    assert not same_shapes({**layer.state_dict(), "more": torch.zeros(1)}, layer)


def test_a_document_of_nested_brackets_is_the_users_error(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(save({}, metadata={METADATA: "[" * 100_000}))
    with pytest.raises(UserError, match="not a weights file of this program"):
        read_tensors(path)
