"""Files under their digests: what is not what it says is not kept, and the longest unused go."""

import hashlib
import io
import os
from pathlib import Path

import pytest

from nas.agent.store import RefusedError, Store, TooLargeError, UnwritableError
from nas.testing.targets import fp32_file


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def models(folder: Path, num: int) -> list[bytes]:
    """Different ones of one length."""
    content = fp32_file(folder).read_bytes()
    place = content.index(b"weight")
    return [content[:place] + f"weig{i:02}".encode() + content[place + 6 :] for i in range(num)]


def send(store: Store, content: bytes, name: str = "", num_bytes: int = 0) -> None:
    reader = io.BytesIO(content)
    store.receive(name or digest(content), num_bytes or len(content), reader.read)


def test_what_arrives_is_there_under_its_digest_also_for_the_next_start(tmp_path: Path) -> None:
    (content,) = models(tmp_path, 1)
    send(Store(tmp_path / "files", 10**6), content)
    store = Store(tmp_path / "files", 10**6)
    assert store.claim([digest(content), digest(b"")]) == [digest(b"")]
    assert store.path(digest(content)).read_bytes() == content


def test_nothing_is_left_of_what_is_refused(tmp_path: Path) -> None:
    (content,) = models(tmp_path, 1)
    store = Store(tmp_path / "files", 10**6)
    with pytest.raises(RefusedError, match="SHA-256"):
        send(store, content, digest(b"another"))
    with pytest.raises(RefusedError, match="1 of .* did not arrive"):
        send(store, content, num_bytes=len(content) + 1)
    with pytest.raises(RefusedError, match="no ONNX file"):
        send(store, b"no model")
    with pytest.raises(TooLargeError):
        send(store, content, num_bytes=2 * 10**6)
    assert not list((tmp_path / "files").iterdir())


def test_a_disk_that_is_full_is_told_from_a_connection_that_broke(tmp_path: Path) -> None:
    (content,) = models(tmp_path, 1)
    store = Store(tmp_path / "files", 10**6)

    def broken(most: int) -> bytes:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        store.receive(digest(content), len(content), broken)
    (tmp_path / "files").rmdir()
    with pytest.raises(UnwritableError, match="No such file or directory"):
        send(store, content)


def test_the_longest_unused_is_thrown_out_and_strangers_stay(tmp_path: Path) -> None:
    contents = models(tmp_path, 4)
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "notes.onnx").write_bytes(b"mine")
    (folder / f".{'a' * 64}.7.part").write_bytes(b"torn")
    store = Store(folder, 3 * len(contents[0]))
    for age, content in enumerate(contents[:3]):
        send(store, content)
        os.utime(store.path(digest(content)), (age, age))
    assert not store.claim([digest(contents[0])])  # and so it is used
    store.release()
    send(store, contents[3])
    assert store.claim([digest(c) for c in contents]) == [digest(contents[1])]
    assert {file.name for file in folder.glob("*.onnx")} >= {"notes.onnx"}
    assert not list(folder.glob(".*.part"))


def test_what_changed_on_disk_is_asked_for_again(tmp_path: Path) -> None:
    (content,) = models(tmp_path, 1)
    send(Store(tmp_path / "files", 10**6), content)
    store = Store(tmp_path / "files", 10**6)
    store.path(digest(content)).write_bytes(content[:-1])
    assert store.claim([digest(content)]) == [digest(content)]
