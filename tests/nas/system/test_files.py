"""Files: replaced whole or not at all, lines appended whole, damage named."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.system.files import (
    append_line,
    check_text,
    read_json,
    read_lines,
    read_log,
    sealed_text,
    understood,
    write_json,
)
from search_spaces import UserError


def same(document: Any) -> Any:
    return document


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_replaced_file_has_the_new_content_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    write_json(path, {"new": [1.5, None, "ü"]})
    assert read_json(path) == {"new": [1.5, None, "ü"]}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_a_full_disk_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, lines = tmp_path / "a.json", tmp_path / "a.jsonl"
    write_json(path, {"number": 1})
    append_line(lines, {"number": 0})
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_json(path, {"number": 2})
    with pytest.raises(OSError, match="No space"):
        append_line(lines, {"number": 1})
    assert read_json(path) == {"number": 1}
    assert lines.read_text().count("\n") == 1
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.json", "a.jsonl"]


def test_a_line_that_does_not_fit_leaves_the_lines_before_it(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    program = (
        "import resource, signal, sys; from pathlib import Path; from nas.system.files import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "for number in range(100): append_line(Path(sys.argv[1]), {'number': number})"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True)
    assert "OSError" in done.stderr
    content = path.read_text()
    assert 80 < len(content) <= 100
    assert content.endswith("}\n")
    assert [line["number"] for line in read_lines(path, same)] == list(range(content.count("\n")))


@given(cut=st.integers(0, 40))
def test_a_torn_last_line_is_cut_off_wherever_it_was_torn(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "torn.jsonl"
    path.unlink(missing_ok=True)
    for number in range(3):
        append_line(path, {"number": number})
    whole = path.read_bytes()
    path.write_bytes(whole[: max(0, len(whole) - cut)])
    num_left = path.read_bytes().count(b"\n")
    assert read_lines(path, same) == [{"number": number} for number in range(num_left)]
    append_line(path, {"number": 9})
    assert [line["number"] for line in read_lines(path, same)] == [*range(num_left), 9]


def test_appending_after_a_torn_line_does_not_damage_the_file(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"a":1}\n{"a":')
    append_line(path, {"a": 2})
    assert read_lines(path, same) == [{"a": 1}, {"a": 2}]


def test_no_file_has_no_lines(tmp_path: Path) -> None:
    assert read_lines(tmp_path / "absent.jsonl", same) == []


def test_a_damaged_line_in_the_middle_is_named_and_not_dropped(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    path.write_text('{"key":1}\n{bad\n{"key":3}\n')
    with pytest.raises(UserError, match=r"line 2 of '.*trials.jsonl' is damaged.*delete that line"):
        read_lines(path, same)
    assert path.read_text().count("\n") == 3


def test_damaged_lines_of_a_log_are_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"key":1}\n{bad\n\xff\n[]\n' + b"[" * 100_000 + b'\n{"key":3}\n{"key":')
    assert read_log(path, same) == [{"key": 1}, {"key": 3}]
    assert "events.jsonl': 4 damaged lines are left out" in caplog.text
    assert read_log(tmp_path / "absent.jsonl", same) == []
    path.write_text('{"schema":2}\n')
    with pytest.raises(UserError, match=r"events.jsonl' has schema 2"):
        read_log(path, same)


def test_a_line_without_the_field_is_named(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    path.write_text('{"key":1}\n{}\n')
    with pytest.raises(UserError, match=r"line 2 of .* is damaged: 'key' is missing"):
        read_lines(path, lambda line: line["key"])


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"\0\0"])
def test_a_damaged_document_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"plan.json' is damaged.*delete it to compute it again"):
        read_json(path)


@pytest.mark.parametrize("document", ["[]", "3", "{}", '"text"', "null"])
def test_documents_of_another_shape_are_a_message_and_no_traceback(document: str) -> None:
    with pytest.raises(UserError, match="is damaged"), understood("'plan.json'"):
        _ = int(json.loads(document)["steps"])


def test_a_text_says_whether_it_is_what_was_written() -> None:
    text = sealed_text('space = "ü"\n')
    check_text(text)
    check_text('space = "ü"\n')
    for changed in (text.replace("ü", "u"), text + "seed = 1\n", text.replace("32 = ", "32 = 1")):
        with pytest.raises(ValueError, match="checksum differs"):
            check_text(changed)
