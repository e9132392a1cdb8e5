"""Whatever happens to a file of a run: the search continues to the same results, or one message
names the file; and so does the report."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nas.system.files import CHECKSUM
from reports import build_report
from search_spaces import UserError
from tests.small_run import SmallRun, results

DOCUMENTS = (
    *("config.toml", "space.json", "env.json", "data.json", "sizes.json", "plan.json"),
    *("search_plan.json", "pays.json"),
    *("profile/profile.json", "profile/rows.jsonl", "trials.jsonl", "events.jsonl"),
    *("train_log.jsonl", "front.json", "measurements/*.json", "timings/*.json"),
    *("front/*/card.json", "references/*/card.json", "answers/*.json"),
    "finetune_plan.json",
    *("finetunes/*/plan.json", "finetunes/*/recipe.json", "finetunes/*/score.json"),
)
BINARIES = (
    *("supernet.safetensors", "train_state/state.safetensors", "front/*/model.onnx"),
    *("front/*/model.safetensors", "references/*/model.fp32.onnx", "finetunes/*/network.*"),
)
UNFINISHED = ("front.json", "*/*/card.json", "trials.jsonl", "supernet.safetensors")
"""Without these all that was measured is read again."""

WRONG = (b"", b"[]", b"{}", b"3", b"null", b"[{}]", b'"x"', b"\xff\xfe\0", b'{"schema": 2}')
MISPLACED: tuple[Any, ...] = (None, "x", [], {}, [[1]], {"a": None})
PLACES = st.floats(0, 1, exclude_max=True) | st.floats(0.95, 1, exclude_max=True)

Damage = Callable[[bytes], bytes | None]


def cut(content: bytes, place: float) -> bytes:
    return content[: int(place * len(content))]


def flipped(content: bytes, place: float, bit: int) -> bytes:
    at = int(place * len(content))
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The places of all values in a document."""
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [path, *(place for name, v in inner for place in leaves(v, (*path, name)))][not path :]


def reshaped(content: bytes, place: float, put: Any) -> bytes:
    """One value of one document is of another type, and there is no checksum that shows it."""
    first, _, rest = content.partition(b"\n") if content[1:2] != b"\n" else (content, b"", b"")
    document = json.loads(first)
    document.pop(CHECKSUM, None)
    places = leaves(document)
    *parents, last = places[int(place * len(places))]
    inner = document
    for name in parents:
        inner = inner[name]
    inner[last] = put
    return json.dumps(document).encode() + b"\n" + rest


damages = st.one_of(
    st.builds(lambda place: lambda content: cut(content, place), PLACES),
    st.builds(lambda p, bit: lambda content: flipped(content, p, bit), PLACES, st.integers(0, 7)),
    st.sampled_from([lambda content, put=put: put for put in WRONG]),
    st.sampled_from([lambda content: None]),
)
reshapings = st.builds(
    lambda place, put: lambda content: reshaped(content, place, put),
    PLACES,
    st.sampled_from(MISPLACED),
)


def damage_(run: Path, pattern: str, damage: Damage) -> Path | None:
    """Damages the first file of that name, which is deleted if nothing remains; returns it."""
    files = sorted(run.glob(pattern))
    if not files:
        return None
    content = damage(files[0].read_bytes())
    if content is None:
        files[0].unlink()
    else:
        files[0].write_bytes(content)
    return files[0]


def works(action: Callable[[], object], name: str) -> bool:
    """Whether it does; if not, it must have said what is wrong with which file, and no more."""
    try:
        action()
    except UserError as error:
        assert name in str(error)
        assert " object at 0x" not in str(error)
        assert len(str(error)) < 1000
        return False
    return True


SOME = settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
FEW = settings(SOME, max_examples=14)


@SOME
@given(
    pattern=st.sampled_from(DOCUMENTS + BINARIES),
    damage=damages,
    without=st.sampled_from([(), UNFINISHED]),
)
def test_a_damaged_file_changes_no_result_and_is_named_if_it_is_needed(
    small_run: SmallRun,
    tmp_path: Path,
    pattern: str,
    damage: Damage,
    without: tuple[str, ...],
) -> None:
    run = small_run.copied(tmp_path, *without)
    file = damage_(run, pattern, damage)
    name = pattern if file is None else file.name
    works(lambda: build_report(run), name)
    with small_run.remembering():
        if works(lambda: small_run.continued(run), name):
            assert results(run) == results(small_run.path)


@FEW
@given(
    pattern=st.sampled_from([name for name in DOCUMENTS if name != "config.toml"]),
    damage=reshapings,
    without=st.sampled_from([(), UNFINISHED]),
)
@example(  # other finalists than those whose speed is recorded
    pattern="trials.jsonl", damage=lambda content: reshaped(content, 0.96875, None), without=()
)
def test_a_document_of_another_shape_is_a_message_and_no_traceback(
    small_run: SmallRun,
    tmp_path: Path,
    pattern: str,
    damage: Damage,
    without: tuple[str, ...],
) -> None:
    run = small_run.copied(tmp_path, *without)
    file = damage_(run, pattern, damage)
    name = pattern if file is None else file.name
    works(lambda: build_report(run), name)
    with small_run.remembering():
        works(lambda: small_run.continued(run), name)


@pytest.mark.parametrize("pattern", [*DOCUMENTS, ".lock", "supernet.safetensors"])
def test_a_folder_in_place_of_a_file_is_named(
    small_run: SmallRun, tmp_path: Path, pattern: str
) -> None:
    run = small_run.copied(tmp_path)
    file = sorted(run.glob(pattern))[0]
    file.unlink()
    file.mkdir()
    works(lambda: build_report(run), file.name)
    works(lambda: small_run.continued(run), file.name)


@pytest.mark.parametrize("name", ["profile", "front", "references", "report"])
def test_a_file_in_place_of_a_folder_is_named(
    small_run: SmallRun, tmp_path: Path, name: str
) -> None:
    run = small_run.copied(tmp_path, name)
    (run / name).touch()
    works(lambda: build_report(run), name)
    with small_run.remembering():
        works(lambda: small_run.continued(run), name)


def test_an_exported_file_without_a_card_is_not_trusted(
    small_run: SmallRun, tmp_path: Path
) -> None:
    run = small_run.copied(tmp_path, "front.json", "front/*/card.json")
    for number, file in enumerate(sorted(run.glob("front/*/model.*"))):
        file.write_bytes(b"" if number % 2 else file.read_bytes()[:-9] + bytes(9))
    small_run.continued(run)
    assert results(run) == results(small_run.path)
